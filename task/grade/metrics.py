"""Metrics by name: direction, input, score and, where the metric separates, the loss of each row.

Definitions are scikit-learn's where it has one; `map@K` and the column means follow the usual
competition definitions. In all functions y and p have the shape (n,) or (n, k).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from task.consent import policy
from task.types import Direction, TaskError

Array = NDArray[Any]
Needs = Literal["probability", "label", "value", "ranking"]
ScoreFunction = Callable[[Array, Array], float]
LossFunction = Callable[[Array, Array], Array]  # one loss per row, shape (n,)
Bounds = tuple[float | None, float | None]
EPS = 1e-15


@dataclass(frozen=True)
class Metric:
    """A metric: score(y_true, y_pred) with both of shape (n,) or (n, k).

    For `probability` with more than two classes y_true contains class positions and y_pred a
    column per class. `row_loss` gives the loss of each row (lower is better) where the metric is
    its mean or a monotone function of it. `optimum` is the score of the truth; None: not known.
    Predicted values are clipped to `bounds`; `is_whole`: they are labels, rounded to whole numbers.
    """

    name: str
    direction: Direction
    needs: Needs
    score: ScoreFunction
    row_loss: LossFunction | None = None
    bounds: Bounds | None = None
    optimum: float | None = None
    is_whole: bool = False

    @property
    def best(self) -> float | None:
        """The score of the truth, where it is known."""
        if self.optimum is not None or self.name not in METRICS:
            return self.optimum
        return 1.0 if self.direction == "max" else 0.0


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


def column_log_losses(y: Array, p: Array) -> Array:
    """Return the log loss of every row's targets, each a probability; averaged over them."""
    y, p = y.reshape(len(y), -1), np.clip(p.reshape(len(p), -1), EPS, 1 - EPS)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=1))


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
    Metric("log_loss", "min", "probability", mean_loss(log_losses), log_losses),
    Metric("brier", "min", "probability", mean_loss(brier_losses), brier_losses),
    Metric("rmse", "min", "value", _rmse, squared_errors),
    Metric("mse", "min", "value", mean_loss(squared_errors), squared_errors),
    Metric("mae", "min", "value", mean_loss(absolute_errors), absolute_errors),
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
        "kl_divergence", "min", "value", mean_loss(divergence_losses), divergence_losses, _SHARE
    ),
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
METRICS = {metric.name: metric for metric in (*_LABEL_METRICS, *_OTHER_METRICS, *_COLUMN_METRICS)}
ALIASES = {
    "acc": "accuracy",
    "area_under_the_roc_curve": "auc",
    "auroc": "auc",
    "brier_score": "brier",
    "column_mean_auc": "auc_mean_columns",
    "cross_entropy": "log_loss",
    "f1_score": "f1",
    "gini": "auc",
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
    "mean_squared_error": "mse",
    "multiclass_log_loss": "log_loss",
    "pr_auc": "average_precision",
    "quadratic_weighted_kappa": "qwk",
    "r2_score": "r2",
    "rmlse": "rmsle",
    "roc_auc": "auc",
    "root_mean_squared_error": "rmse",
    "root_mean_squared_logarithmic_error": "rmsle",
}


def canonical_metric(name: str) -> str:
    """Return the registered name of a metric. Raises TaskError with the nearest name."""
    key = re.sub(r"[^a-z0-9@]+", "_", name.strip().lower()).strip("_")
    key = ALIASES.get(key, key)
    if key in METRICS or re.fullmatch(r"map@\d{1,3}", key):
        return key
    near = difflib.get_close_matches(key, [*METRICS, *ALIASES, "map@3"], n=1, cutoff=0.5)
    hint = f"known: {', '.join(METRICS)}, map@K."
    if near:
        hint = f"did you mean {ALIASES.get(near[0], near[0])}?"
    raise TaskError(
        f"unknown metric {name!r}; {hint} Or name a Python file with score(y_true, y_pred)"
    )


def get_metric(name: str, direction: Direction | None = None) -> Metric:
    """Return a metric by name, `map@K`, or path of a Python file with score(y_true, y_pred).

    Raises TaskError for an unknown name or an unusable file.
    """
    if name.endswith(".py"):
        return load_user_metric(Path(name), direction)
    name = canonical_metric(name)
    if name.startswith("map@"):
        losses = precision_losses_at(int(name[4:]))
        return Metric(
            name,
            "max",
            "ranking",
            lambda y, p: 1 - float(losses(y, p).mean()),
            losses,
            optimum=1.0,
        )
    return METRICS[name]


def load_user_metric(path: Path, direction: Direction | None) -> Metric:
    """Load the user's metric, which is trusted code (`task.consent`); in the worker only.

    Its input is `needs` of the file, else `value`. The bytes that were checked are run, never a
    cached compilation of others. Raises TaskError.
    """
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; it should define the metric as score(y_true, y_pred)"
        )
    content = path.read_bytes()
    policy.check(path, content)
    module = ModuleType("user_metric")
    module.__file__ = str(path)
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except Exception as error:  # noqa: BLE001 - any error of the user's code is for the user to see
        raise TaskError(f"{path} cannot be loaded: {error!r}") from error
    if not callable(getattr(module, "score", None)):
        raise TaskError(f"{path} has no function score(y_true, y_pred)")
    direction = direction or getattr(module, "direction", None)
    if direction not in ("max", "min"):
        raise TaskError(
            f"{path}: say whether higher is better; "
            "set `direction: max` or `direction: min` in task.yaml"
        )
    needs: Any = getattr(module, "needs", "value")
    if needs not in get_args(Needs):
        raise TaskError(
            f"{path}: `needs` should be probability, label, value or ranking, not {needs!r}"
        )
    best = getattr(module, "optimum", None)
    return Metric(
        str(path),
        direction,
        needs,
        lambda y, p: float(module.score(y, p)),
        optimum=None if best is None else float(best),
    )


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
    if metric.name == "kl_divergence" and (values.reshape(len(values), -1).sum(axis=1) <= 0).any():
        return "rows with shares that are all zero"
    return None


BINARY_COLUMNS = ("auc_mean_columns", "average_precision_mean_columns", "f1_mean_columns")
