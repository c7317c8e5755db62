"""Calls to child processes, in JSON lines over their pipes."""
