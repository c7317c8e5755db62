"""Scores with their standard errors, and paired differences on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.grade.metric import Metric
from task.grade.predictions import Truth
from task.types import CompareMethod, PairedJson, ScoreJson

Array = NDArray[Any]
N_BOOTSTRAP = 200
BOOTSTRAP_CELLS = 4_000_000  # replicates x rows of the fast path
N_SLOW = 40  # replicates of metrics without a fast path
N_PARTS = 5
FEW_FOLDS = {2: 1.84, 3: 1.32, 4: 1.20, 5: 1.14, 6: 1.11}
"""Student's t over the normal at one standard error: the spread of few folds is uncertain."""
ROOT_METRICS = ("rmse", "rmsle", "rmsle_mean_columns")  # the square root of a mean loss


def score_predictions(truth: Truth, p: Array) -> ScoreJson:
    """Score all validated rows and each fold; the standard error is that of the rows.

    Only a metric that cannot be resampled takes the spread over the folds instead.
    """
    y = truth.scored
    folds = []
    for k in np.unique(truth.fold):
        rows = truth.fold == k
        try:
            folds.append(float(truth.metric.score(y[rows], p[rows])))
        except ValueError:  # a fold with one class only
            continue
    se = spread_of_folds(folds)
    if truth.metric.row_loss is not None or truth.metric.resample == "rows":
        se = standard_error(truth.metric, y, p, 0, truth.clusters) or se
    return ScoreJson(value=truth.metric.score(y, p), se=se, folds=folds, n=len(y))


def spread_of_folds(folds: Sequence[float]) -> float:
    """Return the standard error of the mean over the folds; 0 for one fold."""
    return float(np.std(folds, ddof=1) / np.sqrt(len(folds))) if len(folds) > 1 else 0.0


def compare_predictions(
    metric: Metric,
    y: Array,
    new: Sequence[Array],
    old: Sequence[Array],
    clusters: Array | None,
    seed: int,
    folds: Array | None = None,
) -> PairedJson:
    """Return the improvement of `new` over `old` on the same rows; positive is better.

    Each side is the predictions of one pipeline under one or more seeds; the difference of the
    means is judged. Rows with the same number in `clusters` count as one. `folds`: fold of every
    row, by which metrics that cannot be resampled are judged.
    """
    sign = 1.0 if metric.direction == "max" else -1.0
    means = [float(np.mean([metric.score(y, p) for p in side])) for side in (new, old)]
    d = sign * (means[0] - means[1])
    method: CompareMethod = "rows"
    if metric.row_loss is not None:
        se = row_error(metric, y, new, old, d, clusters)
    elif metric.resample == "folds":
        method = "folds"
        se = fold_error(metric, y, new, old, folds)
    else:
        method = "bootstrap"
        pairs = [(p, q) for p in new for q in old]
        replicates = [bootstrap_differences(metric, y, p, q, clusters, seed) for p, q in pairs]
        se = float(np.std(np.mean(replicates, axis=0), ddof=1))
    se = float(np.hypot(se, seed_error(metric, y, new, old)))
    return PairedJson(
        d=d,
        se=se,
        p_improved=improvement_probability(d, se),
        method=method,
        n=len(y),
        new=means[0],
        old=means[1],
    )


def seed_error(metric: Metric, y: Array, new: Sequence[Array], old: Sequence[Array]) -> float:
    """Return what the spread over seeds adds to the standard error.

    It is half of the spread, since the rows' error contains the rest (docs/decisions/0008).
    """
    variance = sum(
        float(np.var([metric.score(y, p) for p in side], ddof=1)) / len(side)
        for side in (new, old)
        if len(side) > 1
    )
    return float(np.sqrt(variance / 2))


def fold_error(
    metric: Metric, y: Array, new: Sequence[Array], old: Sequence[Array], folds: Array | None
) -> float:
    """Return the standard error of a difference from its spread over the folds.

    Rows without folds (held-back ones) are dealt into parts.
    """
    parts = np.arange(len(y)) % N_PARTS if folds is None else folds
    differences = []
    for part in np.unique(parts):
        rows = parts == part
        try:
            sides = [np.mean([metric.score(y[rows], p[rows]) for p in side]) for side in (new, old)]
        except ValueError:  # a part that cannot be scored
            continue
        differences.append(sides[0] - sides[1])
    if len(differences) < 2:
        return 0.0
    spread = float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    return spread * FEW_FOLDS.get(len(differences), 1.0)


def improvement_probability(d: float, se: float) -> float:
    """Return the probability that a difference with a normal error is an improvement."""
    return float(stats.norm.cdf(d / se)) if se > 0 else 0.5 + 0.5 * ((d > 0) - (d < 0))


