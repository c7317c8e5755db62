"""Predictions finer than the metric: their forms, how labels are made of them, their loss."""
