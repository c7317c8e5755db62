"""The step with momentum: weigh the expert's hypotheses by memory and by the other traces.

All functions are pure.
"""

from __future__ import annotations

import math

from reasoner.expert.cross import standardised_gain
from reasoner.expert.moves import Move
from reasoner.expert.render import family_in_summary
from reasoner.expert.spec import BOOSTED_FAMILIES
from reasoner.protocol import Brief, Fact, Hint, Hypothesis, Size

SIBLING_STEPS = 5
"""Steps for which a move rests here after it failed in another trace with the same family."""
SIBLING_GAIN, SIBLING_LOSS = 0.8, 0.6
"""Influence of a success and of a failure of another trace on a move's worth."""
IN_FLIGHT_FACTOR = 0.5
"""Factor of a hypothesis while another trace runs it."""
CLEAR_HARM = -3.0
"""Gain in standard errors from which a failure counts for every model family."""
SURE_MOMENTUM = 1.6
"""Factor of a hypothesis that memory supports with full weight."""
EFFECT_SIZES: dict[Size, float] = {"small": 0.8, "medium": 2.0, "large": 5.0}
"""Standard errors of the score that a predicted size stands for."""
FULL_WEIGHT = 0.3
"""Weight of a hint that counts fully: similar words (cosine .6), a gain of several SE."""


def sibling_resting_moves(brief: Brief, family: str) -> set[str]:
    """Moves that failed lately in another trace with this kind of model, or clearly did harm."""
    since = brief.stage.step - SIBLING_STEPS
    recent = [fact for fact in brief.others if fact.step >= since and fact.verdict != "accepted"]
    return {fact.move for fact in recent if fact.move and _applies_to_family(fact, family)}


def _applies_to_family(fact: Fact, family: str) -> bool:
    """Whether a move that failed in another trace would fail here too.

    A switch to a family, or a blend with it, hardly depends on the family before.
    """
    other = family_in_summary(fact.summary)
    similar = other in (family, None) or {other, family} <= BOOSTED_FAMILIES
    sets_family = str(fact.move).startswith(("family:", "blend:"))
    return similar or sets_family or standardised_gain(fact) <= CLEAR_HARM


def sibling_record_factor(move: Move, others: list[Fact]) -> float:
    """Factor of a move's worth from the other traces' results with it, whatever their model."""
    factor = 1.0
    for fact in others:
        if fact.move != move.name:
            continue
        if fact.verdict == "accepted":
            factor *= 1 + SIBLING_GAIN * math.tanh(standardised_gain(fact) / 4)
        else:
            factor *= SIBLING_LOSS
    return factor


def choose_hypothesis(
    hypotheses: list[Hypothesis], hints: list[Hint], in_flight: list[str]
) -> Hypothesis | None:
    """Return the strongest hypothesis in the light of memory; the first of equals.

    A hypothesis that another trace is running counts less but not nothing: if it is by far the
    best, it helps this trace's script too, and a trace that avoids it loses its step.
    """

    def strength(item: Hypothesis) -> float:
        in_flight_factor = IN_FLIGHT_FACTOR if item.statement in in_flight else 1.0
        return in_flight_factor * _expected_worth(item) * _memory_factor(item, hints)

    return max(hypotheses, key=strength, default=None)


def _expected_worth(item: Hypothesis) -> float:
    """Predicted effect in standard errors, times confidence."""
    return EFFECT_SIZES[item.effect.size] * item.confidence * item.effect.sign


def _memory_factor(item: Hypothesis, hints: list[Hint]) -> float:
    """Factor from recalled records of this move: above 1 if it helped in similar conditions."""
    factor = 1.0
    for hint in hints:
        if not item.move or hint.move != item.move:
            continue
        helped = hint.weight > 0 and hint.kind == "accepted"
        weight = min(1.0, abs(hint.weight) / FULL_WEIGHT)
        factor *= (SURE_MOMENTUM if helped else 1 / SURE_MOMENTUM) ** weight
    return factor
