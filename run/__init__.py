"""The run folder: services, events, rounds, artifacts and checkpoints."""
