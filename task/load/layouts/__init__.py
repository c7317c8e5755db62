"""Folders that are no pair of train and test tables: who holds labels, rows and files."""
