"""The choice: which solution a trace works on next, and by which kind of step. Pure functions."""
