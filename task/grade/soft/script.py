"""labels.py of best/: it makes labels of the probabilities or values that a solution writes."""

from __future__ import annotations

from typing import Any

from task.grade.predictions import Truth
from task.grade.soft.decode import Decoder


def write_decoder_script(truth: Truth, decoder: Decoder) -> str:
    """Return a script that turns submission.csv into labels.csv, with all numbers in it."""
    form, soft = truth.form, truth.soft
    assert soft is not None
    spelled = [form.spelling.get(label, label) for label in form.labels]
    levels: list[list[Any]] = [[int(level) for level in each] for each in truth.decoded.levels]
    if soft.layout == "values":
        if form.labels:
            levels = [spelled]
        how = CUTS.format(cuts=decoder.cuts, levels=levels)
    else:
        n_best = int(truth.metric.name.rpartition("@")[2]) if decoder.kind == "top" else 1
        how = CLASSES.format(
            classes=spelled,
            columns=soft.columns[1:],
            weights=decoder.weights or [1.0] * len(spelled),
            n_best=n_best,
        )
    names = [column.name for column in form.columns]
    return SCRIPT.format(names=names, how=how)


SCRIPT = '''"""Write labels.csv: the labels of the probabilities or values in a submission.

The numbers were fitted to the metric on the out-of-fold predictions of the run.
"""

import sys

import numpy as np
import pandas as pd

NAMES = {names!r}
FILE = sys.argv[1] if len(sys.argv) > 1 else "submission.csv"
first = pd.read_csv(FILE, nrows=0).columns[0]
said = pd.read_csv(FILE, dtype={{first: str}})
labels = said[[first]].copy()
{how}
labels.to_csv("labels.csv", index=False)
'''
CUTS = """CUTS = {cuts!r}  # between the labels of each column
LEVELS = {levels!r}
for name, cuts, levels in zip(NAMES, CUTS, LEVELS):
    labels[name] = np.array(levels)[np.searchsorted(cuts, said[name], side="right")]
"""
CLASSES = """CLASSES = {classes!r}
WEIGHTS = np.array({weights!r})  # of their probabilities
p = said[{columns!r}].to_numpy(dtype=float)
if p.shape[1] == 1:
    p = np.column_stack([1 - p[:, 0], p[:, 0]])
best = np.argsort(-p * WEIGHTS, axis=1, kind="stable")[:, :{n_best}]
labels[NAMES[0]] = [" ".join(CLASSES[place] for place in row) for row in best]
"""
