"""What the other traces measured with a move, and what it makes of its worth here.

All functions are pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from reasoner.expert.cross import standardised_gain
from reasoner.expert.moves import FIXED_MOVES, Move, Reason, changes_code
from reasoner.expert.render import family_in_summary
from reasoner.expert.spec import BOOSTED_FAMILIES, ScriptSpec, TaskFacts, canonical_spec
from reasoner.protocol import Brief, DiagnoseBrief, Fact, MoveRecord

SIBLING_STEPS = 5
"""Steps for which a move rests here after it failed in another trace with the same family."""
SIBLING_GAIN, SIBLING_LOSS = 0.8, 0.6
"""Influence of a success and of a failure of another trace on a move's worth."""
OWN_TASKS = 6
"""Tasks' worth of measurements that a move's own confidence counts for."""
MAX_DRAFT_MOVES = 2
"""Helpful moves in a first script beside its family, so that drafts stay plain."""
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


def with_helpful_moves(
    spec: ScriptSpec, facts: TaskFacts, records: Sequence[MoveRecord]
) -> ScriptSpec:
    """The spec of a first script with moves whose recipes were measured as helpful.

    Those that helped on the largest share of tasks first. No family, which the draft has chosen,
    and no ensemble, which is for the end of a run.
    """
    helpful = [record for record in records if record.verdict == "helpful"]
    n_taken = 0
    for record in sorted(helpful, key=lambda each: (-each.n_helped / each.n_tasks, each.move)):
        move = next((each for each in FIXED_MOVES if each.name == record.move), None)
        if move is None or move.component == "ensemble" or move.name.startswith("family:"):
            continue
        new = canonical_spec(move.apply(spec), facts)
        if n_taken < MAX_DRAFT_MOVES and changes_code(spec, new, facts):
            spec, n_taken = new, n_taken + 1
    return spec


def measured_reason(move: Move, reason: Reason, brief: Brief) -> Reason:
    """Return the reason with its confidence after what recipes for the move measured.

    The share of tasks on which it helped, the rule's own confidence being that of OWN_TASKS more.
    """
    records = brief.move_records if isinstance(brief, DiagnoseBrief) else []
    for record in records:
        if record.move == move.name:
            helped = OWN_TASKS * reason.confidence + record.n_helped
            return replace(reason, confidence=helped / (OWN_TASKS + record.n_tasks))
    return reason
