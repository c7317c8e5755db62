"""Who thinks: the protocol and its implementations."""
