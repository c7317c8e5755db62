"""Crossover by rules: unite the compatible moves that other traces had accepted.

A conflict goes to the move with the larger measured gain.
"""

from __future__ import annotations

from dataclasses import fields

from reasoner.expert import moves
from reasoner.expert.moves import MoveContext
from reasoner.expert.spec import ScriptSpec, canonical_spec, parse_spec
from reasoner.protocol import Crossover, Fact

UNITED_FIELDS = ("drop", "category_diff")
"""Fields to which moves only add, so that they never conflict."""


def combine_accepted_moves(
    context: MoveContext, crossover: Crossover, history: list[Fact]
) -> tuple[ScriptSpec, list[str]]:
    """Return the combined spec and the statements of the moves taken over.

    If nothing fits, the spec is the unchanged one and the list is empty.
    """
    spec, statements = context.spec, list[str]()
    accepted = [fact for fact in history if fact.led]
    own = {fact.move: standardised_gain(fact) for fact in accepted if fact.move}
    for fact in sorted(crossover.lacks, key=standardised_gain, reverse=True):
        move = moves.find_move(fact.move or "", context)
        if move is None:
            continue
        new = canonical_spec(move.apply(spec), context.facts)
        if moves.changes_code(spec, new, context.facts) and not _undoes_surer_choice(
            context.spec, spec, new, standardised_gain(fact), own, context
        ):
            spec, statements = new, [*statements, move.statement]
    if spec == context.spec:
        return _blend_with_partner(context, crossover)
    return spec, statements


def _undoes_surer_choice(
    start: ScriptSpec,
    spec: ScriptSpec,
    new: ScriptSpec,
    gain: float,
    own: dict[str, float],
    context: MoveContext,
) -> bool:
    """Whether the edit from `spec` to `new` undoes a choice with a surer gain.

    Such a choice was taken over before (`spec` differs from `start`; surer moves come first), or
    it is an own one whose gain was at least as large.
    """
    defaults = ScriptSpec()
    names = [item.name for item in fields(ScriptSpec) if item.name not in UNITED_FIELDS]
    changed = [name for name in names if getattr(spec, name) != getattr(new, name)]
    undone = [name for name in changed if getattr(spec, name) != getattr(defaults, name)]
    if any(getattr(spec, name) != getattr(start, name) for name in undone):
        return True
    return any(
        gain <= own.get(source, 0.0)
        for name in undone
        for source in _own_moves_setting(name, context, own)
    )


def _own_moves_setting(name: str, context: MoveContext, own: dict[str, float]) -> list[str]:
    """Own accepted moves that set this field; a choice of the draft has none, so it gives way."""
    defaults = ScriptSpec()

    def sets_field(key: str) -> bool:
        move = moves.find_move(key, context)
        return move is not None and getattr(move.apply(defaults), name) != getattr(defaults, name)

    return [key for key in own if sets_field(key)]


def _blend_with_partner(context: MoveContext, crossover: Crossover) -> tuple[ScriptSpec, list[str]]:
    """Add the partner's model family as a second model, if it is a different one."""
    partner = parse_spec(crossover.partner)
    spec = context.spec
    if partner is None or spec.second or partner.family == spec.family:
        return spec, []
    blend = spec.with_changes(second=partner.family)
    return canonical_spec(blend, context.facts), [f"blend with {partner.family}"]


def standardised_gain(fact: Fact) -> float:
    """Measured gain in standard errors."""
    return (fact.gain or 0.0) / max(fact.gain_se or 0.0, 1e-12)
