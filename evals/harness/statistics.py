"""Intervals of the evals: paired bootstrap over tasks and, within a task, over seeds.  Every run counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

N_BOOT = 2000
Scores = Mapping[str, Mapping[int, float]]  # task -> seed -> score


class Interval(NamedTuple):
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def plain(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def table(
    rows: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]
) -> dict[str, dict[int, float]]:
    """Rows of one strategy and skill as task -> seed -> value."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        found.setdefault(row["task"], {})[int(row["seed"])] = value(row)
    return found


def mean(scores: Scores) -> Interval:
    """Mean over tasks of the mean over seeds, with its 95 % interval."""
    return resampled({task: np.array(list(by_seed.values())) for task, by_seed in scores.items()})


def difference(one: Scores, two: Scores) -> Interval:
    """one - two on the tasks and seeds that both have."""
    paired = {}
    for task in sorted(set(one) & set(two)):
        seeds = sorted(set(one[task]) & set(two[task]))
        if seeds:
            paired[task] = np.array([one[task][seed] - two[task][seed] for seed in seeds])
    return resampled(paired)


def resampled(values: dict[str, Any]) -> Interval:
    if not values:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    tasks = list(values.values())
    draws = np.empty(N_BOOT)
    for i in range(N_BOOT):
        chosen = rng.integers(0, len(tasks), len(tasks))
        draws[i] = np.mean([np.mean(rng.choice(tasks[j], len(tasks[j]))) for j in chosen])
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(np.mean([np.mean(task) for task in tasks])), float(low), float(high))
