"""From a model's text to a checked answer."""
