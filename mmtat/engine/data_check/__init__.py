"""Whether data are what a training takes them for: before it, and amid it."""
