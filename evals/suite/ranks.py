"""Ranks and normalised scores of contestants over tasks, with bootstrap intervals over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evals.harness.statistics import Interval, bootstrap_interval
from task.grade.metrics import get_metric

Rows = Sequence[Mapping[str, Any]]


def ranks_by_task(rows: Rows, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return task -> contestant -> rank, 1 the best; equal scores share the mean of their ranks.

    Without a valid submission a contestant is last. Only tasks that all contestants have count.
    """
    wanted, ranks = list(names), {}
    for task in dict.fromkeys(row["task"] for row in rows):
        scores = {row["contestant"]: row for row in rows if row["task"] == task}
        if set(wanted) <= set(scores):
            values = [comparable_score(scores[name]) for name in wanted]
            ranks[task] = dict(zip(wanted, rank_values(values), strict=True))
    return ranks


def comparable_score(row: Mapping[str, Any]) -> float:
    """Return a row's private score with higher as better; minus infinity without one."""
    if row["private"] is None:
        return -np.inf
    sign = 1 if get_metric(row["metric"]).direction == "max" else -1
    return float(sign * row["private"])


def rank_values(values: Sequence[float]) -> list[float]:
    """Return ranks, 1 for the highest; ties share their mean."""
    return [
        1 + sum(other > value for other in values) + (sum(o == value for o in values) - 1) / 2
        for value in values
    ]


def normalise_score(row: Mapping[str, Any], rows: Rows) -> float:
    """Return a score on a scale from the sample submission, 0, to the best of `rows`, 1.

    Without a valid submission it is 0; nothing counts less than -1.
    """
    own = comparable_score(row)
    if row["private"] is None:
        return 0.0
    start = comparable_score({**row, "private": row["sample"]})
    best = max(comparable_score(one) for one in rows)
    if best <= start:
        return 0.0
    return float(max(-1.0, (own - start) / (best - start)))


class Contest:
    """The rows of the tasks that all of some contestants have, with ranks and normalised scores."""

    def __init__(self, rows: Rows, names: Sequence[str]) -> None:
        self.names = list(names)
        self.ranks = ranks_by_task(rows, names)
        wanted = [row for row in rows if row["task"] in self.ranks and row["contestant"] in names]
        self.rows = {(row["task"], row["contestant"]): row for row in wanted}
        self.normalised = {
            (task, name): normalise_score(row, [self.rows[task, one] for one in names])
            for (task, name), row in self.rows.items()
        }

    def of(self, name: str) -> list[Mapping[str, Any]]:
        """Return the rows of a contestant."""
        return [self.rows[task, name] for task in self.ranks]

    def mean_rank(self, name: str) -> Interval:
        """Return the mean rank over the tasks."""
        return bootstrap_interval({t: np.array([by[name]]) for t, by in self.ranks.items()})

    def mean_normalised(self, name: str, other: str = "") -> Interval:
        """Return the mean normalised score, or its paired difference to another contestant's."""
        return bootstrap_interval(
            {
                task: np.array(
                    [self.normalised[task, name] - self.normalised.get((task, other), 0.0)]
                )
                for task in self.ranks
            }
        )

    def count_better(self, name: str, other: str) -> tuple[int, int, int]:
        """Return on how many tasks the first is better, equal and worse than the other."""
        pairs = [(by[name], by[other]) for by in self.ranks.values()]
        return (
            sum(a < b for a, b in pairs),
            sum(a == b for a, b in pairs),
            sum(a > b for a, b in pairs),
        )
