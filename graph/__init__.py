"""The graph: what flows (state), every default (settings), where to go next (routes), the wiring (build)."""
