"""The declarations of settings; `graph.settings.Settings` composes the groups."""
