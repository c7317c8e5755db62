"""The E2B backend."""
