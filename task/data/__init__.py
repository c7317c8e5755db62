"""From a Task to prepared data: folds, profile, preview."""
