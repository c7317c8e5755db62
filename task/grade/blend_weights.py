"""Weights of a blend: two candidates, and the choice between them, nested over the folds.

*greedy* is forward selection with replacement by the metric itself (Caruana et al., 2004);
*convex* are the non-negative weights with the least squared error (Breiman's stacking, 1996). The
rows of one block of folds are blended by weights that were chosen without them, and the candidate
is chosen without them too: on the other blocks, each blended by weights chosen without it. So the
score of the blend pays for both choices, whatever the metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from task.grade.metric import Metric

Array = NDArray[Any]
BlendMethod = Literal["mean", "rank", "ordinal", "vote"]
Candidate = Literal["greedy", "convex"]
CANDIDATES: tuple[Candidate, ...] = ("greedy", "convex")
MAX_MEMBERS = 16  # of those given, the best by score take part
MAX_ROUNDS = 20
SELECTION_ROWS = 5000  # weights are chosen on a sample of more rows; the score uses all
MIN_BLOCKS, MAX_BLOCKS = 3, 5  # that the folds are dealt into
SCORING_S = 30.0  # of the metric's time: a slow one chooses among fewer members
USUAL_ROUNDS = 6  # of a greedy selection
MIN_WEIGHT = 0.03  # a member with less is left out
SUM_WEIGHT = 1e3  # of the equation that the weights sum to one


@dataclass(eq=False)
class Blending:
    """What weights are chosen on: rows, members' parts, and the truth in the form of a part."""

    metric: Metric
    y: Array  # what the metric takes as the truth
    parts: dict[str, Array]  # by member, a row per row
    blocks: Array  # of every row
    method: BlendMethod
    classes: Array
    target: Array | None  # the truth in the form of a part; None: it has none
    n_rounds: int = MAX_ROUNDS
    seed: int = 0
    candidates: Sequence[Candidate] = CANDIDATES

    def score(self, total: Array, rows: Array) -> float:
        """Return the score of blended parts on these rows, higher is better."""
        p = finish_predictions(total, self.classes, self.method)
        return signed_score(self.metric, self.y[rows], p)


def signed_score(metric: Metric, y: Array, p: Array) -> float:
    """Return the score with higher = better; -inf where it is not defined on these rows."""
    try:
        value = metric.score(y, p)
    except ValueError:
        return -np.inf
    return value if metric.direction == "max" else -value


def finish_predictions(total: Array, classes: Array, method: str) -> Array:
    """Turn the weighted sum of parts into predictions."""
    if method == "vote":
        total = classes[total.argmax(axis=1)]
    elif method == "ordinal":
        total = classes[np.abs(total - classes.reshape(1, -1)).argmin(axis=1)]
    elif total.shape[1] == 1:
        total = total[:, 0]
    return total


def weighted_sum(parts: dict[str, Array], weights: dict[str, float]) -> Array:
    """Return the sum of the members' parts, each times its weight."""
    return np.asarray(sum(weight * parts[name] for name, weight in weights.items()))


# --------------------------------------------------------------------------------------- candidates


def greedy_weights(blending: Blending, rows: Array) -> dict[str, float]:
    """Select members by the metric, with replacement; the weights are their shares.

    Start from the best member and add the one that helps most, as long as one helps.
    """
    parts = {name: part[rows] for name, part in blending.parts.items()}
    counts = dict.fromkeys(parts, 0)
    total, best = np.zeros_like(next(iter(parts.values()))), -np.inf
    for n in range(1, blending.n_rounds + 1):
        scores = {name: blending.score((total + part) / n, rows) for name, part in parts.items()}
        name = max(scores, key=lambda key: (scores[key], key))
        if n > 1 and scores[name] <= best:
            break
        total, best = total + parts[name], scores[name]
        counts[name] += 1
    return normalise_weights({name: float(count) for name, count in counts.items()})


def convex_weights(blending: Blending, rows: Array) -> dict[str, float]:
    """Return the non-negative weights with the least squared error, which sum to one.

    Ranks have no unit: they are fitted about their means and scaled afterwards.
    """
    assert blending.target is not None
    names = list(blending.parts)
    columns = [blending.parts[name][rows] for name in names]
    truth = blending.target[rows]
    if blending.method == "rank":
        columns = [column - column.mean(axis=0) for column in columns]
        truth = truth - truth.mean(axis=0)
    scale = truth.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # every target counts the same
    left = np.stack([(column / scale).ravel() for column in columns], axis=1)
    right = (truth / scale).ravel()
    gram, moments = left.T @ left / len(right), left.T @ right / len(right)
    if blending.method != "rank":
        gram = gram + SUM_WEIGHT
        moments = moments + SUM_WEIGHT
    found = solve_normal(gram, moments)
    return normalise_weights(dict(zip(names, found, strict=True)))


def solve_normal(gram: Array, moments: Array) -> Array:
    """Return the non-negative solution of normal equations, a little regularised."""
    n = len(moments)
    ridge = 1e-6 * float(np.trace(gram)) / n + 1e-12
    root = np.linalg.cholesky(gram + ridge * np.eye(n))
    return np.asarray(nnls(root.T, np.linalg.solve(root, moments))[0])


