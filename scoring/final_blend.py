"""The finale's blend: of everything valid, small enough for the time, against the best single."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graph.state import Best, RunState
from run.attempt import Attempt, Member, best_from
from run.comparator import compare_oofs, find_leader
from run.members import PoolMember
from run.pool import find_members
from run.run import Run
from run.services import count_slots
from scoring.acceptance import Judgement
from scoring.audit import consult_audit
from scoring.chain import weigh_chain
from scoring.ensemble import blend_pool, holds_members
from task.types import Grade

REFIT_ROOM = 2.0  # a refit gets time for so many times the script's seconds


class Rival(NamedTuple):
    """The best single solution, with its out-of-fold artifacts under every seed that was run."""

    best: Best
    oofs: list[str]


class BlendChoice(NamedTuple):
    """The finale's blend, whether it is handed over, and the members that time left out."""

    best: Best | None = None
    wins: bool = False
    dropped: tuple[str, ...] = ()
    number: int = 0  # of the next blend


async def choose_blend(run: Run, state: RunState, single: Rival) -> BlendChoice:
    """Return the best blend of the run; it wins where it is ahead of the best single solution.

    Where time is too short to fit all members again on all rows, the lightest are left out one by
    one, and what is left is weighted and compared anew.
    """
    if not run.settings.ensemble:
        return BlendChoice()
    blend = await _best_blend(run, state, single.best)
    dropped: list[str] = []
    number = state.round + 1
    while blend is not None and await is_ahead(run, blend, single):
        members = run.attempt(blend.ref).members
        if is_affordable(run, members.values()):
            wins = await _passes_audit(run, blend)
            return BlendChoice(blend, wins, tuple(dropped), number)
        dropped.append(lightest_member(members))
        smaller = await blend_without(run, number, blend, dropped, single.best)
        number += 1
        if smaller is None:
            break
        blend = smaller
    return BlendChoice(blend, False, tuple(dropped), number)


async def _best_blend(run: Run, state: RunState, single: Best) -> Best | None:
    """The last merge's blend, or a new one where traces have gone on; or a better earlier one."""
    traces = state.sorted_traces()
    heads = [trace.head for trace in traces]
    members, blend = await find_members(run, heads), state.blend
    if members != await find_members(run, [trace.merged for trace in traces]):
        blend = best_of(await blend_pool(run, f"m{state.round}", members, single))
    known = [one for one in (blend, state.ensemble) if one and holds_members(run, one, heads)]
    return await find_leader(run, known)


def best_of(blend: Attempt | None) -> Best | None:
    """Return a blend as a best; None where there is none, or it has no score."""
    return best_from(blend) if blend is not None and blend.score is not None else None


async def is_ahead(run: Run, blend: Best, single: Rival) -> bool:
    """Whether the blend is better, by its nested predictions, than the single one over seeds."""
    comparison = await compare_oofs(run, [str(run.attempt(blend.ref).oof)], single.oofs)
    decided = comparison.decide(run.settings.accept_z)
    return decided is not None and decided.d > 0


async def _passes_audit(run: Run, blend: Best) -> bool:
    grade = run.artifacts.get_model(str(run.attempt(blend.ref).grade), Grade)
    handed_over = Judgement("accepted", True, [])
    return (await consult_audit(run, f"{blend.attempt}-final", grade, handed_over)).replaces


def is_affordable(run: Run, members: Iterable[Member]) -> bool:
    """Whether the time that is left is enough to fit these members again on all rows."""
    attempts = [run.attempt(one.ref) for one in members if one.ref]
    seconds = [each.seconds + weigh_chain(run, each.uses).seconds for each in attempts]
    if run.prepared.n_audit == 0 or not seconds:
        return True
    return run.time_left_s >= REFIT_ROOM * max(*seconds, sum(seconds) / count_slots(run.settings))


def lightest_member(members: dict[str, Member]) -> str:
    """Return the member with the smallest weight."""
    return min(members, key=lambda name: (members[name].weight, name))


async def blend_without(
    run: Run, number: int, blend: Best, left_out: Sequence[str], single: Best
) -> Best | None:
    """Blend the other members of a blend anew; None where fewer than two are left."""
    kept = [name for name in run.attempt(blend.ref).members if name not in left_out]
    members = [member for name in kept for member in _pool_member(run, blend, name)]
    return best_of(await blend_pool(run, f"m{number}", members, single))


def _pool_member(run: Run, blend: Best, name: str) -> list[PoolMember]:
    ref = run.attempt(blend.ref).members[name].ref
    known = run.history.entry(ref).members if ref else ()
    return [member for member in known if member.id == name]
