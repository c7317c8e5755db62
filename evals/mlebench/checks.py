"""What MLE-bench's graders demand of a submission before they score it.

The package `mlebench` is in no registry, so its checks are stated here again: the sample's columns
in its order, the same ids in the same order and spelling, nothing missing, numbers that read as
such, probabilities in 0..1, rows of class probabilities that sum to one, labels that occur.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from task.grade.metric import Metric
from task.types import SubmissionForm

SUM_TOLERANCE = 1e-6  # np.isclose of the graders, with an absolute tolerance as strict
PROBABILITY_METRICS = (
    "auc",
    "auc_mean_columns",
    "average_precision",
    "bias_auc",
    "brier",
    "brier_mean_columns",
    "kl_divergence",
    "log_loss",
    "log_loss_mean_columns",
    "weighted_log_loss",
)
WHOLE_METRICS = ("qwk",)


def check_as_graders(
    sample: pd.DataFrame, made: pd.DataFrame, form: SubmissionForm, metric: Metric
) -> list[str]:
    """Return what a grader would refuse of a submission; empty: nothing.

    `sample` and `made`: as written, every cell as text.
    """
    names = [str(name) for name in sample.columns]
    if list(made.columns) != names:
        return [f"columns {list(made.columns)} instead of {names}"]
    if len(made) != len(sample):
        return [f"{len(made)} rows instead of {len(sample)}"]
    wrong = [
        f"the ids in {name} are not the sample's, in its order"
        for name in form.sample_ids
        if list(made[name]) != list(sample[name])
    ]
    columns = [column.name for column in form.columns]
    if metric.needs == "text":
        return wrong
    if empty := [name for name in columns if (made[name] == "").any()]:
        wrong.append(f"cells of {empty[0]} are empty")
    if metric.needs in ("label", "ranking"):
        return wrong + check_labels(made, columns, form, metric)
    try:
        numbers = made[columns].astype(float).to_numpy()
    except ValueError as error:
        return [*wrong, f"not a number: {error}"]
    return wrong + check_numbers(numbers, form, metric)


def check_labels(
    made: pd.DataFrame, columns: list[str], form: SubmissionForm, metric: Metric
) -> list[str]:
    """Check labels: known ones, and whole numbers where the metric counts them."""
    known = {form.spelling.get(label, label) for label in form.labels}
    if metric.name in WHOLE_METRICS:
        texts = made[columns[0]].astype(object)
        return [] if texts.str.fullmatch(r"-?\d+").all() else ["labels are no whole numbers"]
    if metric.needs == "label" and known and not set(made[columns[0]]) <= known:
        return [f"unknown label {min(set(made[columns[0]]) - known)!r}"]
    return []


def check_numbers(numbers: np.ndarray, form: SubmissionForm, metric: Metric) -> list[str]:
    """Check ranges, and the sums of rows."""
    wrong = [] if np.isfinite(numbers).all() else ["numbers that are not finite"]
    if metric.name in PROBABILITY_METRICS and (numbers.min() < 0 or numbers.max() > 1):
        wrong.append(f"probabilities in {numbers.min():g}..{numbers.max():g}")
    is_class_form = len(form.columns) > 1 and all(column.label for column in form.columns)
    sums_to_one = metric.sums_to_one or (metric.needs == "probability" and is_class_form)
    if sums_to_one and not np.allclose(numbers.sum(axis=1), 1, rtol=0, atol=SUM_TOLERANCE):
        wrong.append("rows of probabilities do not sum to one")
    return wrong
