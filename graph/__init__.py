"""The graph: what flows (state), defaults (settings), next step (routes), the wiring (build)."""
