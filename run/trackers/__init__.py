"""Experiment trackers that listen to a run (setting `track`): MLflow, Weights & Biases."""
