"""What the reasoner is told, and how it is asked."""
