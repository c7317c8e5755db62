"""Checkpoints of a run: SQLite by default, Postgres on request."""
