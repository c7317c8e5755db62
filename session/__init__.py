"""The life of a run: start, resume, fork, export and import."""
