"""Success memory (the momentum): records, embedding, recall over Chroma."""
