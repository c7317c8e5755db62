"""Fixed readers: one kind of label source a module."""
