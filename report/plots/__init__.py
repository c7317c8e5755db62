"""Plots of the best predictions: what the harness counted, checked again before it is shown."""
