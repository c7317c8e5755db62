"""Parse, check and convert a model's answer."""
