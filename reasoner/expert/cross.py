"""Crossover by rules: the union of the compatible moves that other traces proved; a conflict goes to the larger measured gain."""

from __future__ import annotations

from dataclasses import fields

from reasoner.expert import moves
from reasoner.expert.moves import Look
from reasoner.expert.spec import FAMILIES, Spec, canonical, parse
from reasoner.protocol import Crossover, Fact


def combine(look: Look, crossover: Crossover, history: list[Fact]) -> tuple[Spec, list[str]]:
    """The merged spec and the statements of the moves that entered it; the spec as it was where nothing fits."""
    spec, taken = look.spec, list[str]()
    own = {
        fact.move: sureness(fact) for fact in history if fact.move and fact.verdict == "accepted"
    }
    for fact in sorted(crossover.lacks, key=sureness, reverse=True):
        move = moves.find(fact.move or "", look)
        if move is None:
            continue
        new = canonical(move.apply(spec), look.facts)
        if new != spec and not conflict(look.spec, spec, new, sureness(fact), own, look):
            spec, taken = new, [*taken, move.statement]
    if spec == look.spec:
        return blended(look, crossover)
    return spec, taken


def conflict(
    start: Spec, spec: Spec, new: Spec, gain: float, own: dict[str, float], look: Look
) -> bool:
    """Whether the edit undoes a choice: one that entered before (it was surer), or an own one that was measured surer."""
    plain = Spec()
    touched = [
        item.name for item in fields(Spec) if getattr(spec, item.name) != getattr(new, item.name)
    ]
    undone = [
        name
        for name in touched
        if getattr(spec, name) not in (getattr(plain, name), ())
        and name not in ("drop", "category_diff")
    ]
    if any(getattr(spec, name) != getattr(start, name) for name in undone):
        return True
    return any(
        gain <= own.get(source, 0.0) for name in undone for source in sources(name, look, own)
    )


def sources(name: str, look: Look, own: dict[str, float]) -> list[str]:
    """The own accepted moves that set this choice; the draft's choice has none and yields."""
    plain = Spec()
    return [
        key
        for key in own
        if (move := moves.find(key, look))
        and getattr(move.apply(plain), name) != getattr(plain, name)
    ]


def blended(look: Look, crossover: Crossover) -> tuple[Spec, list[str]]:
    """Nothing to take over: the partner's family joins as a second model, where it is another."""
    partner = parse(crossover.partner)
    spec = look.spec
    if (
        partner is None
        or spec.second
        or partner.family == spec.family
        or partner.family not in FAMILIES
    ):
        return spec, []
    return canonical(spec.but(second=partner.family), look.facts), [f"blend with {partner.family}"]


def sureness(fact: Fact) -> float:
    """Gain in standard errors."""
    return (fact.gain or 0.0) / max(fact.gain_se or 0.0, 1e-12)
