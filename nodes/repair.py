"""repair: a script that failed gets a second chance, with the evidence of its failure."""

from __future__ import annotations

import time
from typing import Any

from briefs import excerpts as quotes
from briefs.ask import add_usage, thought, unanswered
from briefs.brief import base
from graph.state import TraceState
from reasoner.protocol import Hypothesis, ReasonerError, RepairBrief
from run.run import Json, open_run


async def repair(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    number = work["repairs"] + 1
    work = work | {"repairs": number, "failed": {}}
    hypothesis = Hypothesis.model_validate(work["hypothesis"]) if work["hypothesis"] else None
    grade = run.artifacts.get_json(work["grade"])

    async def think() -> Json:
        brief = RepairBrief(
            **base(run, row, state["siblings"]),
            script=run.artifacts.get(work["script"]),
            evidence=grade["evidence"],
            problems=work["reasons"],
            attempt=number,
            log=quotes.log(run, run.artifacts.get_json(work["execution"])["log"]),
            earlier=work.get("mended", []),
            hypothesis=hypothesis,
        )
        return (await run.reasoner.repair(brief)).model_dump()

    began = time.monotonic()
    try:
        answer = await thought(
            run, "repair", [f"{work['attempt']}r{number}", work["script"], work["execution"]], think
        )
    except ReasonerError as error:
        return {"work": await unanswered(run, row, work, error)}
    run.events.emit(
        "repaired",
        key=f"{work['attempt']}r{number}",
        trace=row["trace"],
        step=row["step"],
        attempt=work["attempt"],
        parent=work["parent"],
        summary=answer["summary"],
        problems=work["reasons"],
        seconds=round(time.monotonic() - began, 3),
        usage=answer["usage"],
    )
    usage = add_usage(work["usage"], answer["usage"])
    told = {
        "cause": answer["cause"],
        "fix": answer["fix"],
        "mended": [*work.get("mended", []), f"{answer['cause']} -> {answer['fix']}"],
    }
    return {
        "work": work
        | told
        | {
            "script": run.artifacts.put(answer["script"]),
            "summary": answer["summary"],
            "usage": usage,
        }
    }
