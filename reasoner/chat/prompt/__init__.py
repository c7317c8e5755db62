"""From a brief to the messages of a model."""
