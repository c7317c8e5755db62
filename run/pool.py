"""The pool: everything valid that a run has predicted and that blends and scripts may use.

It follows from the traces' heads alone, so a resumed or forked run sees exactly the members of its
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from run.attempt import ANCHOR, BEST
from run.flaws import list_flawed
from run.members import PoolMember
from run.run import Run
from task.client import WorkerError
from task.types import PROMISING_P, Grade, TaskError

N_MEMBERS = 16  # that a blend chooses from
N_CANDIDATES = 48  # the best by score, from which those are taken


async def find_members(
    run: Run, heads: Iterable[str | None], limit: int = N_MEMBERS
) -> list[PoolMember]:
    """Return what may be blended of the traces with these heads, best first, at most `limit`.

    Every valid attempt is a member: ties and honest rejections too, none that a gate refuses, no
    predictions twice. Above the limit they are the better half by score, and then those whose
    predictions are least alike. With `blend_pool=accepted`, only what a trace went on from.
    """
    led_only = run.settings.blend_pool == "accepted"
    known = list_members(run, heads, led_only=led_only)[:N_CANDIDATES]
    return await pass_gates(run, await _choose_diverse(run, known, limit))


def list_members(
    run: Run, heads: Iterable[str | None], *, led_only: bool = False
) -> list[PoolMember]:
    """Return the valid attempts of the traces with these heads by score, the best first.

    Those that are refused after all (`list_refused`) are left out. The leak gates are not asked
    about those that were no candidate for a best (`pass_gates`).
    `led_only`: those alone from which a trace went on.
    """
    heads = list(heads)
    refused = list_refused(run, heads)
    known = [member for head in heads for member in _members_of_chain(run, head)]
    known = [member for member in known if member.attempt not in refused]
    if led_only:
        known = [member for member in known if member.led]
    ranked = sorted(known, key=lambda one: (-run.sign * one.score, not one.led, one.id))
    distinct: dict[str, PoolMember] = {}
    for member in ranked:
        distinct.setdefault(member.oof, member)
    return list(distinct.values())


def list_refused(run: Run, heads: Sequence[str | None]) -> set[str]:
    """Return the valid attempts of the traces with these heads that nothing may be made of.

    They followed shuffled labels under a script that built on them, or have a flaw of the data that
    one of these traces has removed.
    """
    return list_dishonest(run) | list_flawed(run, heads)


class _Followed(BaseModel):
    """What a check on shuffled labels found of the scripts that one builds on."""

    model_config = ConfigDict(frozen=True)
    through: list[str] = []


def list_dishonest(run: Run) -> set[str]:
    """Return the attempts that followed shuffled labels when a script built on them."""
    checks = run.read_done("labels", _Followed)
    return {name for check in checks if check for name in check.through}


def _members_of_chain(run: Run, head: str | None) -> list[PoolMember]:
    """A trace's members; once it has removed a flaw of the data, its earlier attempts are none."""
    members: list[PoolMember] = []
    for entry in run.history.chain(head):
        if entry.validity:
            members.clear()
        members.extend(entry.members)
    return members


class _Chosen(BaseModel):
    """Members that were chosen, as it is stored."""

    model_config = ConfigDict(frozen=True)
    ids: list[str]


async def _choose_diverse(
    run: Run, members: Sequence[PoolMember], limit: int
) -> Sequence[PoolMember]:
    if len(members) <= limit:
        return members
    paths = {member.id: str(run.artifacts.path(member.oof)) for member in members}

    async def choose() -> _Chosen:
        return _Chosen(ids=await run.worker.choose_diverse(run.prepared, paths, limit))

    parts = [str(limit), *(member.oof for member in members)]
    try:
        chosen = await run.once("diverse", parts, choose, _Chosen)
    except (TaskError, WorkerError):  # rankings and texts have no correlation
        return members[:limit]
    return [member for member in members if member.id in chosen.ids]


class _Gates(BaseModel):
    """Whether the leak gates let predictions pass, as it is stored."""

    model_config = ConfigDict(frozen=True)
    passed: bool


async def pass_gates(run: Run, members: Iterable[PoolMember]) -> list[PoolMember]:
    """Return the members that every gate lets pass, in their order.

    An attempt that was no candidate for a best was not asked when it was graded; it is now, once.
    """
    return [member for member in members if await _passes(run, member)]


async def _passes(run: Run, member: PoolMember) -> bool:
    ref = run.attempt(member.ref).grade
    if ref is None:
        return False
    grade = run.artifacts.get_model(ref, Grade)
    if grade.audit_leak is not None:
        return False
    if member.name is None and were_gates_asked(grade):
        return True

    async def ask() -> _Gates:
        path = str(run.artifacts.path(member.oof))
        try:
            return _Gates(passed=not await run.worker.list_leaks(run.prepared, path))
        except (TaskError, WorkerError) as error:
            run.warn(f"{member.id} is not blended: {str(error).splitlines()[-1][:200]}")
            return _Gates(passed=False)

    return (await run.once("gates", [member.oof], ask, _Gates)).passed


def were_gates_asked(grade: Grade) -> bool:
    """Whether the leak gates were asked when this was graded: it might have become the best."""
    judges = (grade.paired, grade.surrogate)
    compared = [judge[name] for judge in judges for name in (BEST, ANCHOR) if name in judge]
    return not compared or any(paired.p_improved >= PROMISING_P for paired in compared)
