"""The judge: execution, grading, acceptance, audit, ensembles and the final choice."""
