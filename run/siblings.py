"""The other traces, as the records of their attempts show them.

A trace knows the heads of the others' chains alone (`TraceInput.siblings`), so that what it sees of
them is the same after a resume.
"""

from __future__ import annotations

from collections.abc import Sequence

from graph.state import Trace
from run.attempt import best_from
from run.run import Run


def read_sibling(run: Run, head: str) -> Trace | None:
    """Return a sibling with its best: its latest attempt that led, or what it moved to since.

    None before it has a valid one.
    """
    latest = run.attempt(head)
    chain = run.history.chain(head)
    led = [entry for entry in chain if entry.replaces]
    if not led:
        return None
    best = run.attempt(led[-1].ref)
    if latest.from_best and latest.base and not latest.replaces:
        best = run.attempt(latest.base)
    known = best_from(best)
    since = (run.attempt(entry.ref) for entry in chain[chain.index(led[-1]) + 1 :])
    means = [one.best_score for one in since if one.from_best and one.base == best.ref]
    for mean in means:  # the best was measured again
        known = known if mean is None else known.evolve(score=mean)
    return Trace(trace=latest.trace, head=head, best=known)


def traces_beside(run: Run, trace: Trace, siblings: Sequence[str]) -> list[int]:
    """Return the other traces that step from the same solution."""
    if trace.best is None or not run.settings.sharing:
        return []
    rows = [row for head in siblings if (row := read_sibling(run, head))]
    return sorted(row.trace for row in rows if row.best and row.best.ref == trace.best.ref)
