"""What the other traces measured with a move, and what it makes of its worth here.

All functions are pure.
"""

from __future__ import annotations

import math

from reasoner.expert.cross import standardised_gain
from reasoner.expert.moves import Move
from reasoner.expert.render import family_in_summary
from reasoner.expert.spec import BOOSTED_FAMILIES
from reasoner.protocol import Brief, DiagnoseBrief, Fact

SIBLING_STEPS = 5
"""Steps for which a move rests here after it failed in another trace with the same family."""
SIBLING_GAIN, SIBLING_LOSS = 0.8, 0.6
"""Influence of a success and of a failure of another trace on a move's worth."""
HELPFUL_RECIPE = 1.25
"""Influence of a recipe for the move that was measured as helpful on tasks like this one."""
CLEAR_HARM = -3.0
"""Gain in standard errors from which a failure counts for every model family."""


def sibling_resting_moves(brief: Brief, family: str) -> set[str]:
    """Moves that failed lately in another trace with this kind of model, or clearly did harm."""
    since = brief.stage.step - SIBLING_STEPS
    recent = [fact for fact in brief.others if fact.step >= since and not fact.led]
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
        if fact.led:
            factor *= 1 + SIBLING_GAIN * math.tanh(standardised_gain(fact) / 4)
        else:
            factor *= SIBLING_LOSS
    return factor


def recipe_factor(move: Move, brief: Brief) -> float:
    """Factor of a move's worth from a recipe that names it, fits the task and was measured."""
    cards = brief.recipes if isinstance(brief, DiagnoseBrief) else []
    is_helpful = any(card.move == move.name and card.state == "helpful" for card in cards)
    return HELPFUL_RECIPE if is_helpful else 1.0
