"""The step with momentum: rank the hypotheses of a gradient by memory, record and siblings. Pure.

A hypothesis is worth its predicted effect times its confidence; the one that the reasoner would
take itself is worth as much as any other. Recalled measurements, the reasoner's record with a
component in this run, and what other traces are running now then weigh them. A named move is
measured under its own name: neither the memory of other moves nor its component's record moves it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from reasoner.protocol import Hint, Hypothesis, Ledger, Size

IN_FLIGHT_FACTOR = 0.5
"""Factor of a hypothesis while another trace runs it."""
SURE_MOMENTUM = 1.6
"""Factor of a hypothesis that memory supports with full weight."""
SWITCH_FACTOR = 1.5
"""What another hypothesis in words must exceed the reasoner's own by: its change costs a call."""
EFFECT_SIZES: dict[Size, float] = {"small": 0.8, "medium": 2.0, "large": 5.0}
"""Standard errors of the score that a predicted size stands for."""
FULL_WEIGHT = 0.3
"""Weight of a hint that counts fully: similar words (cosine .6), a gain of several SE."""
NAME_CHARS = 200
"""Of an idea's words that tell it from others; the ledger keeps a few more."""


class Momentum(NamedTuple):
    """What weighs the hypotheses of one gradient."""

    hints: Mapping[str, Sequence[Hint]] = {}  # hypothesis id -> recalled for it
    records: Mapping[str, float] = {}  # component -> factor, from the measured predictions
    in_flight: Collection[str] = ()  # names of ideas that other traces try now


def rank_hypotheses(
    hypotheses: Sequence[Hypothesis], momentum: Momentum, own: str = ""
) -> list[Hypothesis]:
    """Return the hypotheses, strongest first; the first of equals, the reasoner's `own` before all.

    A hypothesis that another trace is running counts less but not nothing: if it is by far the
    best, it helps this trace's script too, and a trace that avoids it loses its step.
    """
    worths = {item.id: expected_worth(item) for item in hypotheses}
    if own in worths:
        worths[own] = max(worths.values())
        worths[own] *= 1.0 if any(item.move for item in hypotheses) else SWITCH_FACTOR

    def strength(item: Hypothesis) -> float:
        factor = memory_factor(item, momentum.hints.get(item.id, ()))
        factor *= 1.0 if item.move else momentum.records.get(item.component, 1.0)
        if idea_name(item.move, item.statement) in momentum.in_flight:
            factor *= IN_FLIGHT_FACTOR
        return worths[item.id] * factor

    return sorted(hypotheses, key=lambda item: (-strength(item), item.id != own))


def idea_name(move: str | None, statement: str) -> str:
    """Return the name of an idea: its move, else its words."""
    return move or " ".join(statement.lower().split())[:NAME_CHARS]


def ideas_in_flight(ledger: Ledger) -> set[str]:
    """Return the names of the ideas that other traces try at this moment."""
    return {idea_name(claim.move, claim.claim) for claim in ledger.claims if claim.trying}


def expected_worth(item: Hypothesis) -> float:
    """Return the predicted effect in standard errors, times confidence."""
    return EFFECT_SIZES[item.effect.size] * item.confidence * item.effect.sign


def memory_factor(item: Hypothesis, hints: Sequence[Hint]) -> float:
    """Return a factor from what was recalled for a hypothesis: above 1 if it helped.

    Records of a named move count for that move alone, each of them; of hints in words, the
    strongest for and the strongest against.
    """
    if item.move:
        weights = [hint_weight(hint) for hint in hints if hint.move == item.move]
    else:
        given = [hint_weight(hint) for hint in hints]
        weights = [max([0.0, *given]), min([0.0, *given])]
    factor = 1.0
    for weight in weights:
        factor *= SURE_MOMENTUM**weight
    return factor


def hint_weight(hint: Hint) -> float:
    """Return how much a hint counts, from -1 (it did not help) to 1."""
    weight = min(1.0, abs(hint.weight) / FULL_WEIGHT)
    return weight if hint.weight > 0 and hint.kind == "accepted" else -weight
