"""Nodes: one verb of the optimiser per file."""
