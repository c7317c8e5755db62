"""Momentum: which recalled records speak for a change, and which against it. Pure functions on numbers.

`momentum` is a signed kernel vote: every neighbour of a hypothesis votes with its gain in units of noise, a refuted one with
minus; evidence counts more from alike challenges and from the same task. Ablation and constants: docs/memory.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memory.protocol import Recall, Record
from memory.trust import trust

Ranking = Literal["momentum", "similarity", "paper"]
Floats = NDArray[np.float64]

SAME_TASK, OTHER_TASK, OTHER_REFUTED = 1.0, 0.4, 0.05
"""omega: weight of evidence from this task's data, from other data, and of what was refuted on other data: a change fails for many reasons
that belong to one place, so a failure elsewhere says little here (docs/results/momentum.md)."""
APPLIED = 0.65
"""nu: discount of what is like a change already applied here."""
AVOID_BELOW = -0.2
N_AVOID = 2
LEAST = 0.2
"""A hint's cosine is at least this share of the embedding's floor: below it lies what has nothing to do with the query."""
PAPER_GAMMA = math.log(2) / 30
"""The published code's decay over the path's length."""
PAPER_CLAMP = 2.0


def noise_gain(record: Record) -> float:
    """y = tanh(gain / 4 se) in [-1, 1]; refuted records never vote for, accepted never against."""
    y = math.tanh(record.gain / (4 * max(record.gain_se, 1e-12)))
    return min(y, 0.0) if record.kind == "refuted" else max(y, 0.0)


def omega(record: Record, task_hash: str) -> float:
    """Weight of a record as evidence: from this task's data, from other data, or none while it is quarantined."""
    if trust(record) == "quarantined":
        return 0.0
    if record.task_hash == task_hash:
        return SAME_TASK
    return OTHER_TASK if record.kind == "accepted" else OTHER_REFUTED


def near(cosine: Floats, floor: float) -> Floats:
    """K_h: 1 for the same text, 0 at and below the cosine of unrelated texts."""
    return np.clip((cosine - floor) / (1 - floor), 0, 1)


def alike(cosine: Floats) -> Floats:
    """K_c: how far evidence from another challenge counts, .15 to 1."""
    return 0.15 + 0.85 * np.clip((cosine - 0.30) / 0.70, 0, 1)


def vote(y: Floats, kernel: Floats, locality: Floats) -> Floats:
    """m (n,) in (-1, 1): m_r = sum_i w_ri y_i / (1 + sum_i w_ri) with w = kernel (n, n) * locality (n,)."""
    weights = kernel * locality[None, :]
    mean: Floats = (weights @ y) / (1 + weights.sum(axis=1))
    return mean


def score(similarity: Floats, m: Floats, applied: Floats) -> Floats:
    """max(0, cos)^1.5 * max(0, .25 + m) * (1 - nu * nearness to what is already applied)."""
    fit = np.maximum(0, similarity) ** 1.5
    result: Floats = fit * np.maximum(0, 0.25 + m) * (1 - APPLIED * applied)
    return result


def paper_logits(
    similarity: Floats, delta: Floats, length: int, *, alpha: float = 1.0, beta: float = 1.0
) -> Floats:
    """alpha cos exp(-gamma L) + beta tanh(delta), clamped to +-2; delta in metric units, L = changes on the path so far.

    As in the published code, where delta is a difference of scores; a record holds its paired gain, which stands in here.
    """
    logits = alpha * similarity * math.exp(-PAPER_GAMMA * length) + beta * np.tanh(delta)
    return np.clip(logits, -PAPER_CLAMP, PAPER_CLAMP)


def choose(
    records: Sequence[Record],
    similarity: Floats,
    weight: Floats,
    m: Floats | None,
    k: int,
    least: float = 0.0,
    sure: Sequence[bool] | None = None,
) -> list[Recall]:
    """The k best accepted records of positive weight and a cosine above `least` that are `sure`, best first, then
    up to N_AVOID warnings (m < AVOID_BELOW, worst first).

    One hypothesis in the same words is shown once, be it a hint or a warning.
    """
    seen: set[str] = set()
    hints = [
        Recall(record=records[i], similarity=float(similarity[i]), weight=float(weight[i]))
        for i in np.argsort(-weight, kind="stable")
        if records[i].kind == "accepted"
        and weight[i] > 0
        and similarity[i] > least
        and (m is None or m[i] >= AVOID_BELOW)
        if sure is None or sure[i]
    ]
    chosen = _first_of_each(hints, k, seen)
    if m is None:
        return chosen
    doubts = [
        Recall(record=records[i], similarity=float(similarity[i]), weight=float(m[i]))
        for i in np.argsort(m, kind="stable")
        if m[i] < AVOID_BELOW and similarity[i] > least
    ]
    return chosen + _first_of_each(doubts, N_AVOID, seen)


def words(record: Record) -> str:
    """A hypothesis in its words, whatever its blanks and capitals."""
    return " ".join(record.hypothesis.lower().split())


def _first_of_each(recalls: Sequence[Recall], k: int, seen: set[str]) -> list[Recall]:
    chosen: list[Recall] = []
    for recall in recalls:
        key = words(recall.record)
        if len(chosen) < k and key not in seen:
            seen.add(key)
            chosen.append(recall)
    return chosen
