"""Where scripts run: the protocol and its backends (local, E2B, Ray)."""
