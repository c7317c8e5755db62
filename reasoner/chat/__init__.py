"""The reasoner over any OpenAI-compatible endpoint."""
