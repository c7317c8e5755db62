"""Metrics of labels from confusion matrices, many at a time: decoders try many thresholds.

A matrix is (…, K, K): true classes by predicted ones. `tests/test_task_soft.py` compares each with
the metric itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def count_pairs(true: Array, said: Array, n_classes: int) -> Array:
    """Return the confusion matrix of class positions."""
    flat = np.bincount(true * n_classes + said, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)


def score_matrices(name: str, counts: Array) -> Array:
    """Return the score of every matrix by the metric of this name."""
    counts = np.asarray(counts, dtype=float)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, said = counts.sum(axis=-1), counts.sum(axis=-2)
    if name == "accuracy":
        return _ratio(hits.sum(axis=-1), true.sum(axis=-1))
    if name == "balanced_accuracy":
        return _ratio(_ratio(hits, true).sum(axis=-1), (true > 0).sum(axis=-1))
    if name == "mcc":
        return _correlation(hits, true, said)
    if name == "qwk":
        return _kappa(counts, true, said)
    if name == "jaccard":
        by_class = _ratio(hits, true + said - hits)
    else:
        by_class = _ratio(2 * hits, true + said)
    if name == "f1":
        return np.asarray(by_class[..., 1])
    if name == "f1_weighted":
        return _ratio((by_class * true).sum(axis=-1), true.sum(axis=-1))
    return _ratio(by_class.sum(axis=-1), (true + said > 0).sum(axis=-1))


def _ratio(one: Array, two: Array) -> Array:
    """One over two; 0 where two is."""
    return np.asarray(np.divide(one, two, out=np.zeros_like(one * two, dtype=float), where=two > 0))


def _correlation(hits: Array, true: Array, said: Array) -> Array:
    total = true.sum(axis=-1)
    shared = hits.sum(axis=-1) * total - (true * said).sum(axis=-1)
    spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (said**2).sum(axis=-1))
    return _ratio(shared, np.sqrt(spread))


def _kappa(counts: Array, true: Array, said: Array) -> Array:
    places = np.arange(counts.shape[-1])
    distance = (places[:, None] - places[None, :]) ** 2
    expected = (
        true[..., :, None] * said[..., None, :] / np.maximum(true.sum(axis=-1), 1)[..., None, None]
    )
    by_chance = (expected * distance).sum(axis=(-2, -1))
    return np.asarray(1 - _ratio((counts * distance).sum(axis=(-2, -1)), by_chance))
