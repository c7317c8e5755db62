"""Render a brief as the messages for a model."""
