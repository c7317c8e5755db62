"""record: the attempt joins the trace's chain; a better best is published at once, so that a valid submission is always on disk."""

from __future__ import annotations

from typing import Any

from graph.publish import publish
from graph.records import account, announce, best_of_record
from graph.run import Json, Run, open_run
from graph.state import Trace, TraceState


async def record(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    attempt = account(run, row, work)
    ref = run.artifacts.put_json(attempt)
    row = advanced(run, row, attempt, ref)
    announce(run, attempt)
    if attempt["replaces"] and row["best"]:
        await publish(run, row["best"])
    return {"row": row, "traces": {str(row["trace"]): row}}


def advanced(run: Run, row: Trace, attempt: Json, ref: str) -> Trace:
    """The trace after this attempt."""
    hypothesis = (attempt["hypothesis"] or {}).get("id")
    new = Trace(**row) | {"head": ref, "step": row["step"] + 1, "tried": [*row["tried"], *([hypothesis] if hypothesis else [])]}
    if attempt["replaces"]:
        new |= {"diagnosis": None, "tried": [], "best": best_of_record(attempt, ref)}
    new["n_accepted"] = row["n_accepted"] + (attempt["verdict"] == "accepted")
    new["failures"] = row["failures"] + 1 if attempt["verdict"] == "failed" else 0
    if new["failures"] >= run.settings.max_failures:
        new["status"] = "failed"
    return new
