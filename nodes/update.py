"""update: the optimiser's step with momentum. Ranks the hypotheses, takes the strongest."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, give_up_step
from briefs.gradient import list_heads
from briefs.step import Step, take_step
from graph.state import TraceState
from reasoner.protocol import ReasonerError
from run.registry import NodeRuntime, current_run
from scoring.ensemble import describe_unknown
from scoring.remeasure import begin_repeat, find_repeatable
from scoring.sources import offer_attempts


async def update(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Take a step from the script that was diagnosed."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    start = run.attempt(str(work.base))
    parts = [work.attempt, str(work.diagnosis), str(start.script), *trace.tried, *state.siblings]
    began = time.monotonic()

    async def ask() -> Step:
        heads = list_heads(run, state)
        step = await take_step(run, state, start, await offer_attempts(run, heads, trace))
        if problem := step.ensemble and await describe_unknown(run, heads, step.ensemble):
            raise ReasonerError(f"the ensemble names {problem}", step.usage)
        if step.remeasure and not find_repeatable(run, trace, step.remeasure):
            raise ReasonerError(f"{step.remeasure[:80]} cannot be measured again", step.usage)
        return step

    try:
        step = await ask_reasoner(run, "update", parts, ask, Step)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    hints = [hint.model_dump() for hint in step.hints]
    run.events.emit("recalled", key=work.attempt, trace=trace.trace, step=trace.step, hints=hints)
    answer = step.model_dump(include={"summary", "hypothesis", "usage"})
    answer |= {"attempt": work.attempt, "parent": work.parent, "remeasure": step.remeasure}
    announce_answer(run, "updated", work.attempt, trace, began, **answer)
    work = work.evolve(
        script=run.artifacts.put(step.script),
        kind="ensemble" if step.ensemble else work.kind,
        ensemble=step.ensemble,
        summary=step.summary,
        limit_s=step.limit_s,
        hypothesis=step.hypothesis,
        usage=work.usage + step.usage,
    )
    return {"work": begin_repeat(run, trace, work, step.remeasure).dump()}
