"""Pictures of a distillation: what tools/visualize.py draws."""
