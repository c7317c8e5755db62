"""Metrics by name: direction, input, score and, where the metric separates, the loss of each row.

Definitions are scikit-learn's where it has one; `map@K` and the column means follow the usual
competition definitions. In all functions y and p have the shape (n,) or (n, k).
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics as sk

from task.grade.frames.boxes import BOX_METRICS, box_metric
from task.grade.frames.lists import LIST_METRICS, list_precision_metric
from task.grade.frames.masks import MASK_METRICS, fbeta_metric
from task.grade.frames.tables import (
    CONDITION,
    PER_GROUP,
    TABLE_METRICS,
    average_groups,
    bias_auc,
    restrict_metric,
)
from task.grade.frames.texts import TEXT_METRICS
from task.grade.metric import (
    Array,
    Bounds,
    LossFunction,
    Metric,
    ScoreFunction,
    score_unbound,
)
from task.grade.own_metric import load_own_metric
from task.types import Direction, Kind, Task, TaskError

EPS = 1e-15
MIN_MAE = 1e-9  # of log_mae


def roc_auc(y: Array, p: Array) -> float:
    """Return the area under the ROC curve, by ranks.

    More than two classes: one against the rest, macro average over the classes that occur.
    Raises ValueError for one class only.
    """
    if p.ndim == 2 and p.shape[1] > 1:
        labels = [(y == k).astype(int) for k in range(p.shape[1])]
        areas = [
            roc_auc(label, p[:, k]) for k, label in enumerate(labels) if 0 < label.sum() < len(y)
        ]
        if not areas:
            raise ValueError("only one class among the scored rows")
        return float(np.mean(areas))
    p = p.reshape(len(p))
    n_pos = int(y.sum())
    if n_pos in (0, len(y)):
        raise ValueError("only one class among the scored rows")
    ranks = stats.rankdata(p)
    return float((ranks[y == 1].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * (len(y) - n_pos)))


def mean_over_columns(one: ScoreFunction) -> ScoreFunction:
    """Score every target column by itself, then average over those that can be scored.

    Raises ValueError where none can: each has one value only.
    """

    def score(y: Array, p: Array) -> float:
        y, p = y.reshape(len(y), -1), p.reshape(len(p), -1)
        scores = []
        for j in range(y.shape[1]):
            try:
                scores.append(one(y[:, j], p[:, j]))
            except ValueError:
                continue
        if not scores:
            raise ValueError("no target column can be scored on these rows")
        return float(np.mean(scores))

    return score


def label_ranking_score(y: Array, p: Array) -> float:
    """Return the label-weighted label-ranking average precision; y of 0 and 1, a column per label.

    Every true label counts once, whatever its row. Raises ValueError where there is none.
    """
    n_labels = y.sum(axis=1)
    if not n_labels.any():
        raise ValueError("no row has a label")
    return float(sk.label_ranking_average_precision_score(y > 0.5, p, sample_weight=n_labels))


def mean_over_classes(one: ScoreFunction) -> ScoreFunction:
    """Score each class against the rest, then average over the classes that occur."""

    def score(y: Array, p: Array) -> float:
        if p.ndim < 2 or p.shape[1] == 1:
            if not 0 < y.sum() < len(y):
                raise ValueError("only one class among the scored rows")
            return float(one(y.ravel(), p.ravel()))
        scores = [one(y == k, p[:, k]) for k in range(p.shape[1]) if (y == k).any()]
        return float(np.mean(scores))

    return score


def probabilistic_f1(y: Array, p: Array) -> float:
    """Return the F1 of probabilities: each counts in the precision and the recall as it is."""
    p = np.clip(p, 0, 1)
    total = float((y == 1).sum()) + float(p.sum())
    return 2 * float(p[y == 1].sum()) / total if total else 0.0


def column_log_losses(y: Array, p: Array) -> Array:
    """Return the log loss of every row's targets, each a probability; averaged over them."""
    y, p = y.reshape(len(y), -1), np.clip(p.reshape(len(p), -1), EPS, 1 - EPS)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=1))


