"""Intervals of the evals: paired bootstrap over tasks and, within a task, over seeds.

Every run counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

N_BOOT = 2000
Scores = Mapping[str, Mapping[int, float]]  # task -> seed -> score


class TaskSeed(TypedDict):
    """What every row of a results file has."""

    task: str
    seed: int


Row = TypeVar("Row", bound=TaskSeed)


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval; its text shows signs."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def precise(self) -> str:
        """The text with a third decimal."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @property
    def unsigned(self) -> str:
        """The text without plus signs."""
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def scores_by_task(rows: Iterable[Row], value: Callable[[Row], float]) -> Scores:
    """Return the rows of one strategy and skill as task -> seed -> value."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        scores.setdefault(row["task"], {})[int(row["seed"])] = value(row)
    return scores


def mean_interval(scores: Scores) -> Interval:
    """Return the mean over tasks of the mean over seeds, with its 95 % interval."""
    return bootstrap_interval(
        {task: np.array(list(by_seed.values())) for task, by_seed in scores.items()}
    )


def paired_difference(one: Scores, two: Scores) -> Interval:
    """Return one - two on the tasks and seeds that both have."""
    differences = {}
    for task in sorted(set(one) & set(two)):
        seeds = sorted(set(one[task]) & set(two[task]))
        if seeds:
            differences[task] = np.array([one[task][seed] - two[task][seed] for seed in seeds])
    return bootstrap_interval(differences)


def bootstrap_interval(values: dict[str, NDArray[Any]]) -> Interval:
    """Resample tasks, and seeds within each; NaN without values. `values`: task -> one per seed."""
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
