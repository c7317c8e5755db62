"""draft: initial parameters. A first complete script for a trace, meant to differ from its siblings'."""

from __future__ import annotations

import time
from typing import Any

from langgraph.runtime import Runtime

from briefs.ask import ask_reasoner, give_up_step
from briefs.brief import common_fields
from graph.settings import Settings
from graph.state import TraceState
from reasoner.protocol import DraftBrief, ReasonerError, Solution
from run.registry import current_run


async def draft(state: TraceState, runtime: Runtime[Settings]) -> dict[str, Any]:
    """Ask for a first script."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress

    async def ask() -> Solution:
        siblings = run.board.directions_of_others(trace.trace)
        common = common_fields(run, trace, state.siblings)
        return await run.reasoner.draft(DraftBrief(**common, siblings=siblings))

    began = time.monotonic()
    try:
        async with run.drafting:  # one at a time, so each can be told to differ from those before
            parts = [work.attempt, str(trace.head)]
            solution = await ask_reasoner(run, "draft", parts, ask, Solution)
            run.board.set_direction(trace.trace, solution.summary)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    run.events.emit(
        "drafted",
        key=work.attempt,
        trace=trace.trace,
        step=trace.step,
        attempt=work.attempt,
        summary=solution.summary,
        seconds=round(time.monotonic() - began, 3),
        usage=solution.usage.model_dump(),
    )
    work = work.evolve(
        script=run.artifacts.put(solution.script), summary=solution.summary, usage=solution.usage
    )
    return {"work": work.dump()}
