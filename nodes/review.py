"""review: a model reads a script that would become the trace's best, for leaks and for how it is evaluated; it judges code, never scores."""

from __future__ import annotations

import time
from typing import Any

from briefs import excerpts as quotes
from briefs.ask import add_usage
from briefs.brief import base
from graph.state import TraceState, Work
from reasoner.protocol import ReasonerError, Review, ReviewBrief
from run.run import Json, Run, open_run


async def review(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    name = f"{work['attempt']}r{work['repairs']}"

    async def think() -> Json:
        common = base(run, row, state["siblings"])
        parent = run.attempt(work["base"])["script"] if work["base"] else None
        brief = ReviewBrief(
            **common,
            script=run.artifacts.get(work["script"]),
            diff=quotes.change(run, parent, work["script"]),
        )
        return (await run.reasoner.review(brief)).model_dump()

    began = time.monotonic()
    try:
        answer = await run.once("review", [name, work["script"]], think)
    except ReasonerError as error:  # no review: what was measured stands
        answer = Review(usage=error.usage).model_dump() | {"error": str(error)[:300]}
    place = {"trace": row["trace"], "step": row["step"], "attempt": work["attempt"]}
    run.events.emit(
        "reviewed", key=name, **place, **answer, seconds=round(time.monotonic() - began, 3)
    )
    work = work | {
        "review": False,
        "reviewed": True,
        "usage": add_usage(work["usage"], answer["usage"]),
    }
    found = (
        [f"review of the code: {reason}" for reason in answer["reasons"]]
        if answer["leaks"] or not answer["aligned"]
        else []
    )
    return {"work": work | consequence(run, work, found)}


def consequence(run: Run, work: Work, found: list[str]) -> Work:
    """A finding goes back for repair where nothing can measure it; where audit rows can, they have the word and it is noted."""
    if not found:
        return Work()
    if run.prepared.n_audit or work["repairs"] >= run.settings.max_repairs:
        return Work(reasons=[*work["reasons"], *found])
    return Work(
        failed={"problems": found},
        verdict="failed",
        replaces=False,
        reasons=found,
        codes=["review"],
    )
