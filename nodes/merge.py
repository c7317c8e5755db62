"""merge: the all-reduce. Blends solutions, rescues stuck traces, decides whether the loop ends.

What the traces measured is in the shared memory already (`scoring.lessons`); the merge counts it.
"""

from __future__ import annotations

from typing import Any

from briefs.crossover import move_trace, rescue_trace
from graph.state import Best, RunState, Trace
from report.formatting import format_plural
from run.attempt import Attempt
from run.budget import exhausted_budget
from run.comparator import find_leader, is_better
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.acceptance import Acceptance
from scoring.honesty import correct_best, leave_dishonest
from scoring.lessons import is_lesson
from scoring.merge_blends import blend_traces
from scoring.merge_events import announce_merge, report_calibration


async def merge(
    state: RunState, runtime: NodeRuntime, *, acceptance: Acceptance | None = None
) -> dict[str, Any]:
    """Merge the traces after a round."""
    run = current_run(state.run_dir, runtime)
    traces = [leave_dishonest(run, trace) for trace in state.sorted_traces()]
    fresh = {each.trace: run.chain(each.head, until=each.merged) for each in traces}
    actions = _count_lessons(run, fresh)
    single = await find_leader(run, [trace.best for trace in traces])
    blend, ensemble = await blend_traces(run, state, fresh, single, acceptance)
    for index, trace in enumerate(traces):
        traces[index] = _settle_trace(run, trace, traces, fresh[trace.trace], single, actions)
    report_calibration(run, state.round, traces)
    if ensemble:
        summary = run.attempt(ensemble.ref).summary
        actions.append(f"{summary} is ahead of the best single solution")
    best, used = ensemble or single, run.events.used
    await correct_best(run, best)
    waited_s = run.pace.close_round()
    announce_merge(run, state.round, traces, best, actions, waited_s)
    return {
        "round": state.round + 1,
        "traces": {str(trace.trace): trace.dump() for trace in traces},
        "best": best.dump() if best else None,
        "ensemble": ensemble.dump() if ensemble else None,
        "blend": blend.dump() if blend else None,
        "used": used.dump(),
        "stop": _loop_end(run, traces, best) or exhausted_budget(run, used),
    }


def _count_lessons(run: Run, fresh: dict[int, list[Attempt]]) -> list[str]:
    attempts = [attempt for chain in fresh.values() for attempt in chain]
    n = sum(is_lesson(attempt) for attempt in attempts) if run.settings.memory != "off" else 0
    lessons = format_plural(n, "measured hypothesis", "measured hypotheses")
    return [f"{lessons} recorded in the memory"] if n else []


def _settle_trace(
    run: Run,
    trace: Trace,
    traces: list[Trace],
    fresh: list[Attempt],
    best: Best | None,
    actions: list[str],
) -> Trace:
    """The trace after the merge: counted, ended, or rescued."""
    has_steps = trace.step < run.settings.steps
    moved = any(attempt.verdict == "accepted" or attempt.replaces for attempt in fresh)
    after = trace.evolve(merged=trace.head, stagnant=0 if moved else trace.stagnant + 1)
    is_stuck = trace.status == "done" or after.stagnant >= run.settings.patience
    may_rescue = is_stuck and has_steps and trace.status != "dropped" and not trace.pinned
    if may_rescue and (rescue := rescue_trace(run, trace, traces, best)):
        actions.append(f"trace {trace.trace} was stuck and {rescue.why}")
        return move_trace(after, rescue)
    if after.status == "running" and not has_steps:
        return after.evolve(status="done")
    return after


def _loop_end(run: Run, traces: list[Trace], best: Best | None) -> str:
    """Why the loop ends now; empty: it continues."""
    target = run.settings.target
    direction = run.prepared.task.direction
    if best and target is not None and not is_better(direction, target, best.score):
        return "target"
    if any(trace.status == "running" for trace in traces):
        return ""
    if all(trace.step >= run.settings.steps for trace in traces):
        return "budget: steps"
    return "converged" if best else "no valid script"
