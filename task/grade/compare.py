"""Scores with their standard errors, and paired differences on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.grade.metrics import Metric
from task.grade.predictions import Truth
from task.types import PairedJson, ScoreJson

Array = NDArray[Any]
N_BOOTSTRAP = 200
BOOTSTRAP_CELLS = 4_000_000  # replicates x rows of the fast path
N_SLOW = 40  # replicates of metrics without a fast path


def score_of(known: Truth, p: Array) -> ScoreJson:
    """Metric over all validated rows, per fold, and the standard error over folds."""
    y, fold = known.y, known.validated["fold"].to_numpy()
    folds = []
    for k in np.unique(fold):
        rows = fold == k
        try:
            folds.append(known.metric.score(y[rows], p[rows]))
        except ValueError:  # a fold with one class only
            continue
    spread = float(np.std(folds, ddof=1) / np.sqrt(len(folds))) if len(folds) > 1 else 0.0
    return ScoreJson(
        value=known.metric.score(y, p), se=spread, folds=[float(value) for value in folds], n=len(y)
    )


def paired(
    metric: Metric,
    y: Array,
    new: Sequence[Array],
    old: Sequence[Array],
    clusters: Array | None,
    seed: int,
) -> PairedJson:
    """Improvement of `new` over `old` on the same rows; positive = better. Rows of one group count as one.

    Each side is one or more sets of predictions of the same pipeline under several seeds; their mean difference is judged.
    """
    sign = 1.0 if metric.direction == "max" else -1.0
    d = sign * float(
        np.mean([metric.score(y, p) for p in new]) - np.mean([metric.score(y, p) for p in old])
    )
    if metric.row_loss is not None:
        se = row_error(metric, y, new, old, d, clusters)
        return finish(d, float(np.hypot(se, seed_error(metric, y, new, old))), "rows", len(y))
    replicates = np.mean(
        [bootstrap(metric, y, p, q, clusters, seed) for p in new for q in old], axis=0
    )
    se = float(np.std(replicates, ddof=1))
    return finish(d, float(np.hypot(se, seed_error(metric, y, new, old))), "bootstrap", len(y))


def seed_error(metric: Metric, y: Array, new: Sequence[Array], old: Sequence[Array]) -> float:
    """What the spread over seeds adds to the standard error; half of it, for the rows' part holds the rest (docs/decisions)."""
    variance = sum(
        float(np.var([metric.score(y, p) for p in side], ddof=1)) / len(side)
        for side in (new, old)
        if len(side) > 1
    )
    return float(np.sqrt(variance / 2))


def finish(d: float, se: float, method: Any, n: int) -> PairedJson:
    p = float(stats.norm.cdf(d / se)) if se > 0 else (1.0 if d > 0 else 0.0 if d < 0 else 0.5)
    return PairedJson(d=float(d), se=float(se), p_improved=p, method=method, n=n)


def row_error(
    metric: Metric,
    y: Array,
    new: Sequence[Array],
    old: Sequence[Array],
    d: float,
    clusters: Array | None,
) -> float:
    """Standard error of d from the rows' losses, carried to the metric's units by the ratio of the two differences."""
    assert metric.row_loss is not None
    one = np.mean([metric.row_loss(y, p) for p in new], axis=0)
    two = np.mean([metric.row_loss(y, p) for p in old], axis=0)
    delta = two - one
    mean = float(delta.mean())
    se = cluster_error(delta, clusters)
    if metric.name in ("rmse", "rmsle", "rmsle_mean_columns"):
        slope = 1 / (2 * max(np.sqrt((one.mean() + two.mean()) / 2), 1e-12))
    elif metric.name == "r2":
        slope = 1 / max(float(np.var(y)), 1e-12)
    else:
        slope = abs(d / mean) if mean else 1.0
    return float(se * slope)


def cluster_error(delta: Array, clusters: Array | None) -> float:
    if clusters is None:
        return float(delta.std(ddof=1) / np.sqrt(len(delta)))
    sums = np.bincount(clusters, weights=delta - delta.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1)) / len(delta))


def bootstrap(
    metric: Metric, y: Array, new: Array, old: Array, clusters: Array | None, seed: int
) -> Array:
    """Replicates of the signed difference over resampled rows (or groups)."""
    rng = np.random.default_rng(seed)
    sign = 1.0 if metric.direction == "max" else -1.0
    if metric.name == "auc" and new.ndim == 1:
        n = max(20, min(N_BOOTSTRAP, BOOTSTRAP_CELLS // len(y)))
        weights = resample(rng, len(y), n, clusters)
        return np.asarray(weighted_auc(y, new, weights) - weighted_auc(y, old, weights))
    found = []
    for weight in resample(rng, len(y), N_SLOW, clusters):
        rows = np.repeat(np.arange(len(y)), weight.astype(int))
        try:
            found.append(
                sign * (metric.score(y[rows], new[rows]) - metric.score(y[rows], old[rows]))
            )
        except ValueError:  # a replicate with one class only
            continue
    return np.asarray(found if len(found) > 1 else [0.0, 0.0])


def resample(rng: np.random.Generator, n_rows: int, n: int, clusters: Array | None) -> Array:
    """How often each row is drawn, shape (n, n_rows)."""
    n_units = n_rows if clusters is None else int(clusters.max()) + 1
    counts = np.stack(
        [np.bincount(rng.integers(0, n_units, n_units), minlength=n_units) for _ in range(n)]
    )
    return counts if clusters is None else counts[:, clusters]


def weighted_auc(y: Array, p: Array, weights: Array) -> Array:
    """AUC under row weights, ties counted half; y of 0 and 1, weights of shape (n, rows)."""
    order = np.argsort(p, kind="stable")
    drawn = weights[:, order]
    positive = drawn * y[order]
    negative = drawn - positive
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    if len(starts) < len(p):
        positive, negative = (
            np.add.reduceat(positive, starts, axis=1),
            np.add.reduceat(negative, starts, axis=1),
        )
    below = np.cumsum(negative, axis=1) - negative / 2
    total = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray(np.einsum("ij,ij->i", positive, below) / np.maximum(total, 1e-12))


def standard_error(metric: Metric, y: Array, p: Array, seed: int) -> float:
    """Of a single score over its rows: from the rows' losses where the metric separates, else by bootstrap."""
    if metric.row_loss is not None:
        losses = metric.row_loss(y, p)
        se = float(losses.std(ddof=1) / np.sqrt(len(losses)))
        if metric.name in ("rmse", "rmsle", "rmsle_mean_columns"):
            return se / (2 * max(float(np.sqrt(losses.mean())), 1e-12))
        return se / max(float(np.var(y)), 1e-12) if metric.name == "r2" else se
    rng = np.random.default_rng(seed)
    if metric.name == "auc" and p.ndim == 1:
        n = max(20, min(N_BOOTSTRAP, BOOTSTRAP_CELLS // len(y)))
        return float(np.std(weighted_auc(y, p, resample(rng, len(y), n, None)), ddof=1))
    found = []
    for _ in range(N_SLOW):
        rows = rng.integers(0, len(y), len(y))
        try:
            found.append(metric.score(y[rows], p[rows]))
        except ValueError:
            continue
    return float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
