"""Decide kind and metric from target, sample and words together; refuse what cannot be scored."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from task.grade.metric_words import MetricWords
from task.grade.metrics import Metric, get_metric, metric_for_targets, unscorable
from task.load.form import class_labels, plain_name
from task.load.rows import kind_of
from task.types import Direction, Kind, Task, TaskError

DEFAULT_METRICS: dict[Kind, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
REMEDY = "set `metric:`, `kind:` or `target:` in task.yaml"


class Asked(NamedTuple):
    """What task.yaml and the description say about kind and metric."""

    metric: str  # named in task.yaml; empty: not named
    words: MetricWords | None  # of the description, where task.yaml names none
    direction: Direction | None
    kind: Kind | None

    @property
    def name(self) -> str:
        """The metric that is named anywhere; empty for none."""
        return self.metric or (self.words.name if self.words else "")

    @property
    def source(self) -> str:
        """Where it is named, for messages."""
        return f" (read from {self.words.sentence!r})" if self.words else ""


class Decision(NamedTuple):
    """Kind and metric, decided together, and what was decided beyond their names."""

    kind: Kind
    metric: Metric
    remarks: list[str]


def decide_metric(
    asked: Asked, task: Task, train: pd.DataFrame, sample: pd.DataFrame | None, names: list[str]
) -> Decision:
    """Decide kind and metric together. Raises TaskError where they contradict each other.

    `names`: the sample's prediction columns.
    """
    if asked.words and asked.words.foreign:
        raise TaskError(
            f"description.md asks for {asked.words.foreign} ({asked.words.sentence!r}), which is "
            "not built in; put a file metric.py with score(y_true, y_pred) into the folder and set "
            "`metric: metric.py` and `direction:` in task.yaml, or name another metric there"
        )
    values, n_targets = train[task.target[0]], len(task.target)
    named = get_metric(asked.name, asked.direction) if asked.name else None
    kind = asked.kind or infer_kind(values, n_targets, len(names), named)
    name = named.name if named else default_metric(kind, names, sample, values)
    if not name.endswith(".py"):
        name = metric_for_targets(name, n_targets)
    if name == "f1" and kind == "multiclass":
        name = "f1_macro"
    metric = get_metric(name, asked.direction)
    check_kind(metric, kind, values, task, asked)
    return Decision(kind, metric, metric_remarks(asked, metric, kind))


def infer_kind(
    values: pd.Series[Any], n_targets: int, n_predicted: int, metric: Metric | None
) -> Kind:
    """Infer the kind of the target from its values, the sample's columns and the metric.

    Several targets are a regression.
    """
    if n_targets > 1:
        return "regression"
    kind, present = kind_of(values), values.dropna()
    if not is_numeric(present):
        return kind
    if metric is not None and metric.needs == "value" and not metric.name.endswith(".py"):
        return "regression"
    asks_for_classes = n_predicted > 1 or (metric is not None and metric.needs != "value")
    is_whole = bool((present == present.round()).all())
    return "multiclass" if kind == "regression" and is_whole and asks_for_classes else kind


def is_numeric(values: pd.Series[Any]) -> bool:
    """Whether a column contains numbers and no truth values."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def default_metric(
    kind: Kind, names: list[str], sample: pd.DataFrame | None, values: pd.Series[Any]
) -> str:
    """Return the metric where none is named: accuracy if the sample asks for labels."""
    if kind == "regression" or sample is None or len(names) != 1:
        return DEFAULT_METRICS[kind]
    if kind == "multiclass":
        return "accuracy"
    said = {plain_name(str(text)) for text in sample[names[0]].dropna().unique()[:100]}
    labels = {plain_name(label) for label in class_labels(values)}
    has_words = not all(text.lstrip("-").isdigit() for text in said)
    is_label = bool(said) and said <= labels and (has_words or said == labels)
    return "accuracy" if is_label else DEFAULT_METRICS[kind]


def check_kind(
    metric: Metric, kind: Kind, values: pd.Series[Any], task: Task, asked: Asked
) -> None:
    """Refuse a metric that cannot score the kind of the target. Raises TaskError."""
    name, what = f"{metric.name}{asked.source}", f"the target {task.target[0]!r} of {task.train}"
    if len(task.target) > 1:
        if metric.needs != "value":
            raise TaskError(
                f"{name} scores one target and there are {len(task.target)} "
                f"({', '.join(task.target[:5])}); set `target:`, or a metric of your own as "
                "`metric: metric.py`, in task.yaml"
            )
    elif metric.name == "kl_divergence":
        raise TaskError(f"{name} needs several target columns and {what} is one; {REMEDY}")
    elif metric.needs == "value" and not is_numeric(values):
        own = "; a file says `needs = 'label'`" if metric.name.endswith(".py") else ""
        raise TaskError(f"{name} needs numbers and {what} has other values; {REMEDY}{own}")
    elif metric.needs != "value" and kind == "regression":
        raise TaskError(
            f"{name} needs classes and {what} has {values.nunique()} values as kind regression; "
            f"{REMEDY}"
        )
    elif metric.name == "qwk" and not (is_numeric(values) and (values.dropna() % 1 == 0).all()):
        raise TaskError(f"{name} needs whole numbers in order and {what} has others; {REMEDY}")


def metric_remarks(asked: Asked, metric: Metric, kind: Kind) -> list[str]:
    """Say what was decided about the metric beyond its name."""
    remarks, words = [], asked.words
    if words:
        remarks.append(f"metric {metric.name}, read from {words.sentence!r}")
        if words.form:
            remarks.append(
                f"the description says {words.form!r}: {metric.name} is computed without weights "
                "or groups; a metric of your own (`metric: metric.py`) can have them"
            )
        if "gini" in words.sentence.casefold():
            remarks.append("Gini is 2 AUC - 1: the AUC orders submissions in the same way")
    elif not asked.metric:
        remarks.append(f"metric {metric.name}: the default for {kind}, no text names one")
    if metric.name == "f1_macro" and asked.name == "f1":
        remarks.append("F1 of several classes is taken as their mean (f1_macro)")
    if metric.name.endswith("_mean_columns"):
        remarks.append("the score is the mean of the scores of the target columns")
    if metric.is_whole:
        remarks.append("predictions are rounded to whole numbers, as the labels are")
    return remarks


def check_scorable(metric: Metric, train: pd.DataFrame, task: Task) -> None:
    """Refuse labels that the metric cannot score. Raises TaskError."""
    if task.kind != "regression":
        return
    for name in task.target:
        if not pd.api.types.is_numeric_dtype(train[name]):
            raise TaskError(
                f"{task.train}: the target {name!r} is not numeric and {metric.name} needs "
                f"numbers; {REMEDY}"
            )
    if why := unscorable(metric, train[task.target].to_numpy(dtype=float)):
        raise TaskError(
            f"{task.train}: {metric.name} cannot score the labels in "
            f"{', '.join(task.target[:5])}: {why}; correct those rows or set another `metric:` "
            "in task.yaml"
        )
