"""diagnose: the gradient. Turns the evidence of a solution into ranked hypotheses."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import announce_answer, ask_reasoner, give_up_step
from briefs.brief import common_fields, scenario_weight
from briefs.excerpts import diff_artifacts, excerpt_log
from graph.state import Json, Trace, TraceState
from reasoner.protocol import DiagnoseBrief, Diagnosis, ReasonerError
from run.attempt import Attempt
from run.registry import NodeRuntime, current_run
from run.run import Run


async def diagnose(state: TraceState, runtime: NodeRuntime) -> dict[str, Any]:
    """Diagnose the solution that the policy chose, usually the trace's best."""
    run, trace, work = current_run(state.run_dir, runtime), state.row, state.attempt_in_progress
    ref, siblings = str(work.base), state.siblings

    async def ask() -> Diagnosis:
        common = common_fields(run, trace, work, siblings)
        return await run.reasoner.diagnose(_diagnose_brief(run, trace, common, run.attempt(ref)))

    began = time.monotonic()
    parts = [work.attempt, str(trace.head), ref, *siblings]
    try:
        diagnosis = await ask_reasoner(run, "diagnose", parts, ask, Diagnosis)
    except ReasonerError as error:
        return {"work": (await give_up_step(run, trace, work, error)).dump()}
    answer = diagnosis.model_dump(exclude={"notes"})
    announce_answer(run, "diagnosed", work.attempt, trace, began, **answer)
    if not diagnosis.hypotheses:
        done = trace.evolve(status="done").dump()
        return {"row": done, "traces": {str(trace.trace): done}}
    stored = run.artifacts.put_json(diagnosis.model_dump())
    work = work.evolve(diagnosis=stored, usage=work.usage + diagnosis.usage)
    if trace.best is not None and trace.best.ref == ref:
        trace = trace.evolve(diagnosis=stored, tried=[])
    return {"work": work.dump(), "row": trace.dump()}


def _diagnose_brief(run: Run, trace: Trace, common: Json, start: Attempt) -> DiagnoseBrief:
    latest = run.attempt(trace.head) if trace.head else None
    last, last_diff = None, ""
    if latest and latest.id != start.id and latest.evidence:
        last = run.artifacts.get_json(latest.evidence)
        last_diff = diff_artifacts(run, start.script, latest.script)
    return DiagnoseBrief(
        **common,
        script=run.artifacts.get(str(start.script)),
        evidence=run.artifacts.get_json(str(start.evidence)),
        log=excerpt_log(run, start.log),
        last=last,
        last_diff=last_diff,
        scenario=scenario_weight(trace),
    )
