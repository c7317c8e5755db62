"""From a script's files to a grade: checks, scores, comparisons, leaks."""
