"""The task being solved: spec, data, metric, folds, scorer, evidence, profile."""
