"""Momentum: which recalled records speak for a change, and which against it. Pure functions.

`momentum` is a signed kernel vote: every neighbor of a hypothesis votes with its gain in units of
noise, a refuted one against; evidence counts more from similar challenges and from the same task.
Ablation and constants: docs/memory.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memory.protocol import Recall, Record
from memory.trust import trust_level

Ranking = Literal["momentum", "paper"]
Floats = NDArray[np.float64]

SAME_TASK, OTHER_TASK, OTHER_REFUTED = 1.0, 0.4, 0.05
"""omega: weight of evidence from this task's data, from other data, of refutations on other data.

A change fails for many local reasons, so a failure elsewhere says little here
(docs/results/momentum.md)."""
APPLIED_DISCOUNT = 0.65
"""nu: discount of a hypothesis that resembles a change already applied here."""
AVOID_BELOW = -0.2
N_AVOID = 2
MIN_FLOOR_SHARE = 0.2
"""A hint's cosine is at least this share of the embedding's floor: below, texts are unrelated."""
PAPER_GAMMA = math.log(2) / 30
"""Decay of the published code over the path's length."""
PAPER_CLAMP = 2.0


def noise_gain(record: Record) -> float:
    """Return y = tanh(gain / 4 se) in [-1, 1].

    Refuted records never vote for, accepted ones never against.
    """
    y = math.tanh(record.gain / (4 * max(record.gain_se, 1e-12)))
    return min(y, 0.0) if record.kind == "refuted" else max(y, 0.0)


def evidence_weight(record: Record, task_hash: str) -> float:
    """Return omega, a record's weight as evidence for this task; 0 while it is quarantined."""
    if trust_level(record) == "quarantined":
        return 0.0
    if record.task_hash == task_hash:
        return SAME_TASK
    return OTHER_TASK if record.kind == "accepted" else OTHER_REFUTED


def hypothesis_kernel(cosine: Floats, floor: float) -> Floats:
    """Return K_h: 1 for the same text, 0 at and below the cosine of unrelated texts."""
    return np.clip((cosine - floor) / (1 - floor), 0, 1)


def challenge_kernel(cosine: Floats) -> Floats:
    """Return K_c, how much evidence from another challenge counts: .15 to 1."""
    return 0.15 + 0.85 * np.clip((cosine - 0.30) / 0.70, 0, 1)


def neighbor_vote(y: Floats, kernel: Floats, locality: Floats) -> Floats:
    """Return m (n,) in (-1, 1): a weighted mean of the neighbors' gains, shrunk towards 0.

    m_r = sum_i w_ri y_i / (1 + sum_i w_ri) with w = kernel (n, n) * locality (n,).
    """
    weights = kernel * locality[None, :]
    mean: Floats = (weights @ y) / (1 + weights.sum(axis=1))
    return mean


def ranking_score(similarity: Floats, m: Floats, applied: Floats) -> Floats:
    """Return max(0, cos)^1.5 * max(0, .25 + m) * (1 - nu * applied).

    `applied` is the nearness to the changes that are applied already.
    """
    fit = np.maximum(0, similarity) ** 1.5
    result: Floats = fit * np.maximum(0, 0.25 + m) * (1 - APPLIED_DISCOUNT * applied)
    return result


def paper_logits(
    similarity: Floats, delta: Floats, length: int, *, alpha: float = 1.0, beta: float = 1.0
) -> Floats:
    """Return alpha cos exp(-gamma L) + beta tanh(delta), clamped to +-2, as the published code.

    L is the number of changes on the path so far. The published delta is a difference of scores;
    here it is the record's paired gain in metric units, as records hold no absolute score.
    """
    logits = alpha * similarity * math.exp(-PAPER_GAMMA * length) + beta * np.tanh(delta)
    return np.clip(logits, -PAPER_CLAMP, PAPER_CLAMP)


def choose_recalls(
    records: Sequence[Record],
    similarity: Floats,
    weight: Floats,
    vote: Floats,
    k: int,
    least: float = 0.0,
    confirmed: Sequence[bool] | None = None,
) -> list[Recall]:
    """Return up to k hints, best first, then up to N_AVOID warnings, worst first.

    A hint is an accepted record that is `confirmed` (None: all are), has a positive weight, a
    cosine above `least` and no vote below AVOID_BELOW. A warning is any record with such a vote.
    One hypothesis in the same words is returned once, be it as a hint or as a warning.
    """
    is_confirmed = np.ones(len(records), dtype=bool) if confirmed is None else np.array(confirmed)
    is_accepted = np.array([record.kind == "accepted" for record in records])
    is_close = similarity > least
    is_hint = is_accepted & is_confirmed & is_close & (weight > 0) & (vote >= AVOID_BELOW)
    is_warning = is_close & (vote < AVOID_BELOW)

    def ordered(chosen: NDArray[np.bool_], values: Floats, order: Floats) -> list[Recall]:
        return [
            Recall(record=records[i], similarity=float(similarity[i]), weight=float(values[i]))
            for i in np.argsort(order, kind="stable")
            if chosen[i]
        ]

    seen: set[str] = set()
    hints = _first_of_each_hypothesis(ordered(is_hint, weight, -weight), k, seen)
    warnings = _first_of_each_hypothesis(ordered(is_warning, vote, vote), N_AVOID, seen)
    return hints + warnings


def hypothesis_key(record: Record) -> str:
    """Return the words of a hypothesis, regardless of blanks and case."""
    return " ".join(record.hypothesis.lower().split())


def _first_of_each_hypothesis(recalls: Sequence[Recall], k: int, seen: set[str]) -> list[Recall]:
    """The first k recalls whose hypothesis is not in `seen`, which grows by theirs."""
    chosen: list[Recall] = []
    for recall in recalls:
        key = hypothesis_key(recall.record)
        if len(chosen) < k and key not in seen:
            seen.add(key)
            chosen.append(recall)
    return chosen