def share_log_losses(y: Array, p: Array) -> Array:
    """Return the log loss of rows whose classes have a column each; both are scaled to one."""
    p = np.clip(p, EPS, None)
    p = p / p.sum(axis=1, keepdims=True)
    return np.asarray(-(y * np.log(p)).sum(axis=1))


def divergence_losses(y: Array, p: Array) -> Array:
    """Return the Kullback-Leibler divergence of every row's shares; they are scaled to one."""
    y, p = np.clip(y, 0, None), np.clip(p, EPS, None)
    y, p = y / y.sum(axis=1, keepdims=True), p / p.sum(axis=1, keepdims=True)
    return np.asarray((y * (np.log(np.maximum(y, EPS)) - np.log(p))).sum(axis=1))


def normalize_probabilities(p: Array) -> Array:
    """Clip probabilities away from 0 and 1; scale those of several classes to sum to one."""
    p = np.clip(p, EPS, 1 - EPS) if p.ndim == 1 or p.shape[1] == 1 else np.clip(p, EPS, None)
    return p if p.ndim == 1 or p.shape[1] == 1 else p / p.sum(axis=1, keepdims=True)


def log_losses(y: Array, p: Array) -> Array:
    """Return -log of the probability given to the true class."""
    p = normalize_probabilities(p)
    if p.ndim == 2 and p.shape[1] > 1:
        return np.asarray(-np.log(p[np.arange(len(y)), y.astype(int)]))
    p = p.reshape(len(p))
    return np.asarray(-np.where(y == 1, np.log(p), np.log(1 - p)))


def brier_losses(y: Array, p: Array) -> Array:
    """Return the squared error of the probabilities, summed over the classes."""
    if p.ndim == 2 and p.shape[1] > 1:
        return np.asarray(((p - np.eye(p.shape[1])[y.astype(int)]) ** 2).sum(axis=1))
    return np.asarray((p.reshape(len(p)) - y) ** 2)


def squared_errors(y: Array, p: Array) -> Array:
    """Return the squared error, averaged over the columns."""
    return np.asarray(((y.reshape(len(y), -1) - p.reshape(len(p), -1)) ** 2).mean(axis=1))


def absolute_errors(y: Array, p: Array) -> Array:
    """Return the absolute error, averaged over the columns."""
    return np.asarray(np.abs(y.reshape(len(y), -1) - p.reshape(len(p), -1)).mean(axis=1))


def squared_log_errors(y: Array, p: Array) -> Array:
    """Return the squared error of log(1 + value); negative predictions count as 0."""
    return squared_errors(np.log1p(y), np.log1p(np.clip(p, 0, None)))


def log_mean_error(y: Array, p: Array) -> float:
    """Return the logarithm of the mean absolute error, which counts as MIN_MAE at least."""
    return float(np.log(max(float(absolute_errors(y, p).mean()), MIN_MAE)))


def percentage_errors(y: Array, p: Array) -> Array:
    """Return |y - p| / |y|, averaged over the columns."""
    errors = np.abs((y - p) / np.maximum(np.abs(y), np.finfo(float).eps))
    return np.asarray(errors.reshape(len(y), -1).mean(axis=1))


def symmetric_percentage_errors(y: Array, p: Array) -> Array:
    """Return 200 |y - p| / (|y| + |p|), averaged over the columns; 0 where both are 0."""
    total = np.abs(y) + np.abs(p)
    errors = np.where(total == 0, 0.0, 200 * np.abs(y - p) / np.where(total == 0, 1, total))
    return np.asarray(errors.reshape(len(y), -1).mean(axis=1))


def wrong_labels(y: Array, p: Array) -> Array:
    """Return 1 for a wrong label, else 0."""
    return np.asarray((y.ravel() != p.ravel()).astype(float))


