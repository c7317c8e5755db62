"""The local backend: the host side of scripts that run on this machine."""
