"""validate: checks on the loss.  Format, then leakage, then the comparison with the trace's best under noise, then the audit."""

from __future__ import annotations

from typing import Any

from graph.state import TraceState, Work
from run.budget import drafting_spent
from run.run import Json, Run, open_run
from scoring.evaluation import Entry, judged

MENDABLE = (
    "leak_column",
    "leak_id",
    "leak_duplicates",
    "leak_encoding",
)  # leaks that name what to change


async def validate(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    validity = removes_flaw(run, work)
    entry = entry_of(work, run.artifacts.get_json(work["execution"]), validity)
    grade, judgement = await judged(run, entry, row["best"])
    ensemble = work["kind"] == "ensemble"
    found = Work(
        grade=run.artifacts.put_json(grade),
        verdict=judgement.verdict,
        replaces=judgement.replaces
        and not ensemble,  # an ensemble is no script to go on from; the merge makes it the run's best
        validity=validity and judgement.replaces,
        reasons=judgement.texts,
        codes=judgement.codes,
    )
    mend = judgement.verdict == "failed" or any(code in MENDABLE for code in judgement.codes)
    found["failed"] = {"problems": judgement.texts} if mend and repairable(run, work) else {}
    found["review"] = judgement.replaces and not found["failed"] and readable(run, work)
    return {"work": work | found}


def readable(run: Run, work: Work) -> bool:
    """Whether a model is to read the script; rules (the expert) read no code, and a repaired script is not read twice."""
    return (
        run.settings.review
        and run.reasoner.name != "expert"
        and work["kind"] != "ensemble"
        and not work.get("reviewed")
    )


def entry_of(work: Work, execution: Json, validity: bool) -> Entry:
    return Entry(
        attempt=f"{work['attempt']}r{work['repairs']}",
        script=work["script"],
        execution=execution,
        seconds=execution.get("member_s") or execution["wall_s"],
        validity=validity,
        repeatable=work["kind"] != "ensemble",
    )


def repairable(run: Run, work: Work) -> bool:
    if work["kind"] == "ensemble" or work["repairs"] >= run.settings.max_repairs:
        return False
    return not (
        work["kind"] == "draft" and work["repairs"] and drafting_spent(run, run.events.used)
    )


def removes_flaw(run: Run, work: Work) -> bool:
    """A protocol hypothesis counts as one only where the harness itself suspects the column that it drops."""
    hypothesis = work.get("hypothesis")
    if not hypothesis or not hypothesis.get("protocol"):
        return False
    suspects = {str(leak.get("column")) for leak in run.setup["profile"].get("leaks", [])}
    text = f"{hypothesis.get('move') or ''} {hypothesis['statement']} {hypothesis.get('plan', '')}"
    return any(suspect in text for suspect in suspects)
