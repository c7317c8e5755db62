"""When a step measures again instead of changing: two solutions that noise cannot tell apart. Pure.

Late in a run the order of the best two decides what is handed over and what later steps start from,
and a further change rarely moves it by more than their difference. A second seed of each then tells
more than a ninth script. Off by default: the finale measures its finalists again anyway, and no
study has shown that a step is better spent so.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policies.protocol import Choice

LATE_SHARE = 0.8  # of the budget that is used, from which rivals are measured again


class Rivalry(NamedTuple):
    """A trace's best and its rivals: attempts that may be measured again."""

    best: str | None  # ref
    repeatable: Mapping[str, int]  # ref -> seeds that it ran under
    scores: Mapping[str, float]  # by ref; higher is better
    noise: Sequence[float]  # standard errors of the trace's comparisons
    used: float  # share of the budget


def measure_rivals(rivalry: Rivalry) -> Choice | None:
    """Return the one of the best two to measure again, where their lead is below its noise.

    Each once: the best first, then its rival.
    """
    best = rivalry.best
    if best is None or rivalry.used < LATE_SHARE or not rivalry.noise:
        return None
    others = [ref for ref in rivalry.repeatable if ref != best]
    if not others:
        return None
    rival = max(others, key=lambda ref: rivalry.scores[ref])
    lead = abs(rivalry.scores[best] - rivalry.scores[rival])
    if lead >= statistics.median(rivalry.noise):
        return None
    for ref in (best, rival):
        if rivalry.repeatable.get(ref) == 1:
            why = "the best and its rival are closer than noise: measured under a second seed"
            return Choice("remeasure", ref, why)
    return None
