"""draft: initial parameters. A first complete script, meant to differ from the siblings'."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, give_up_step
from briefs.brief import common_fields
from briefs.excerpts import refused_script
from briefs.recipes import draft_recipes, measured_moves
from graph.state import TraceState
from reasoner.protocol import DraftBrief, ReasonerError, Solution
from run.registry import NodeRuntime, current_run
from scoring.probes import ask_draft


async def draft(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Ask the reasoner for a first script."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress

    async def ask() -> Solution:
        common = common_fields(run, trace, work, state.siblings)
        common["siblings"] = run.board.directions_of_others(trace.trace)
        common["move_records"] = await measured_moves(run, {}, common)
        recipes = await draft_recipes(run, trace, common)
        brief = DraftBrief(**common, recipes=recipes, rejected=refused_script(run, trace))
        return await ask_draft(run, trace, brief)

    began = time.monotonic()
    try:
        async with run.drafting:  # one at a time, so each can differ from those before
            parts = [work.attempt, str(trace.head)]
            solution = await ask_reasoner(run, "draft", parts, ask, Solution)
            run.board.set_direction(trace.trace, solution.summary)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    answer = {"attempt": work.attempt, **solution.model_dump(include={"summary", "usage"})}
    announce_answer(run, "drafted", work.attempt, trace, began, **answer)
    work = work.evolve(
        script=run.artifacts.put(solution.script),
        **solution.model_dump(include={"summary", "limit_s"}),
        usage=solution.usage,
    )
    return {"work": work.dump()}
