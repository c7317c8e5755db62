"""The `gome` command: what a person types."""
