"""Where scripts run: the protocol and its backends."""
