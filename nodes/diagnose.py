"""diagnose: the gradient. Turns the evidence of a solution into hypotheses and a change."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, give_up_step
from briefs.gradient import Gradient, ask_gradient, list_heads, store_gradient
from graph.state import TraceState
from reasoner.protocol import ReasonerError
from run.registry import NodeRuntime, current_run
from scoring.probes import take_look
from scoring.sources import offer_attempts

UNANNOUNCED = {"notes", "hints", "change", "change_problem", "change_owner"}
UNANNOUNCED |= {"turns", "thread", "probe"}


async def diagnose(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Diagnose the solution that the policy chose, usually the trace's best."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    ref = str(work.base)

    async def ask() -> Gradient:
        offered = await offer_attempts(run, list_heads(run, state), trace)
        return await ask_gradient(run, state, run.attempt(ref), offered)

    began = time.monotonic()
    parts = [work.attempt, str(trace.head), ref, *state.siblings]
    try:
        gradient = await ask_reasoner(run, "diagnose", parts, ask, Gradient)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    await take_look(run, work.attempt, gradient)
    answer = gradient.model_dump(exclude=UNANNOUNCED)
    announce_answer(run, "diagnosed", work.attempt, trace, began, **answer)
    if not gradient.hypotheses and not (gradient.change and gradient.change.remeasure):
        run.pace.leave(trace.trace, waits=True)
        done = trace.evolve(status="done").dump()
        return {"row": done, "traces": {str(trace.trace): done}}
    stored = store_gradient(run, gradient)
    work = work.evolve(diagnosis=stored, usage=work.usage + gradient.usage)
    if trace.best is not None and trace.best.ref == ref:
        trace = trace.evolve(diagnosis=stored, tried=[])
    return {"work": work.dump(), "row": trace.dump()}