def row_error(
    metric: Metric,
    y: Array,
    new: Sequence[Array],
    old: Sequence[Array],
    d: float,
    clusters: Array | None,
) -> float:
    """Return the standard error of `d` from the rows' losses, in the metric's units.

    The unit is converted by the metric's slope in the mean loss (delta method) or, for other
    metrics, by the ratio of the two differences.
    """
    assert metric.row_loss is not None
    one = np.mean([metric.row_loss(y, p) for p in new], axis=0)
    two = np.mean([metric.row_loss(y, p) for p in old], axis=0)
    delta = two - one
    mean = float(delta.mean())
    se = cluster_error(delta, clusters)
    if metric.name in ROOT_METRICS:
        slope = 1 / (2 * max(np.sqrt((one.mean() + two.mean()) / 2), 1e-12))
    elif metric.name == "r2":
        slope = 1 / max(float(np.var(y)), 1e-12)
    else:
        slope = abs(d / mean) if mean else 1.0
    return float(se * slope)


def cluster_error(delta: Array, clusters: Array | None) -> float:
    """Return the standard error of a mean of rows; rows of one cluster count as one."""
    if clusters is None:
        return float(delta.std(ddof=1) / np.sqrt(len(delta)))
    sums = np.bincount(clusters, weights=delta - delta.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1)) / len(delta))


def bootstrap_differences(
    metric: Metric, y: Array, new: Array, old: Array, clusters: Array | None, seed: int
) -> Array:
    """Return replicates of the signed difference over resampled rows or clusters."""
    rng = np.random.default_rng(seed)
    sign = 1.0 if metric.direction == "max" else -1.0
    if metric.name == "auc" and new.ndim == 1:
        n = count_replicates(len(y))
        weights = draw_row_counts(rng, len(y), n, clusters)
        return np.asarray(weighted_auc(y, new, weights) - weighted_auc(y, old, weights))
    replicates = []
    for counts in draw_row_counts(rng, len(y), N_SLOW, clusters):
        rows = np.repeat(np.arange(len(y)), counts.astype(int))
        try:
            difference = metric.score(y[rows], new[rows]) - metric.score(y[rows], old[rows])
        except ValueError:  # a replicate with one class only
            continue
        replicates.append(sign * difference)
    return np.asarray(replicates if len(replicates) > 1 else [0.0, 0.0])


def count_replicates(n_rows: int) -> int:
    """Return how many replicates the fast path draws: fewer of more rows, for memory."""
    return max(20, min(N_BOOTSTRAP, BOOTSTRAP_CELLS // n_rows))


def draw_row_counts(rng: np.random.Generator, n_rows: int, n: int, clusters: Array | None) -> Array:
    """Draw rows or clusters with replacement; return how often each row is drawn, (n, n_rows)."""
    n_units = n_rows if clusters is None else int(clusters.max()) + 1
    counts = np.stack(
        [np.bincount(rng.integers(0, n_units, n_units), minlength=n_units) for _ in range(n)]
    )
    return counts if clusters is None else counts[:, clusters]


def weighted_auc(y: Array, p: Array, weights: Array) -> Array:
    """Return the AUC under row weights, ties counted half.

    y of 0 and 1, shape (rows,); weights of shape (n, rows); answer of shape (n,).
    """
    order = np.argsort(p, kind="stable")
    drawn = weights[:, order]
    positive = drawn * y[order]
    negative = drawn - positive
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    if len(starts) < len(p):
        positive = np.add.reduceat(positive, starts, axis=1)
        negative = np.add.reduceat(negative, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    total = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray(np.einsum("ij,ij->i", positive, below) / np.maximum(total, 1e-12))


def standard_error(
    metric: Metric, y: Array, p: Array, seed: int, clusters: Array | None = None
) -> float:
    """Return the standard error of one score over its rows, or over whole clusters of them.

    From the rows' losses where the metric separates, else by bootstrap.
    """
    if metric.row_loss is not None:
        losses = np.asarray(metric.row_loss(y, p), dtype=float)
        se = cluster_error(losses, clusters) if len(losses) > 1 else 0.0
        if metric.name in ROOT_METRICS:
            return se / (2 * max(float(np.sqrt(losses.mean())), 1e-12))
        return se / max(float(np.var(y)), 1e-12) if metric.name == "r2" else se
    rng = np.random.default_rng(seed)
    if metric.name == "auc" and p.ndim == 1:
        counts = draw_row_counts(rng, len(y), count_replicates(len(y)), clusters)
        return float(np.std(weighted_auc(y, p, counts), ddof=1))
    scores = []
    for counts in draw_row_counts(rng, len(y), N_SLOW, clusters):
        rows = np.repeat(np.arange(len(y)), counts.astype(int))
        try:
            scores.append(metric.score(y[rows], p[rows]))
        except ValueError:
            continue
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
