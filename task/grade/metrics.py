"""Metrics by name, with direction, what they score and, where they separate, the loss of each row.

Definitions are scikit-learn's where it has one; `map_at_k` and the column means follow the usual competition definitions.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from task.types import Direction, TaskError

Array = NDArray[Any]
Needs = Literal["probability", "label", "value", "ranking"]
EPS = 1e-15


@dataclass(frozen=True)
class Metric:
    """score(y_true, y_pred) with y_true of shape (n,) or (n, k), y_pred of shape (n,) or (n, k).

    For `probability` with more than two classes y_true holds class positions and y_pred a column per class.
    `row_loss` gives the per-row loss (lower is better) where the metric is its mean or a monotone function of it.
    """

    name: str
    direction: Direction
    needs: Needs
    score: Callable[[Array, Array], float]
    row_loss: Callable[[Array, Array], Array] | None = None


def auc(y: Array, p: Array) -> float:
    """Area under the ROC curve by ranks; more than two classes: one against the rest, macro (prevalence-free)."""
    if p.ndim == 2 and p.shape[1] > 1:
        return float(
            np.mean(
                [
                    auc((y == k).astype(int), p[:, k])
                    for k in range(p.shape[1])
                    if 0 < (y == k).sum() < len(y)
                ]
            )
        )
    p = p.reshape(len(p))
    n_pos = int(y.sum())
    if n_pos in (0, len(y)):
        raise ValueError("only one class among the scored rows")
    ranks = stats.rankdata(p)
    return float((ranks[y == 1].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * (len(y) - n_pos)))


def columns_mean(one: Callable[[Array, Array], float]) -> Callable[[Array, Array], float]:
    def score(y: Array, p: Array) -> float:
        y, p = y.reshape(len(y), -1), p.reshape(len(p), -1)
        return float(np.mean([one(y[:, j], p[:, j]) for j in range(y.shape[1])]))

    return score


def normal(p: Array) -> Array:
    """Class probabilities clipped and scaled to sum to one."""
    p = np.clip(p, EPS, 1 - EPS) if p.ndim == 1 or p.shape[1] == 1 else np.clip(p, EPS, None)
    return p if p.ndim == 1 or p.shape[1] == 1 else p / p.sum(axis=1, keepdims=True)


def log_losses(y: Array, p: Array) -> Array:
    p = normal(p)
    if p.ndim == 2 and p.shape[1] > 1:
        return np.asarray(-np.log(p[np.arange(len(y)), y.astype(int)]))
    p = p.reshape(len(p))
    return np.asarray(-np.where(y == 1, np.log(p), np.log(1 - p)))


def brier_losses(y: Array, p: Array) -> Array:
    if p.ndim == 2 and p.shape[1] > 1:
        return np.asarray(((p - np.eye(p.shape[1])[y.astype(int)]) ** 2).sum(axis=1))
    return np.asarray((p.reshape(len(p)) - y) ** 2)


def squared(y: Array, p: Array) -> Array:
    return np.asarray(((y.reshape(len(y), -1) - p.reshape(len(p), -1)) ** 2).mean(axis=1))


def absolute(y: Array, p: Array) -> Array:
    return np.asarray(np.abs(y.reshape(len(y), -1) - p.reshape(len(p), -1)).mean(axis=1))


def squared_log(y: Array, p: Array) -> Array:
    return squared(np.log1p(y), np.log1p(np.clip(p, 0, None)))


def percentage(y: Array, p: Array) -> Array:
    return np.asarray(
        np.abs((y - p) / np.maximum(np.abs(y), np.finfo(float).eps))
        .reshape(len(y), -1)
        .mean(axis=1)
    )


def symmetric_percentage(y: Array, p: Array) -> Array:
    total = np.abs(y) + np.abs(p)
    return np.asarray(
        np.where(total == 0, 0.0, 200 * np.abs(y - p) / np.where(total == 0, 1, total))
        .reshape(len(y), -1)
        .mean(axis=1)
    )


def wrong(y: Array, p: Array) -> Array:
    return np.asarray((y.ravel() != p.ravel()).astype(float))


def precision_at(k: int) -> Callable[[Array, Array], Array]:
    def losses(y: Array, p: Array) -> Array:
        """1 - average precision at k of one true label against a space-separated ranking."""
        out = np.ones(len(y))
        for i, (truth, ranking) in enumerate(zip(y.ravel(), p.ravel(), strict=True)):
            guesses = list(dict.fromkeys(str(ranking).split()))[:k]
            if str(truth) in guesses:
                out[i] = 1 - 1 / (guesses.index(str(truth)) + 1)
        return out

    return losses


def mean_of(
    losses: Callable[[Array, Array], Array], *, root: bool = False
) -> Callable[[Array, Array], float]:
    def score(y: Array, p: Array) -> float:
        value = float(np.mean(losses(y, p)))
        return value**0.5 if root else value

    return score


def flat(score: Callable[[Array, Array], float]) -> Callable[[Array, Array], float]:
    return lambda y, p: float(score(y.ravel(), p.ravel()))


def f1(average: str) -> Callable[[Array, Array], float]:
    def score(y: Array, p: Array) -> float:
        if average == "binary":
            labels = sorted(set(y.ravel().tolist()) | set(p.ravel().tolist()), key=str)
            return float(sk.f1_score(y, p, pos_label=labels[-1], zero_division=0))
        return float(sk.f1_score(y, p, average=average, zero_division=0))

    return score


def _all() -> dict[str, Metric]:
    found = [
        Metric("accuracy", "max", "label", lambda y, p: 1 - float(wrong(y, p).mean()), wrong),
        Metric("balanced_accuracy", "max", "label", flat(sk.balanced_accuracy_score)),
        Metric("f1", "max", "label", f1("binary")),
        Metric("f1_macro", "max", "label", f1("macro")),
        Metric("f1_micro", "max", "label", f1("micro")),
        Metric("f1_weighted", "max", "label", f1("weighted")),
        Metric("mcc", "max", "label", flat(sk.matthews_corrcoef)),
        Metric(
            "qwk",
            "max",
            "label",
            lambda y, p: float(
                sk.cohen_kappa_score(
                    y.ravel().astype(int), p.ravel().astype(int), weights="quadratic"
                )
            ),
        ),
        Metric(
            "jaccard",
            "max",
            "label",
            lambda y, p: float(
                sk.jaccard_score(y.ravel(), p.ravel(), average="macro", zero_division=0)
            ),
        ),
        Metric("auc", "max", "probability", auc),
        Metric("auc_mean_columns", "max", "value", columns_mean(auc)),
        Metric("average_precision", "max", "probability", flat(sk.average_precision_score)),
        Metric("log_loss", "min", "probability", mean_of(log_losses), log_losses),
        Metric("brier", "min", "probability", mean_of(brier_losses), brier_losses),
        Metric("rmse", "min", "value", mean_of(squared, root=True), squared),
        Metric("mse", "min", "value", mean_of(squared), squared),
        Metric("mae", "min", "value", mean_of(absolute), absolute),
        Metric("mape", "min", "value", mean_of(percentage), percentage),
        Metric("smape", "min", "value", mean_of(symmetric_percentage), symmetric_percentage),
        Metric("rmsle", "min", "value", mean_of(squared_log, root=True), squared_log),
        Metric(
            "rmsle_mean_columns",
            "min",
            "value",
            columns_mean(mean_of(squared_log, root=True)),
            squared_log,
        ),
        Metric("r2", "max", "value", lambda y, p: float(sk.r2_score(y, p)), squared),
        Metric("pearson", "max", "value", flat(lambda y, p: stats.pearsonr(y, p)[0])),
        Metric("spearman", "max", "value", flat(lambda y, p: stats.spearmanr(y, p)[0])),
    ]
    return {metric.name: metric for metric in found}


METRICS = _all()
ALIASES = {
    "roc_auc": "auc", "auroc": "auc", "area_under_the_roc_curve": "auc", "logloss": "log_loss", "cross_entropy": "log_loss",
    "multiclass_log_loss": "log_loss", "quadratic_weighted_kappa": "qwk", "kappa": "qwk", "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae", "mean_squared_error": "mse", "root_mean_squared_logarithmic_error": "rmsle", "rmlse": "rmsle",
    "r2_score": "r2", "pr_auc": "average_precision", "acc": "accuracy", "macro_f1": "f1_macro", "f1_score": "f1",
    "matthews_correlation_coefficient": "mcc", "mcrmsle": "rmsle_mean_columns", "column_mean_auc": "auc_mean_columns",
    "mean_columnwise_auc": "auc_mean_columns", "brier_score": "brier", "iou": "jaccard",
}  # fmt: skip


def canonical(name: str) -> str:
    """The registry's name of a metric. Raises TaskError with the nearest name."""
    plain = re.sub(r"[^a-z0-9@]+", "_", name.strip().lower()).strip("_")
    plain = ALIASES.get(plain, plain)
    if plain in METRICS or re.fullmatch(r"map@\d{1,3}", plain):
        return plain
    near = difflib.get_close_matches(plain, [*METRICS, *ALIASES, "map@3"], n=1, cutoff=0.5)
    hint = (
        f"did you mean {ALIASES.get(near[0], near[0])}?"
        if near
        else f"known: {', '.join(METRICS)}, map@K"
    )
    raise TaskError(
        f"unknown metric {name!r}; {hint} Or name a Python file with score(y_true, y_pred)"
    )


