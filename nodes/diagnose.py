"""diagnose: the gradient.  From the evidence of the trace's best (and latest) attempt to ranked hypotheses."""

from __future__ import annotations

import time
from typing import Any

from graph.briefs import base
from graph.run import Json, Run, open_run
from graph.state import Best, Trace, TraceState
from graph.work import add_usage, begin, unanswered
from reasoner.protocol import DiagnoseBrief, ReasonerError


async def diagnose(state: TraceState) -> dict[str, Any]:
    run, row = open_run(state["run_dir"]), state["row"]
    best = row["best"]
    assert best is not None  # routes.enter
    work = begin(row, kind="update", parent=best["attempt"])

    async def think() -> Json:
        return (await run.reasoner.diagnose(brief(run, row, best))).model_dump()

    began = time.monotonic()
    try:
        found = await run.once("diagnose", [work["attempt"], str(row["head"]), best["ref"]], think)
    except ReasonerError as error:
        return {"work": unanswered(run, row, work, error)}
    seconds = round(time.monotonic() - began, 3)
    shown = {key: found[key] for key in ("observations", "causes", "hypotheses", "usage")}
    run.events.emit("diagnosed", key=work["attempt"], trace=row["trace"], step=row["step"], seconds=seconds, **shown)
    if not found["hypotheses"]:
        done = row | {"status": "done"}
        return {"row": done, "traces": {str(row["trace"]): done}}
    usage = add_usage(work["usage"], found["usage"])
    return {"work": work | {"diagnosis": run.artifacts.put_json(found), "usage": usage}}


def brief(run: Run, row: Trace, best: Best) -> DiagnoseBrief:
    evidence = run.artifacts.get_json(run.attempt(best["ref"])["evidence"])
    latest = run.attempt(row["head"]) if row["head"] else None
    last = run.artifacts.get_json(latest["evidence"]) if latest and latest["id"] != best["attempt"] and latest["evidence"] else None
    return DiagnoseBrief(**base(run, row), script=run.artifacts.get(best["script"]), evidence=evidence, last=last)
