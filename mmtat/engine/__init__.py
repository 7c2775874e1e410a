"""Around a run: hooks, checkpoints, configs, checks before the first step."""
