"""The attempts that a script may build on, and those of them that it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from briefs.brief import may_build
from briefs.gradient import Offered
from graph.state import Trace
from run.attempt import Attempt
from run.chain import ATTEMPTS, find_named, given_by, list_chain
from run.pool import list_members, pass_gates
from run.run import Run
from scoring.ensemble import N_NAMEABLE, nameable_members
from scoring.remeasure import count_seeds, list_repeatable

MAX_MOUNT_BYTES = 4 * 2**30  # of all that one script is given
Heads = Sequence[str | None]  # of a trace and of those that share with it


async def find_uses(run: Run, heads: Heads, script: str) -> dict[str, str]:
    """Return the attempts that a script is given: id -> the hash of its record.

    They are those that it names, of the valid ones of all traces, as far as the bounds allow.

    Args:
        run: the run.
        heads: latest attempts of the traces.
        script: artifact.
    """
    text = run.artifacts.get(script)
    if not may_build(run) or ATTEMPTS not in text:
        return {}
    uses: dict[str, str] = {}
    for source in await list_sources(run, heads, text):
        wider = uses | {source.id: source.ref}
        chain = list_chain(run.attempt, wider)
        given = [run.attempt(ref) for ref in wider.values()]
        fits = len(chain) <= run.settings.reuse_attempts
        if fits and _count_bytes(run, given) <= MAX_MOUNT_BYTES:
            uses = wider
    return uses


async def list_sources(run: Run, heads: Heads, script: str | None = None) -> list[Attempt]:
    """Return the best attempts that a script may build on: valid, and never in doubt.

    `script`: its text; then all that it names.
    """
    members = {member.id: member for member in list_members(run, heads)}
    names = list(members)[:N_NAMEABLE] if script is None else find_named(script, members)
    passed = await pass_gates(run, [members[name] for name in names])
    return [run.attempt(member.ref) for member in passed if member.name is None]


def _count_bytes(run: Run, attempts: Sequence[Attempt]) -> int:
    given = [given_by(run.artifacts.path, each) for each in attempts]
    paths = {path for each in given if each for path in each.mounts("").values()}
    return sum(Path(path).stat().st_size for path in paths)


async def offer_attempts(run: Run, heads: Heads, trace: Trace) -> Offered:
    """Return what a reasoner's answer may name: to blend, to build on, to measure again."""
    sources = await list_sources(run, heads) if may_build(run) else []
    known = list_repeatable(run, trace)
    repeatable = {entry.id: count_seeds(run, run.attempt(entry.ref)) for entry in known}
    return Offered(await nameable_members(run, heads), sources, repeatable)
