"""record: the attempt joins the trace's chain, its lesson the memory; a new best is published."""

from __future__ import annotations

from typing import Any

from briefs.crossover import crossover_ideas
from graph.state import Best, Trace, TraceState
from reasoner.protocol import BEST_DRAFT
from run.ahead import plan_meeting
from run.attempt import Attempt, best_from
from run.best import correct_published, publish_best
from run.registry import NodeRuntime, current_run
from scoring.ensemble import go_on_from_blend
from scoring.lessons import share_lessons
from scoring.records import announce_attempt, assemble_attempt


async def record(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Record the attempt; while others still run, the trace may go ahead."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    attempt = assemble_attempt(run, trace, work, crossover_ideas(run, trace, work.mode))
    announce_attempt(run, attempt)
    await share_lessons(run, trace, attempt)
    if (former := remeasured_best(trace, attempt)) is not None:
        trace = trace.evolve(best=former)
        await correct_published(run, former)
    trace = advance_trace(trace, attempt, run.settings.max_failures)
    if attempt.members and attempt.verdict == "accepted":
        await publish_best(run, best_from(attempt))
        trace = await go_on_from_blend(run, trace, attempt)
    elif attempt.replaces and trace.best:
        await publish_best(run, trace.best)
    meeting = await plan_meeting(run, state, trace)
    row = trace.dump()
    met = meeting.model_dump(include={"until", "siblings"})
    return {"row": row, "traces": {str(trace.trace): row}, **met}


def remeasured_best(trace: Trace, attempt: Attempt) -> Best | None:
    """Return the trace's best with its mean score, where the attempt had it measured again."""
    if trace.best is None or attempt.best_score is None:
        return None
    return trace.best.evolve(score=attempt.best_score)


def advance_trace(trace: Trace, attempt: Attempt, max_failures: int) -> Trace:
    """The trace after this attempt."""
    tried = [*trace.tried, attempt.hypothesis.id] if attempt.hypothesis else trace.tried
    failures = trace.failures
    if "unanswered" not in attempt.codes:
        failures = failures + 1 if attempt.verdict == "failed" else 0
    after = trace.evolve(
        head=attempt.ref,
        step=trace.step + 1,
        tried=tried,
        cross=None,
        n_accepted=trace.n_accepted + (attempt.verdict == "accepted"),
        counted=trace.counted + (attempt.looked_better and not attempt.members),
        failures=failures,
    )
    if attempt.replaces:
        after = after.evolve(best=best_from(attempt), diagnosis=None, tried=[])
        if attempt.verdict == "accepted":
            after = after.evolve(anchor=None, stepped=0, luck=0, counted=0)
        elif BEST_DRAFT in attempt.codes:  # it changes no draft: steps add up anew
            after = after.evolve(anchor=None, stepped=0, luck=0)
        else:
            anchor = trace.anchor or trace.best
            luck = max(trace.luck, trace.stepped) + attempt.luck
            after = after.evolve(anchor=anchor, stepped=trace.stepped + 1, luck=luck)
    return after.evolve(status="failed") if failures >= max_failures else after