def precision_losses_at(k: int) -> LossFunction:
    """Return the loss 1 - average precision at k.

    A row has one true label; its prediction is a ranking: a list of labels, or labels separated
    by blanks.
    """

    def losses(y: Array, p: Array) -> Array:
        out = np.ones(len(y))
        for i, (truth, ranking) in enumerate(zip(y.ravel(), p.ravel(), strict=True)):
            guesses = ranking.split() if isinstance(ranking, str) else ranking
            guesses = list(dict.fromkeys(map(str, guesses)))[:k]
            if str(truth) in guesses:
                out[i] = 1 - 1 / (guesses.index(str(truth)) + 1)
        return out

    return losses


def mean_loss(losses: LossFunction, *, root: bool = False) -> ScoreFunction:
    """Score by the mean loss, or its square root."""

    def score(y: Array, p: Array) -> float:
        value = float(np.mean(losses(y, p)))
        return value**0.5 if root else value

    return score


def flat_score(score: ScoreFunction) -> ScoreFunction:
    """Score flattened arrays, as functions of scikit-learn and SciPy expect them."""
    return lambda y, p: float(score(y.ravel(), p.ravel()))


def f1_score(average: str) -> ScoreFunction:
    """Return the F1 score; `binary`: that of class 1 or, of other labels, the last in order."""

    def score(y: Array, p: Array) -> float:
        if average == "binary":
            labels = sorted(set(y.ravel().tolist()) | set(p.ravel().tolist()), key=str)
            positive = 1 if set(labels) <= {0, 1} else labels[-1]
            is_true, is_said = y.ravel() == positive, p.ravel() == positive
            return float(sk.f1_score(is_true, is_said, zero_division=0))
        return float(sk.f1_score(y, p, average=average, zero_division=0))

    return score


def accuracy_score(y: Array, p: Array) -> float:
    """Return the share of right labels."""
    return 1 - float(wrong_labels(y, p).mean())


def weighted_kappa(y: Array, p: Array) -> float:
    """Return Cohen's kappa with quadratic weights, of integer labels."""
    labels, guesses = y.ravel().astype(int), p.ravel().astype(int)
    return float(sk.cohen_kappa_score(labels, guesses, weights="quadratic"))


def jaccard_score(y: Array, p: Array) -> float:
    """Return intersection over union, macro average over the classes."""
    return float(sk.jaccard_score(y.ravel(), p.ravel(), average="macro", zero_division=0))


def r2_score(y: Array, p: Array) -> float:
    """Return the share of the variance explained."""
    return float(sk.r2_score(y, p))


def pearson_score(y: Array, p: Array) -> float:
    """Return Pearson's correlation; 0 for constant predictions. Raises ValueError for one y."""
    return correlation(y.ravel(), p.ravel())


def spearman_score(y: Array, p: Array) -> float:
    """Return Spearman's rank correlation; 0 for constant predictions."""
    return correlation(stats.rankdata(y.ravel()), stats.rankdata(p.ravel()))


def correlation(y: Array, p: Array) -> float:
    """Return the correlation; 0 where p is constant. Raises ValueError where y is."""
    if len(y) < 2 or np.ptp(y) == 0:
        raise ValueError("one value only among the scored rows")
    if np.ptp(p) == 0:
        return 0.0
    value = np.corrcoef(y, p)[0, 1]
    return float(value) if np.isfinite(value) else 0.0


def wrong_label_shares(y: Array, p: Array) -> Array:
    """Return the share of every row's targets that are wrong."""
    return np.asarray((y.reshape(len(y), -1) != p.reshape(len(p), -1)).mean(axis=1))


def column_label_metric(name: str, one: ScoreFunction) -> Metric:
    """Return the mean of the scores of several columns of labels."""
    return Metric(f"{name}_mean_columns", "max", "value", mean_over_columns(one), is_whole=True)


