"""Briefs for the reasoner, and how it is asked."""
