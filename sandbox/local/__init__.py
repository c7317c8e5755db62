"""The local backend: everything that happens on the host side."""
