"""The chat reasoner: any OpenAI-compatible model behind the reasoner protocol."""
