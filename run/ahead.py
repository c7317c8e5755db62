"""Going ahead: a trace takes further steps while others still run, instead of waiting for them.

A super-step of the graph ends with its slowest trace, so a trace that is done with its steps of the
round would wait for that one at the merge. It goes ahead where another trace is expected to need
longer than half a step, at most `ahead` steps in one round, and never where a person is asked after
each. Once a trace waits, the others return after the step that they are in. What was decided is
stored under the attempt, so a node that runs again after a kill decides the same, and it is an
event.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from graph.state import Trace, TraceState
from run.budget import exhausted_budget
from run.run import Run


class Meeting(BaseModel):
    """When a trace returns to the merge, and whose attempts it knows until then.

    `slower`: the traces for which it does not wait.
    """

    model_config = ConfigDict(frozen=True)
    until: int
    siblings: list[str] = []
    slower: list[int] = []


async def plan_meeting(run: Run, state: TraceState, trace: Trace) -> Meeting:
    """Return when a trace whose latest attempt is recorded returns to the merge."""
    head = str(trace.head)
    run.pace.end_step(trace.trace, head)
    meeting = Meeting(until=state.until, siblings=state.siblings)
    if exhausted_budget(run, run.events.used):
        meeting = meeting.model_copy(update={"until": trace.step})
    elif may_go_ahead(run, trace, state.until):

        async def decide() -> Meeting:
            return _look_around(run, trace, state.siblings)

        meeting = await run.once("meeting", [head], decide, Meeting)
        _announce_meeting(run, trace, meeting)
    if trace.status != "running" or trace.step >= meeting.until:
        has_work = trace.status == "running" and trace.step < run.settings.steps
        run.pace.leave(trace.trace, waits=has_work)
    return meeting


def may_go_ahead(run: Run, trace: Trace, until: int) -> bool:
    """Whether a trace that is done with its round has steps left and may go ahead further."""
    settings = run.settings
    if settings.traces < 2 or settings.steer == "each" or trace.step < until:
        return False
    if trace.status != "running" or trace.step >= settings.steps:
        return False
    most = settings.merge_every + settings.ahead
    return len(run.chain(trace.head, until=trace.merged, limit=most)) < most


def _look_around(run: Run, trace: Trace, siblings: list[str]) -> Meeting:
    slower = run.pace.slower_traces(trace.trace)
    if not slower:
        return Meeting(until=trace.step, siblings=siblings)
    known = {run.attempt(head).trace: head for head in siblings} | run.pace.heads
    heads = [head for other, head in sorted(known.items()) if other != trace.trace]
    return Meeting(until=trace.step + 1, siblings=heads, slower=slower)


def _announce_meeting(run: Run, trace: Trace, meeting: Meeting) -> None:
    if meeting.slower:
        place = {"trace": trace.trace, "step": trace.step}
        key = f"t{trace.trace}s{trace.step}"
        run.events.emit("went_ahead", key=key, **place, slower=meeting.slower)