_LABEL_METRICS = (
    Metric("accuracy", "max", "label", accuracy_score, wrong_labels),
    Metric("balanced_accuracy", "max", "label", flat_score(sk.balanced_accuracy_score)),
    Metric("f1", "max", "label", f1_score("binary")),
    Metric("f1_macro", "max", "label", f1_score("macro")),
    Metric("f1_micro", "max", "label", f1_score("micro")),
    Metric("f1_weighted", "max", "label", f1_score("weighted")),
    Metric("mcc", "max", "label", flat_score(sk.matthews_corrcoef)),
    Metric("qwk", "max", "label", weighted_kappa),
    Metric("jaccard", "max", "label", jaccard_score),
)
_rmse = mean_loss(squared_errors, root=True)
_rmsle = mean_loss(squared_log_errors, root=True)
_precision = mean_over_classes(lambda y, p: float(sk.average_precision_score(y, p)))
_SHARE: Bounds = (0.0, 1.0)
_POSITIVE: Bounds = (0.0, None)
_OTHER_METRICS = (
    Metric("auc", "max", "probability", roc_auc),
    Metric("average_precision", "max", "probability", _precision),
    Metric("probabilistic_f1", "max", "probability", mean_over_classes(probabilistic_f1)),
    Metric("log_loss", "min", "probability", mean_loss(log_losses), log_losses),
    Metric("brier", "min", "probability", mean_loss(brier_losses), brier_losses),
    Metric("rmse", "min", "value", _rmse, squared_errors),
    Metric("mse", "min", "value", mean_loss(squared_errors), squared_errors),
    Metric("mae", "min", "value", mean_loss(absolute_errors), absolute_errors),
    Metric("log_mae", "min", "value", log_mean_error, optimum=float(np.log(MIN_MAE))),
    Metric("mape", "min", "value", mean_loss(percentage_errors), percentage_errors),
    Metric(
        "smape", "min", "value", mean_loss(symmetric_percentage_errors), symmetric_percentage_errors
    ),
    Metric("rmsle", "min", "value", _rmsle, squared_log_errors, _POSITIVE),
    Metric("r2", "max", "value", r2_score, squared_errors),
    Metric("pearson", "max", "value", pearson_score),
    Metric("spearman", "max", "value", spearman_score),
)
_COLUMN_METRICS = (  # of several targets
    Metric(
        "accuracy_mean_columns",
        "max",
        "value",
        lambda y, p: 1 - float(wrong_label_shares(y, p).mean()),
        wrong_label_shares,
        is_whole=True,
    ),
    column_label_metric("balanced_accuracy", flat_score(sk.balanced_accuracy_score)),
    column_label_metric("f1", f1_score("binary")),
    column_label_metric("f1_macro", f1_score("macro")),
    column_label_metric("mcc", flat_score(sk.matthews_corrcoef)),
    column_label_metric("qwk", weighted_kappa),
    Metric("auc_mean_columns", "max", "value", mean_over_columns(roc_auc)),
    Metric("average_precision_mean_columns", "max", "value", mean_over_columns(_precision)),
    Metric("brier_mean_columns", "min", "value", mean_loss(squared_errors), squared_errors, _SHARE),
    Metric(
        "kl_divergence",
        "min",
        "value",
        mean_loss(divergence_losses),
        divergence_losses,
        _POSITIVE,
        sums_to_one=True,
    ),
    Metric("lwlrap", "max", "value", label_ranking_score),
    Metric(
        "log_loss_mean_columns",
        "min",
        "value",
        mean_loss(column_log_losses),
        column_log_losses,
        _SHARE,
    ),
    Metric("pearson_mean_columns", "max", "value", mean_over_columns(pearson_score)),
    Metric("r2_mean_columns", "max", "value", mean_over_columns(r2_score)),
    Metric("rmse_mean_columns", "min", "value", mean_over_columns(_rmse)),
    Metric(
        "rmsle_mean_columns",
        "min",
        "value",
        mean_over_columns(_rmsle),
        squared_log_errors,
        _POSITIVE,
    ),
    Metric("spearman_mean_columns", "max", "value", mean_over_columns(spearman_score)),
)
_FRAME_METRICS = (
    *(metric for metric in TEXT_METRICS if metric.name != "accuracy"),
    *LIST_METRICS,
    *MASK_METRICS,
    *BOX_METRICS,
    *TABLE_METRICS,
    Metric("bias_auc", "max", "value", score_unbound, frame=bias_auc(roc_auc)),
)
FRAME_METRICS = {metric.name: metric for metric in _FRAME_METRICS}
"""Metrics of texts, lists, masks and boxes, and those that read other columns of the answers."""
METRICS = {
    metric.name: metric for metric in (*_LABEL_METRICS, *_OTHER_METRICS, *_COLUMN_METRICS)
} | FRAME_METRICS
TEXT_TWINS = {metric.name: metric for metric in TEXT_METRICS if metric.name == "accuracy"}
"""Metrics that score texts instead of classes where the kind is `text`."""
SHARES_LOG_LOSS = Metric(
    "log_loss",
    "min",
    "value",
    mean_loss(share_log_losses),
    share_log_losses,
    _SHARE,
    sums_to_one=True,
)
"""The log loss of classes that stand in columns of their own, one of them 1 in every row."""
ALIASES = {
    "acc": "accuracy",
    "area_under_the_roc_curve": "auc",
    "auroc": "auc",
    "brier_score": "brier",
    "column_mean_auc": "auc_mean_columns",
    "cross_entropy": "log_loss",
    "f1_score": "f1",
    "dice": "dice_masks",
    "edit_distance_of_words": "edit_distance",
    "gini": "auc",
    "label_weighted_label_ranking_average_precision": "lwlrap",
    "mean_levenshtein": "levenshtein",
    "word_error_rate": "edit_distance",
    "iou": "jaccard",
    "kappa": "qwk",
    "logloss": "log_loss",
    "macro_f1": "f1_macro",
    "matthews_correlation_coefficient": "mcc",
    "mcrmse": "rmse_mean_columns",
    "mcrmsle": "rmsle_mean_columns",
    "kullback_leibler_divergence": "kl_divergence",
    "mean_columnwise_log_loss": "log_loss_mean_columns",
    "mean_absolute_error": "mae",
    "mean_columnwise_auc": "auc_mean_columns",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_error": "mse",
    "multiclass_log_loss": "log_loss",
    "roc_auc_ovr": "auc",
    "f1_binary": "f1",
    "pearson_correlation": "pearson",
    "pearsonr": "pearson",
    "spearmanr": "spearman",
    "pf1": "probabilistic_f1",
    "pr_auc": "average_precision",
    "quadratic_weighted_kappa": "qwk",
    "r2_score": "r2",
    "rmlse": "rmsle",
    "roc_auc": "auc",
    "root_mean_squared_error": "rmse",
    "root_mean_squared_logarithmic_error": "rmsle",
}


