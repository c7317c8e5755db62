"""Bests that were found dishonest after they had led: a trace leaves them, and so does best/."""

from __future__ import annotations

from graph.state import Best, Trace
from run.attempt import Attempt, best_from
from run.best import current_best, publish_best
from run.pool import list_dishonest, list_members
from run.run import Run


def leave_dishonest(run: Run, trace: Trace) -> Trace:
    """Return the trace as it goes on from its best honest attempt; without one it drafts anew.

    The trace itself where its best, and the one that was confirmed last, are honest as far as is
    known.
    """
    refused = list_dishonest(run)
    if trace.anchor is not None and trace.anchor.attempt in refused:
        trace = trace.evolve(anchor=None, stepped=0, luck=0)
    left = trace.best
    if left is None or left.attempt not in refused:
        return trace
    start = _best_honest(run, trace, refused)
    where = f"goes on from {start.attempt}" if start else "begins anew"
    why = f"{where}: {left.attempt} follows shuffled labels, as a script that builds on it showed"
    place = {"trace": trace.trace, "step": trace.step}
    run.events.emit("moved", key=f"t{trace.trace}-{left.attempt}", **place, why=why)
    trace = trace.evolve(best=start, anchor=None, stepped=0, luck=0, stagnant=0)
    return trace.evolve(diagnosis=None, tried=[], cross=None)


def _best_honest(run: Run, trace: Trace, refused: set[str]) -> Best | None:
    """The best attempt of the trace that was not made of a dishonest one, or else the best."""
    led = [one for one in list_members(run, [trace.head], led_only=True) if one.name is None]
    known = led or [one for one in list_members(run, [trace.head]) if one.name is None]
    attempts = [run.attempt(one.ref) for one in known]
    sound = [each for each in attempts if not _stems_from(run, each, refused)]
    found = next(iter(sound or attempts), None)
    return best_from(found) if found else None


def _stems_from(run: Run, attempt: Attempt, names: set[str]) -> bool:
    """Whether an attempt is a change of one of these, by however many steps."""
    seen: set[str] = set()
    while attempt.base and attempt.base not in seen:
        seen.add(attempt.base)
        attempt = run.attempt(attempt.base)
        if attempt.id in names:
            return True
    return False


async def correct_best(run: Run, best: Best | None) -> None:
    """Publish the run's best where best/ has another.

    Something else may lead since a best was measured again; and one that was found dishonest, or a
    blend of such a one, leaves best/ in any case.
    """
    if best is None:
        return
    await publish_best(run, best)
    refused, current = list_dishonest(run), current_best(run)
    if current is None or not refused:
        return
    attempt = run.attempt(current.ref)
    members = [run.attempt(one.ref).id for one in attempt.members.values() if one.ref]
    if refused.intersection([attempt.id, *members]):
        await publish_best(run, best, force=True)
