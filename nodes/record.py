"""record: the attempt joins the trace's chain; a better best is published at once, so that a valid submission is always on disk."""

from __future__ import annotations

from typing import Any

from briefs.crossover import took
from graph.state import Trace, TraceState, Work
from run.best import publish
from run.budget import over
from run.run import Json, Run, open_run
from scoring.lessons import share
from scoring.records import account, announce, best_of_record


async def record(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    attempt = account(run, row, work) | {
        "base": work["base"],
        "from_best": starts_from_best(row, work),
    }
    attempt["took"] = took(run, row, work["mode"])
    ref = run.artifacts.put_json(attempt)
    row = advanced(run, row, attempt, ref)
    announce(run, attempt)
    run.flying.pop(row["trace"], None)
    await share(run, attempt)
    if attempt["replaces"] and row["best"]:
        await publish(run, row["best"])
    until = (
        row["step"] if over(run, run.events.used) else state["until"]
    )  # a spent budget ends the visit
    return {"row": row, "traces": {str(row["trace"]): row}, "until": until}


def starts_from_best(row: Trace, work: Work) -> bool:
    """Whether the trace's best is what was changed, so that the paired gain is the hypothesis' own."""
    return row["best"] is not None and row["best"]["ref"] == work["base"]


def advanced(run: Run, row: Trace, attempt: Json, ref: str) -> Trace:
    """The trace after this attempt."""
    hypothesis = (attempt["hypothesis"] or {}).get("id")
    new = Trace(**row) | {
        "head": ref,
        "step": row["step"] + 1,
        "tried": [*row["tried"], *([hypothesis] if hypothesis else [])],
    }
    new["cross"] = None
    if attempt["replaces"]:
        new |= {"diagnosis": None, "tried": [], "best": best_of_record(attempt, ref)}
    new["n_accepted"] = row["n_accepted"] + (attempt["verdict"] == "accepted")
    if "unanswered" not in attempt["codes"]:
        new["failures"] = row["failures"] + 1 if attempt["verdict"] == "failed" else 0
    if new["failures"] >= run.settings.max_failures:
        new["status"] = "failed"
    return new