def plain_key(name: str) -> str:
    """Return a name as the registry writes it."""
    key = re.sub(r"[^a-z0-9@]+", "_", name.strip().lower()).strip("_").removeprefix("neg_")
    return ALIASES.get(key, key)


def canonical_metric(name: str) -> str:
    """Return the registered name of a metric. Raises TaskError with the nearest name."""
    key = plain_key(name)
    if key in METRICS or re.fullmatch(r"map@\d{1,3}", key):
        return key
    if re.fullmatch(r"map_boxes@0?\.\d{1,3}", name.strip()):
        return f"map_boxes@{float(name.partition('@')[2]):g}"
    if re.fullmatch(r"fbeta_masks@(?=[\d.]*[1-9])\d{0,2}(\.\d{1,3})?", name.strip()):
        return f"fbeta_masks@{float(name.partition('@')[2]):g}"
    if found := split_form(name.strip()):
        start = re.split("_where_|_per_", name.strip(), maxsplit=1)[0]
        return found[0] + name.strip()[len(start) :]
    near = difflib.get_close_matches(key, [*METRICS, *ALIASES, "map@3"], n=1, cutoff=0.5)
    hint = f"known: {', '.join(METRICS)}, map@K."
    if near:
        hint = f"did you mean {ALIASES.get(near[0], near[0])}?"
    shown = repr(name[:80])
    raise TaskError(
        f"unknown metric {shown}; {hint} Or name a Python file with score(answers, submission)"
    )


