"""Evidence on order, for metrics that depend on the order of predictions alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.types import OrderStats, TenthOfScores

Array = NDArray[Any]
N_TENTHS = 10
MAX_PLACES = 10  # of a list of guesses that are told apart
RANKED = ("auc", "average_precision")
"""Metrics of probabilities that depend on the order alone."""


def order_stats(y: Array, p: Array) -> OrderStats | None:
    """Say where pairs of a positive and a negative are in the wrong order, by tenth of the score.

    None where one class is missing. Ties count half.
    """
    positive = y == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return None
    lost = np.empty(len(p))  # rows of the other class on the wrong side of each row
    below, above = np.sort(p[~positive]), np.sort(p[positive])
    at_most = np.searchsorted(below, p[positive], "right")
    less = np.searchsorted(below, p[positive], "left")
    lost[positive] = n_negative - (at_most + less) / 2
    lost[~positive] = (
        np.searchsorted(above, p[~positive], "right") + np.searchsorted(above, p[~positive], "left")
    ) / 2
    total = float(lost[positive].sum())
    tenths = [
        TenthOfScores(
            low=float(p[rows].min()),
            n=len(rows),
            rate=float(positive[rows].mean()),
            positives_lost=_share(lost[rows][positive[rows]].sum(), total),
            negatives_lost=_share(lost[rows][~positive[rows]].sum(), total),
        )
        for rows in np.array_split(np.argsort(p, kind="stable"), N_TENTHS)
        if len(rows)
    ]
    return OrderStats(
        inverted=total / (n_positive * n_negative), n_positive=n_positive, tenths=tenths
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0


def order_of_values(y: Array, p: Array) -> OrderStats | None:
    """Say by how much ranks are missed, by tenth of the predicted rank; in shares of all rows."""
    if len(y) < N_TENTHS or np.ptp(y) == 0:
        return None
    true, said = stats.rankdata(y) / len(y), stats.rankdata(p) / len(p)
    tenths = [
        TenthOfScores(
            low=float(p[rows].min()), n=len(rows), bias=float((true[rows] - said[rows]).mean())
        )
        for rows in np.array_split(np.argsort(p, kind="stable"), N_TENTHS)
    ]
    return OrderStats(missed=float(np.abs(true - said).mean()), tenths=tenths)


def hits_by_place(y: Array, rankings: Array, k: int) -> dict[str, float]:
    """Return the share of rows whose true class stands at each place of a list, and at none."""
    hits = dict.fromkeys([*range(min(k, MAX_PLACES)), -1], 0)
    for true, ranking in zip(y.ravel(), rankings.ravel(), strict=True):
        words = ranking.split() if isinstance(ranking, str) else ranking
        guesses = list(dict.fromkeys(map(str, words)))[:k]
        place = guesses.index(str(true)) if str(true) in guesses else -1
        if place in hits:
            hits[place] += 1
    names = {place: f"place {place + 1}" if place >= 0 else "not listed" for place in hits}
    return {names[place]: n / max(1, len(y)) for place, n in hits.items()}
