"""Metrics of texts, lists, masks and boxes, and metrics over tables."""