def get_metric(name: str, direction: Direction | None = None, kind: Kind | None = None) -> Metric:
    """Return a metric by name, `map@K`, `NAME_where_COLUMN_is_VALUE`, `NAME_per_COLUMN`, or path.

    The path is that of a Python file with score(answers, submission) or score(y_true, y_pred).
    `kind`: of the target; texts are scored by other functions than classes. Raises TaskError for an
    unknown name or an unusable file.
    """
    if name.endswith(".py"):
        return load_own_metric(Path(name), direction, kind)
    name = canonical_metric(name)
    if name in METRICS:
        if name == "log_loss" and kind == "regression":
            return SHARES_LOG_LOSS
        return TEXT_TWINS.get(name, METRICS[name]) if kind == "text" else METRICS[name]
    if name.startswith("map_boxes@"):
        return box_metric(name)
    if name.startswith("fbeta_masks@"):
        return fbeta_metric(name)
    if name.startswith("map@"):
        if kind == "text":
            return list_precision_metric(name)
        losses = precision_losses_at(int(name[4:]))
        return Metric(name, "max", "ranking", lambda y, p: 1 - float(losses(y, p).mean()), losses)
    return parse_form(name)


def task_metric(task: Task) -> Metric:
    """Return the metric of a task. Raises TaskError."""
    return get_metric(task.metric, task.direction, task.kind)


def split_form(name: str) -> tuple[str, str] | None:
    """Return the plain metric and the column of a conditional or grouped form; None for others."""
    match = CONDITION.fullmatch(name) or PER_GROUP.fullmatch(name)
    if match is None:
        return None
    key = plain_key(match.group(1))
    is_plain = key in METRICS and METRICS[key].needs == "value" and METRICS[key].frame is None
    return (key, match.group(2)) if is_plain else None


def parse_form(name: str) -> Metric:
    """Return the metric of rows with a value, or the mean over groups, that a name asks for."""
    found = split_form(name)
    assert found is not None  # canonical_metric let it pass
    base = METRICS[found[0]]
    if match := CONDITION.fullmatch(name):
        return restrict_metric(base, name, match.group(2), match.group(3))
    return average_groups(base, name, found[1])


def metric_for_targets(name: str, n_targets: int) -> str:
    """Return the metric that a name means for so many targets: of several, the columns' mean."""
    columns = f"{name}_mean_columns"
    if n_targets > 1 and columns in METRICS:
        return columns
    if n_targets == 1 and name.endswith("_mean_columns"):
        return name.removesuffix("_mean_columns")
    return name


def unscorable(metric: Metric, y: Array) -> str | None:
    """Say which labels of several rows the metric cannot score; None where it can."""
    values = np.asarray(y, dtype=float)
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of them are infinite or missing"
    if metric.name.startswith("rmsle") and values.min() < 0:
        return f"{int((values < 0).sum())} of them are negative (the smallest is {values.min():g})"
    if metric.is_whole and (values % 1 != 0).any():
        return f"they should be whole numbers (one is {values[values % 1 != 0][0]:g})"
    if metric.name in BINARY_COLUMNS and not set(np.unique(values)) <= {0.0, 1.0}:
        return f"they should be 0 or 1 (one is {values[~np.isin(values, (0, 1))][0]:g})"
    low, high = metric.bounds or (None, None)
    if high is not None and (values.min() < (low or 0) or values.max() > high):
        return f"they should lie in {low:g}..{high:g} (they reach {values.max():g})"
    if metric.name == "kl_divergence" and values.min() < 0:
        return f"they should not be negative (the smallest is {values.min():g})"
    if metric.name == "kl_divergence" and (values.reshape(len(values), -1).sum(axis=1) <= 0).any():
        return "rows with shares that are all zero"
    return None


BINARY_COLUMNS = (
    "auc_mean_columns",
    "average_precision_mean_columns",
    "f1_mean_columns",
    "lwlrap",
)
