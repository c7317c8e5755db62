"""The table of metrics that want labels, an order of classes, or rounded values.

Scripts may write probabilities, or values between the labels, for them. The decoder makes labels of
those, and the surrogate judges them: a proper loss with more power than the metric.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from task.grade.metric import Metric
from task.types import CLASS_KINDS, SoftDecoder, SoftForm, SubmissionForm, Task

LOG_LOSS, SQUARED_ERROR = "log loss", "squared error"
MAX_CLASSES = 100  # columns of probabilities
MAX_CELLS = 20_000_000  # of one file of probabilities
MAX_LEVELS = 30  # labels between which values are cut


class SoftRule(NamedTuple):
    """What scripts may write for a metric, how it is decoded, and what judges it."""

    writes: Literal["probabilities", "values"]
    decoder: SoftDecoder
    loss: str


MOST_LIKELY = SoftRule("probabilities", "argmax", LOG_LOSS)
WEIGHTED = SoftRule("probabilities", "weights", LOG_LOSS)
BEST_FIRST = SoftRule("probabilities", "top", LOG_LOSS)
CUT = SoftRule("values", "cuts", SQUARED_ERROR)
SOFT_RULES = {
    "accuracy": MOST_LIKELY,
    "f1_micro": MOST_LIKELY,
    "balanced_accuracy": WEIGHTED,
    "f1": WEIGHTED,
    "f1_macro": WEIGHTED,
    "f1_weighted": WEIGHTED,
    "jaccard": WEIGHTED,
    "mcc": WEIGHTED,
    "map@K": BEST_FIRST,
    "qwk": CUT,
    "accuracy_mean_columns": CUT,
    "balanced_accuracy_mean_columns": CUT,
    "f1_mean_columns": CUT,
    "f1_macro_mean_columns": CUT,
    "mcc_mean_columns": CUT,
    "qwk_mean_columns": CUT,
}
"""By metric; of several columns all but `qwk` need labels of 0 and 1."""


def find_rule(metric: Metric) -> SoftRule | None:
    """Return the rule of a metric; None where it is as fine as its predictions, or of texts.

    A metric of the user's own that takes labels gets the most likely ones: fitting thresholds would
    call it a hundred times.
    """
    if metric.is_own:
        return MOST_LIKELY if metric.needs == "label" else None
    if metric.needs == "ranking":
        return BEST_FIRST
    return SOFT_RULES.get(metric.name) if metric.needs in ("label", "value") else None


def make_soft_form(
    task: Task, metric: Metric, form: SubmissionForm, train: pd.DataFrame
) -> SoftForm | None:
    """Return what scripts may write in place of labels; None where nothing finer is known."""
    rule = find_rule(metric)
    if rule is None or task.kind == "text":
        return None
    if rule.writes == "values":
        if not can_be_cut(task, metric, form, train):
            return None
        return SoftForm(layout="values", decoder="cuts", loss=rule.loss, columns=form.names)
    labels = form.labels
    if task.kind not in CLASS_KINDS or len(form.columns) != 1 or len(set(labels)) != len(labels):
        return None
    if not 2 <= len(labels) <= MAX_CLASSES or len(labels) * len(train) > MAX_CELLS:
        return None
    if len(labels) == 2:
        return SoftForm(layout="positive", decoder=rule.decoder, loss=rule.loss, columns=form.names)
    columns = [form.id, *labels]
    if form.id in labels or any(not label.strip() or "\n" in label for label in labels):
        return None
    return SoftForm(layout="classes", decoder=rule.decoder, loss=rule.loss, columns=columns)


def can_be_cut(task: Task, metric: Metric, form: SubmissionForm, train: pd.DataFrame) -> bool:
    """Whether all target columns hold few whole numbers; 0 and 1 where no order is known."""
    if any(not column.target for column in form.columns):
        return False
    if metric.needs == "label" and (task.kind not in CLASS_KINDS or len(form.columns) != 1):
        return False
    for column in form.columns:
        values = pd.to_numeric(train[column.target], errors="coerce").to_numpy(dtype=float)
        levels = np.unique(values)
        if not np.isfinite(levels).all() or (levels % 1 != 0).any():
            return False
        if not 2 <= len(levels) <= MAX_LEVELS:
            return False
        if not metric.name.startswith("qwk") and not set(levels) <= {0.0, 1.0}:
            return False
    return True
