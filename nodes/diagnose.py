"""diagnose: the gradient.  From the evidence of a solution (mostly the trace's best) and of the latest attempt to ranked hypotheses."""

from __future__ import annotations

import time
from typing import Any

from briefs import excerpts as quotes
from briefs.ask import add_usage, thought, unanswered
from briefs.brief import base, scenario
from graph.state import Trace, TraceState
from reasoner.protocol import DiagnoseBrief, ReasonerError
from run.run import Json, Run, open_run


async def diagnose(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    ref, siblings = work["base"], state["siblings"]
    assert ref is not None  # routes.selected
    base_attempt = run.attempt(ref)

    async def think() -> Json:
        return (await run.reasoner.diagnose(brief(run, row, siblings, base_attempt))).model_dump()

    began = time.monotonic()
    try:
        found = await thought(
            run, "diagnose", [work["attempt"], str(row["head"]), ref, *siblings], think
        )
    except ReasonerError as error:
        return {"work": await unanswered(run, row, work, error)}
    seconds = round(time.monotonic() - began, 3)
    shown = {key: found[key] for key in ("observations", "causes", "hypotheses", "usage")}
    run.events.emit(
        "diagnosed",
        key=work["attempt"],
        trace=row["trace"],
        step=row["step"],
        seconds=seconds,
        **shown,
    )
    if not found["hypotheses"]:
        done = row | {"status": "done"}
        return {"row": done, "traces": {str(row["trace"]): done}}
    diagnosis = run.artifacts.put_json(found)
    work = work | {"diagnosis": diagnosis, "usage": add_usage(work["usage"], found["usage"])}
    of_best = row["best"] is not None and row["best"]["ref"] == ref
    return {"work": work, "row": row | {"diagnosis": diagnosis, "tried": []} if of_best else row}


def brief(run: Run, row: Trace, siblings: list[str], start: Json) -> DiagnoseBrief:
    latest = run.attempt(row["head"]) if row["head"] else None
    last = (
        run.artifacts.get_json(latest["evidence"])
        if latest and latest["id"] != start["id"] and latest["evidence"]
        else None
    )
    evidence = run.artifacts.get_json(start["evidence"])
    return DiagnoseBrief(
        **base(run, row, siblings),
        script=run.artifacts.get(start["script"]),
        evidence=evidence,
        log=quotes.log(run, start["log"]),
        last=last,
        last_diff=quotes.change(run, start["script"], latest["script"]) if latest and last else "",
        scenario=scenario(row),
    )
