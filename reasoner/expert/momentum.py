"""The step with momentum: what memory, the other traces and this moment say of the expert's hypotheses.  Pure."""

from __future__ import annotations

import math

from reasoner.expert.cross import sureness
from reasoner.expert.moves import Move
from reasoner.expert.render import family_in
from reasoner.protocol import Brief, Fact, Hint, Hypothesis

SIBLING_STEPS = (
    5  # a move that failed another trace with the same family rests for so many steps here too
)
SIBLING_GAIN, SIBLING_LOSS = 0.8, 0.6  # what a measurement of another trace counts
IN_FLIGHT = 0.5  # what a hypothesis counts while another trace runs it
CLEAR_HARM = -3.0  # standard errors
BOOSTED = {"hgb", "lgbm"}
SURE_MOMENTUM = 1.6  # factor of a hypothesis that memory speaks for with full weight
FULL_WEIGHT = 0.3  # of a hint: a record of like words (cosine .6) that improved by several standard errors reaches it


def siblings_tabu(brief: Brief, family: str) -> set[str]:
    """Moves that lately did not help another trace with the same kind of model, or clearly harmed with any."""
    since = brief.stage.step - SIBLING_STEPS
    late = [
        fact
        for fact in brief.others
        if fact.step >= since and fact.move and fact.verdict != "accepted"
    ]
    return {str(fact.move) for fact in late if speaks_for(fact, family)}


def speaks_for(fact: Fact, family: str) -> bool:
    """Whether a failure elsewhere would be one here: another family's script, or a blend with it, hardly depends on ours."""
    theirs = family_in(fact.summary)
    alike = theirs in (family, None) or {theirs, family} <= BOOSTED
    return alike or str(fact.move).startswith(("family:", "blend:")) or sureness(fact) <= CLEAR_HARM


def siblings_record(move: Move, others: list[Fact]) -> float:
    """What the other traces measured of this very move on this very task, however different their model."""
    factor = 1.0
    for fact in others:
        if fact.move == move.name:
            factor *= (
                1 + SIBLING_GAIN * math.tanh(sureness(fact) / 4)
                if fact.verdict == "accepted"
                else SIBLING_LOSS
            )
    return factor


def choose(
    hypotheses: list[Hypothesis], hints: list[Hint], in_flight: list[str]
) -> Hypothesis | None:
    """The strongest hypothesis once memory has spoken for or against it; one that another trace runs at this moment counts less, not nothing:
    where it is by far the best it helps this trace's script too, and a trace that must turn away from it loses its step."""
    order = {item.id: index for index, item in enumerate(hypotheses)}
    held = {item.id: IN_FLIGHT if item.statement in in_flight else 1.0 for item in hypotheses}
    return max(
        hypotheses,
        key=lambda item: (held[item.id] * worth(item) * momentum(item, hints), -order[item.id]),
        default=None,
    )


def worth(item: Hypothesis) -> float:
    return (
        {"small": 0.8, "medium": 2.0, "large": 5.0}[item.effect.size]
        * item.confidence
        * item.effect.sign
    )


def momentum(item: Hypothesis, hints: list[Hint]) -> float:
    """What recalled records say of this very move: above 1 it helped in like conditions, below 1 it did not."""
    factor = 1.0
    for hint in hints:
        if hint.move == item.move and item.move:
            weight = min(1.0, abs(hint.weight) / FULL_WEIGHT)
            factor *= (
                SURE_MOMENTUM**weight
                if hint.weight > 0 and hint.kind == "accepted"
                else (1 / SURE_MOMENTUM) ** weight
            )
    return factor