def normalise_weights(weights: dict[str, float]) -> dict[str, float]:
    """Leave out the lightest members and scale the others to sum to one; all equal if none has."""
    total = sum(weights.values())
    if total <= 0:
        return {name: 1 / len(weights) for name in weights}
    heavy = {name: w / total for name, w in weights.items() if w / total >= MIN_WEIGHT}
    left = sum(heavy.values())
    return {name: weight / left for name, weight in heavy.items()}


FITS: dict[Candidate, Callable[[Blending, Array], dict[str, float]]] = {
    "greedy": greedy_weights,
    "convex": convex_weights,
}


# -------------------------------------------------------------------------------------- the nesting


class Nest:
    """The weights of every candidate without any one or two blocks, each fitted once."""

    def __init__(self, blending: Blending) -> None:
        self.blending = blending
        known = blending.candidates
        if blending.target is None:
            known = [one for one in known if one != "convex"]
        self.candidates: Sequence[Candidate] = known
        self.blocks = [int(block) for block in np.unique(blending.blocks)]
        self._known: dict[tuple[Candidate, frozenset[int]], dict[str, float]] = {}

    def weights(self, candidate: Candidate, left_out: frozenset[int]) -> dict[str, float]:
        """Return a candidate's weights, chosen without these blocks."""
        key = (candidate, left_out)
        if key not in self._known:
            mask = ~np.isin(self.blending.blocks, list(left_out))
            seed = self.blending.seed + sum(1 << block for block in left_out)
            rows = sample_positions(len(mask), mask, seed)
            self._known[key] = FITS[candidate](self.blending, rows)
        return self._known[key]

    def blend(self, candidate: Candidate, held: int, out: frozenset[int]) -> Array:
        """Blend the rows of one block by weights that were chosen without it and `out`."""
        rows = self.blending.blocks == held
        parts = {name: part[rows] for name, part in self.blending.parts.items()}
        return weighted_sum(parts, self.weights(candidate, out | {held}))

    def choose(self, out: frozenset[int] = frozenset()) -> Candidate:
        """Return the candidate with the best nested score outside of `out`."""
        if len(self.candidates) == 1:
            return self.candidates[0]
        inner = [block for block in self.blocks if block not in out]
        rows = np.concatenate([np.flatnonzero(self.blending.blocks == one) for one in inner])

        def nested_score(candidate: Candidate) -> float:
            total = np.concatenate([self.blend(candidate, one, out) for one in inner])
            return self.blending.score(total, rows)

        return max(self.candidates, key=nested_score)


def blend_nested(blending: Blending) -> tuple[Array, dict[str, float], Candidate]:
    """Blend every block without knowing it; return that with weights and candidate of all rows."""
    nest = Nest(blending)
    total = np.zeros_like(next(iter(blending.parts.values())))
    for block in nest.blocks:
        out = frozenset({block})
        total[blending.blocks == block] = nest.blend(nest.choose(out), block, frozenset())
    chosen = nest.choose()
    return total, nest.weights(chosen, frozenset()), chosen


def sample_positions(n: int, rows: Array | None, seed: int) -> Array:
    """Return the positions of `rows` (a mask; None: all n), at most SELECTION_ROWS, in order."""
    positions = np.flatnonzero(rows) if rows is not None else np.arange(n)
    if len(positions) <= SELECTION_ROWS:
        return positions
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(positions, SELECTION_ROWS, replace=False))


def deal_blocks(fold: Array, clusters: Array | None) -> Array:
    """Deal the folds into three to five blocks; one or two folds are divided, groups kept whole."""
    numbers = np.unique(fold, return_inverse=True)[1]
    n_folds = int(numbers.max()) + 1
    if n_folds >= MIN_BLOCKS:
        return np.asarray(numbers % MAX_BLOCKS)
    n_parts = 4 // n_folds
    units = clusters if clusters is not None else np.arange(len(fold))
    return np.asarray(numbers * n_parts + units * n_parts // (int(units.max()) + 1))


def limit_to_time(blending: Blending) -> Blending:
    """Return the blending with so many members and rounds that a slow metric can be waited for."""
    rows = sample_positions(len(blending.y), None, blending.seed)
    first = next(iter(blending.parts.values()))[rows]
    began = time.perf_counter()
    blending.score(first, rows)
    cost_s = time.perf_counter() - began
    n_blocks = len(np.unique(blending.blocks))
    n_fits = 1 + n_blocks + n_blocks * (n_blocks - 1) // 2
    affordable = SCORING_S / max(cost_s, 1e-6) / n_fits
    n_members = min(len(blending.parts), max(2, int(affordable / USUAL_ROUNDS)))
    blending.parts = dict(list(blending.parts.items())[:n_members])
    blending.n_rounds = max(2, min(MAX_ROUNDS, int(affordable / n_members)))
    return blending
