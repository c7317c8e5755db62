"""How predictions of other attempts relate to a script's, and what their mean would bring."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from task.grade import compare
from task.grade.evidence import clean_json, row_losses
from task.grade.order import RANKED
from task.grade.predictions import (
    PredictionsError,
    Said,
    Truth,
    get_truth,
    read_earlier,
    read_said,
)
from task.grade.row_errors import signed_residuals, worst_rows
from task.types import Closer, Prepared, RelationJson

Array = NDArray[Any]
MAX_ROWS = 50_000  # of a longer table, drawn once
MIN_ROWS = 20


def look_closer(prepared: Prepared, own: str, others: dict[str, str]) -> Closer:
    """Relate the out-of-fold files of other attempts to a script's, and quote its worst rows.

    The evidence of an attempt quotes no rows: it is exported with a run.

    Args:
        prepared: the task.
        own: path of the script's file.
        others: path of the file of each other attempt, by id. One that cannot be read is left out.
    """
    truth = get_truth(prepared)
    mine, relations = read_earlier(truth, own), {}
    soft = read_soft(truth, own)
    for name, path in others.items():
        try:
            relations[name] = relate_pair(truth, mine, read_earlier(truth, path))
            other = None if soft is None else read_soft(truth, path)
            if soft is not None and other is not None:
                relations[name] = relate_soft(truth, soft, other, relations[name])
        except (PredictionsError, OSError, ValueError):
            continue
    if soft is not None:
        truth, mine = truth.soft_truth, soft.flatten(truth)
    losses = row_losses(truth, mine)
    has_worst = losses is not None and truth.prepared.task.kind != "text"
    has_worst = has_worst and truth.metric.name not in RANKED
    worst = worst_rows(truth, mine, losses) if has_worst and losses is not None else []
    return clean_json(Closer(relations=relations, worst=worst))  # type: ignore[no-any-return]


@lru_cache(maxsize=32)
def read_soft(truth: Truth, path: str) -> Said | None:
    """Read what an out-of-fold file holds in place of labels; None where it holds labels."""
    said = read_said(truth, path, "oof.csv", truth.validated_ids)
    return None if said.soft is None else said


def relate_soft(truth: Truth, mine: Said, other: Said, relation: RelationJson) -> RelationJson:
    """Relate what labels are made of: how alike errors are, and what the mean of both scores."""
    twin = truth.soft_truth
    how, alike = correlate_errors(twin, mine.flatten(truth), other.flatten(truth))
    assert mine.soft is not None and other.soft is not None
    both = Said(None, (mine.soft + other.soft) / 2).decode(truth)
    metric, y = truth.metric, truth.scored
    sign = 1 if metric.direction == "max" else -1
    better = max((mine.decode(truth), other.decode(truth)), key=lambda p: sign * metric.score(y, p))
    paired = compare.compare_predictions(metric, y, [both], [better], truth.clusters, 0, truth.fold)
    found = relation | {"alike": alike, "how": how}
    return found | {"half_gain": paired["d"], "half_se": paired["se"]}


def relate_pair(truth: Truth, mine: Array, other: Array) -> RelationJson:
    """Relate two predictions: how alike their errors are, and what their mean scores."""
    how, alike = correlate_errors(truth, mine, other)
    gain, se = half_gain(truth, mine, other)
    score = float(truth.metric.score(truth.scored, other))
    return RelationJson(alike=alike, how=how, score=score, half_gain=gain, half_se=se)


def correlate_errors(truth: Truth, mine: Array, other: Array) -> tuple[str, float | None]:
    """Return what is correlated and the correlation; None where nothing varies."""
    if truth.metric.name in RANKED and mine.ndim == 1:
        classes = [truth.y == label for label in (0, 1)]
        found = [_correlate(stats.rankdata(mine[k]), stats.rankdata(other[k])) for k in classes]
        known = [value for value in found if value is not None]
        return "order within each class", float(np.mean(known)) if known else None
    residuals = [signed_residuals(truth, p) for p in (mine, other)]
    if residuals[0] is not None and residuals[1] is not None:
        return "residuals", _correlate(residuals[0].ravel(), residuals[1].ravel())
    losses = [row_losses(truth, p) for p in (mine, other)]
    if losses[0] is None or losses[1] is None:
        return "losses by row", None
    return "losses by row", _correlate(losses[0], losses[1])


def _correlate(one: Array, two: Array) -> float | None:
    if len(one) < MIN_ROWS or one.std() == 0 or two.std() == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def half_gain(truth: Truth, mine: Array, other: Array) -> tuple[float | None, float | None]:
    """Return the gain of the mean of both over the better of the two, with its standard error.

    Nothing is fitted, so the number is honest. None for labels, lists and texts.
    """
    metric = truth.metric
    if metric.needs not in ("probability", "value") or metric.is_whole:
        return None, None
    if mine.shape != other.shape or mine.dtype == object or metric.frame is not None:
        return None, None
    rows = sample_rows(len(mine))
    y = truth.scored[rows]
    one, two = mine[rows], other[rows]
    sides = (one, two)
    if metric.name in RANKED and one.ndim == 1:
        sides = (stats.rankdata(one) / len(one), stats.rankdata(two) / len(two))
    both = (sides[0] + sides[1]) / 2
    sign = 1 if metric.direction == "max" else -1
    better = max((one, two), key=lambda p: sign * metric.score(y, p))
    clusters = None if truth.clusters is None else truth.clusters[rows]
    paired = compare.compare_predictions(
        metric, y, [both], [better], _renumber(clusters), 0, truth.fold[rows]
    )
    return paired["d"], paired["se"]


def _renumber(clusters: Array | None) -> Array | None:
    return None if clusters is None else np.unique(clusters, return_inverse=True)[1]


def sample_rows(n: int) -> Array:
    """Return the positions of at most MAX_ROWS rows, always the same."""
    if n <= MAX_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MAX_ROWS, replace=False))