def get_metric(name: str, direction: Direction | None = None) -> Metric:
    """A metric by name, `map@K`, or the path of a Python file with score(y_true, y_pred)."""
    if name.endswith(".py"):
        return from_file(Path(name), direction)
    name = canonical(name)
    if name.startswith("map@"):
        losses = precision_at(int(name[4:]))
        return Metric(name, "max", "ranking", lambda y, p: 1 - float(losses(y, p).mean()), losses)
    return METRICS[name]


def from_file(path: Path, direction: Direction | None) -> Metric:
    """A user's metric: trusted code of the user, loaded in the worker only. needs = `needs` in the file, else value."""
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; it should hold the metric as score(y_true, y_pred)"
        )
    spec = importlib.util.spec_from_file_location("user_metric", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # any error in a user's file is the user's to see
        raise TaskError(f"{path} cannot be loaded: {error!r}") from error
    if not callable(getattr(module, "score", None)):
        raise TaskError(f"{path} has no function score(y_true, y_pred)")
    chosen = direction or getattr(module, "direction", None)
    if chosen not in ("max", "min"):
        raise TaskError(
            f"{path}: say whether more is better; set `direction: max` or `direction: min` in task.yaml"
        )
    needs: Any = getattr(module, "needs", "value")
    if needs not in ("probability", "label", "value", "ranking"):
        raise TaskError(
            f"{path}: `needs` should be probability, label, value or ranking, not {needs!r}"
        )
    return Metric(str(path), chosen, needs, lambda y, p: float(module.score(y, p)))
