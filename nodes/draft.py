"""draft: initial parameters.  A first complete script for a trace, told to differ from its siblings."""

from __future__ import annotations

import time
from typing import Any

from briefs.ask import thought, unanswered
from briefs.brief import base
from graph.state import TraceState
from reasoner.protocol import DraftBrief, ReasonerError
from run.run import Json, open_run


async def draft(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    trace, step = row["trace"], row["step"]

    async def think() -> Json:
        siblings = [line for other, line in sorted(run.directions.items()) if other != trace]
        solution = await run.reasoner.draft(
            DraftBrief(**base(run, row, state["siblings"]), siblings=siblings)
        )
        return solution.model_dump()

    began = time.monotonic()
    try:
        async with (
            run.drafting
        ):  # one after the other, so that each can be told to differ from those before it
            answer = await thought(run, "draft", [work["attempt"], str(row["head"])], think)
            run.directions[trace] = answer["summary"]
    except ReasonerError as error:
        return {"work": await unanswered(run, row, work, error)}
    seconds = round(time.monotonic() - began, 3)
    run.events.emit(
        "drafted",
        key=work["attempt"],
        trace=trace,
        step=step,
        attempt=work["attempt"],
        summary=answer["summary"],
        seconds=seconds,
        usage=answer["usage"],
    )
    return {
        "work": work
        | {
            "script": run.artifacts.put(answer["script"]),
            "summary": answer["summary"],
            "usage": answer["usage"],
        }
    }
