"""Decoders: labels of probabilities and of values, fitted to the metric on other rows.

`argmax` takes the most likely class, `top` lists the most likely ones, `weights` takes the largest
weighted probability (of two classes: a threshold), `cuts` cuts values between the labels. Weights
and cut points of a fold are fitted on the other folds, those of the test rows on all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from task.grade.soft.confusion import count_pairs, score_matrices
from task.types import SoftDecoder

Array = NDArray[Any]
FIT_ROWS = 20_000  # of more rows, thresholds are fitted on a sample
N_THRESHOLDS = 400
N_CUTS = 24  # places tried for a cut point
N_PASSES = 2
FACTORS = np.geomspace(0.4, 2.5, 13)  # of a class weight
SCORE_NOISE = 0.7  # of a score that is at most 1, times the root of its rows
TINY = 1e-6


class DecodedTarget(NamedTuple):
    """What labels are to be made for: the metric of one column, and the labels."""

    metric: str
    decoder: SoftDecoder
    levels: tuple[Array, ...]  # labels of each column as numbers, in order; classes: their codes


class Decoder(NamedTuple):
    """A fitted decoder."""

    kind: SoftDecoder
    weights: list[float] = []  # noqa: RUF012 - of the classes, in order
    cuts: list[list[float]] = []  # noqa: RUF012 - between the labels, for each column


def fit_decoder(target: DecodedTarget, y: Array, p: Array) -> Decoder:
    """Fit weights or cut points to the metric.

    `y`: class positions, or labels as numbers; `p`: a column per class, or the values.
    """
    if target.decoder not in ("weights", "cuts") or len(y) == 0:
        return default_decoder(target)
    if len(y) > FIT_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(y), FIT_ROWS, replace=False))
        y, p = y[rows], p[rows]
    if target.decoder == "weights":
        places = y.astype(int)
        is_pair = p.shape[1] == 2
        weights = (
            fit_threshold(target.metric, places, p[:, 1])
            if is_pair
            else fit_weights(target.metric, places, p)
        )
        return Decoder("weights", weights=[float(weight) for weight in weights])
    y, p = y.reshape(len(y), -1), p.reshape(len(p), -1)
    cuts = [
        fit_cuts(target.metric, levels, y[:, k], p[:, k]) for k, levels in enumerate(target.levels)
    ]
    return Decoder("cuts", cuts=cuts)


def default_decoder(target: DecodedTarget) -> Decoder:
    """Return the decoder that nothing was fitted for: equal weights, cuts half way."""
    if target.decoder == "weights":
        return Decoder("weights", weights=[1.0] * len(target.levels[0]))
    if target.decoder == "cuts":
        return Decoder("cuts", cuts=[list(middles(levels)) for levels in target.levels])
    return Decoder(target.decoder)


def decode_across_folds(target: DecodedTarget, y: Array, p: Array, folds: Array) -> Array:
    """Decode each fold by what was fitted on the other folds."""
    if target.decoder in ("argmax", "top"):
        return apply_decoder(target, default_decoder(target), p)
    said = np.zeros(p.shape[0] if target.decoder == "weights" else p.shape)
    for k in np.unique(folds):
        held = folds == k
        said[held] = apply_decoder(target, fit_decoder(target, y[~held], p[~held]), p[held])
    return said


def apply_decoder(target: DecodedTarget, decoder: Decoder, p: Array) -> Array:
    """Return the codes of labels; of `top` the positions of the classes, the most likely first."""
    if decoder.kind == "top":
        return np.argsort(-p, axis=1, kind="stable")
    if decoder.kind == "cuts":
        table = p.reshape(len(p), -1)
        columns = [
            levels[np.searchsorted(cuts, table[:, k], side="right")]
            for k, (levels, cuts) in enumerate(zip(target.levels, decoder.cuts, strict=True))
        ]
        return np.asarray(columns[0] if p.ndim == 1 else np.column_stack(columns), dtype=float)
    weighted = p * np.asarray(decoder.weights) if decoder.weights else p
    return np.asarray(target.levels[0][weighted.argmax(axis=1)], dtype=float)


def describe_decoder(decoder: Decoder, labels: list[str]) -> str:
    """Say how labels are made of the predictions of new rows."""
    if decoder.kind == "top":
        return "the most probable classes, best first"
    if decoder.kind == "argmax":
        return "the most probable class"
    if decoder.kind == "cuts":
        shown = ["/".join(f"{cut:.3g}" for cut in cuts) for cuts in decoder.cuts[:6]]
        return f"cut at {', '.join(shown)}"
    weights = np.asarray(decoder.weights)
    if len(weights) == 2:
        return f"{labels[1]} from a probability of {weights[0] / weights.sum():.3g}"
    pairs = list(zip(labels, weights / weights.mean(), strict=True))
    shown = [f"{label} {weight:.2g}" for label, weight in pairs[:6]]
    return f"the largest probability times {', '.join(shown)}" + (" …" if len(pairs) > 6 else "")


def fit_threshold(metric: str, y: Array, p: Array) -> Array:
    """Return weights of two classes, from many thresholds for the second.

    The score hardly changes about its maximum, so the best threshold is mostly luck. All are
    averaged by rank instead, each with a weight that falls by the noise of the score; the best one
    is taken where the average lies between two that are good.
    """
    order = np.argsort(p, kind="stable")
    y, p = y[order], p[order]
    edges = np.flatnonzero(np.diff(p) > 0) + 1  # a threshold lies between two distinct values
    if len(edges) > N_THRESHOLDS:
        edges = edges[np.linspace(0, len(edges) - 1, N_THRESHOLDS).astype(int)]
    if len(edges) == 0:
        return np.ones(2)
    below = np.cumsum(y)[edges - 1]  # positives that would be called negative
    n_pos = int(y.sum())
    counts = np.empty((len(edges), 2, 2))
    counts[:, 1, 0], counts[:, 1, 1] = below, n_pos - below
    counts[:, 0, 0] = edges - below
    counts[:, 0, 1] = len(y) - n_pos - counts[:, 0, 0]
    scores = score_matrices(metric, counts)
    thresholds = (p[edges - 1] + p[edges]) / 2
    noise = SCORE_NOISE / np.sqrt(len(y))
    shares = np.exp((scores - scores.max()) / noise)
    place = round(float(shares @ np.arange(len(edges)) / shares.sum()))
    best = np.flatnonzero(scores >= scores.max() - TINY)
    if len(best) == len(edges) or scores[place] < scores.max() - 2 * noise:
        place = int(best[np.argmin(np.abs(thresholds[best] - 0.5))])
    threshold = thresholds[place]
    return np.array([np.clip(threshold, TINY, 1 - TINY), np.clip(1 - threshold, TINY, 1 - TINY)])


def fit_weights(metric: str, y: Array, p: Array) -> Array:
    """Return class weights by coordinate search, from equal ones or the inverse of the rates."""
    n_classes = p.shape[1]
    rates = np.bincount(y, minlength=n_classes) / len(y)
    starts = [np.ones(n_classes), 1 / np.maximum(rates, 1 / len(y))]
    found = []
    for start in starts:
        weights, score = start.copy(), _score_weights(metric, y, p, start)
        for _ in range(N_PASSES):
            for k in range(n_classes):
                weights, score = _improve_weight(metric, y, p, weights, k, score)
        found.append((score, weights))
    best = found[0] if found[0][0] >= found[1][0] - TINY else found[1]
    return np.asarray(best[1] / best[1].mean())


def _score_weights(metric: str, y: Array, p: Array, weights: Array) -> float:
    counts = count_pairs(y, (p * weights).argmax(axis=1), p.shape[1])
    return float(score_matrices(metric, counts))


def _improve_weight(
    metric: str, y: Array, p: Array, weights: Array, k: int, score: float
) -> tuple[Array, float]:
    weighted = p * weights
    own = weighted[:, k].copy()
    weighted[:, k] = -1.0
    others, best_other = weighted.max(axis=1), weighted.argmax(axis=1)
    n_classes = p.shape[1]
    counts = np.stack(
        [
            count_pairs(y, np.where(own * factor > others, k, best_other), n_classes)
            for factor in FACTORS
        ]
    )
    scores = score_matrices(metric, counts)
    place = int(scores.argmax())
    if scores[place] <= score + TINY:
        return weights, score
    changed = weights.copy()
    changed[k] *= FACTORS[place]
    return changed, float(scores[place])


def middles(levels: Array) -> Array:
    """Return the points half way between labels."""
    return np.asarray((levels[:-1] + levels[1:]) / 2)


def fit_cuts(metric: str, levels: Array, y: Array, values: Array) -> list[float]:
    """Return cut points by coordinate search, from half way or as many rows of each label."""
    places = np.searchsorted(levels, y)
    shares = np.cumsum(np.bincount(places, minlength=len(levels)))[:-1] / len(y)
    found = []
    for start in (middles(levels), np.quantile(values, shares)):
        cuts, score = start.copy(), _score_cuts(metric, places, values, start)
        for _ in range(N_PASSES):
            for k in range(len(cuts)):
                cuts, score = _improve_cut(metric, places, values, cuts, k, score)
        found.append((score, cuts))
    best = found[0] if found[0][0] >= found[1][0] - TINY else found[1]
    return [float(cut) for cut in best[1]]


def _score_cuts(metric: str, places: Array, values: Array, cuts: Array) -> float:
    said = np.searchsorted(cuts, values, side="right")
    return float(score_matrices(metric, count_pairs(places, said, len(cuts) + 1)))


def _improve_cut(
    metric: str, places: Array, values: Array, cuts: Array, k: int, score: float
) -> tuple[Array, float]:
    low = cuts[k - 1] if k > 0 else -np.inf
    high = cuts[k + 1] if k + 1 < len(cuts) else np.inf
    between = values[(values > low) & (values < high)]
    if len(between) < 2:
        return cuts, score
    tried = np.unique(np.quantile(between, np.linspace(0.02, 0.98, N_CUTS)))
    changed = [np.concatenate([cuts[:k], [cut], cuts[k + 1 :]]) for cut in tried]
    scores = [_score_cuts(metric, places, values, each) for each in changed]
    place = int(np.argmax(scores))
    return (changed[place], scores[place]) if scores[place] > score + TINY else (cuts, score)
