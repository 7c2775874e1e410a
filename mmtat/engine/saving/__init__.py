"""Checkpoints that survive, and runs that go on exactly."""
