"""The expert: an embedded, deterministic ML engineer that reads the same briefs as a model."""
