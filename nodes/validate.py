"""validate: checks on the loss.  Format, then leakage, then the comparison with the trace's best under noise."""

from __future__ import annotations

from typing import Any

from graph.acceptance import judge
from graph.run import Json, Run, open_run
from graph.state import Best, TraceState, Work
from task.types import Grade


async def validate(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    execution = run.artifacts.get_json(work["execution"])
    grade = await grading(run, execution, row["best"])
    best_seconds = run.attempt(row["best"]["ref"])["seconds"] if row["best"] else None
    judgement = judge(
        grade,
        z=run.settings.accept_z,
        has_best=row["best"] is not None,
        validity=removes_flaw(run, work),
        seconds=execution["wall_s"],
        best_seconds=best_seconds,
    )
    repairable = judgement.verdict == "failed" and work["repairs"] < run.settings.max_repairs
    return {
        "work": work
        | {
            "grade": run.artifacts.put_json(grade),
            "verdict": judgement.verdict,
            "replaces": judgement.replaces,
            "reasons": judgement.reasons,
            "failed": {"problems": judgement.reasons} if repairable else {},
        }
    }


async def grading(run: Run, execution: Json, best: Best | None) -> Grade:
    """The harness's own score of the files, paired with the best's predictions on the same rows."""
    files = {name: str(run.artifacts.path(ref)) for name, ref in execution["files"].items()}
    references = {"best": str(run.artifacts.path(run.attempt(best["ref"])["oof"]))} if best else {}
    account = {key: value for key, value in execution.items() if key not in ("files", "log")}
    account |= {"output": run.artifacts.get(execution["log"]), "limit_mb": run.settings.run_memory_bytes / 2**20}
    return await run.worker.grade(run.prepared, files, references, account, seed=run.settings.seed)


def removes_flaw(run: Run, work: Work) -> bool:
    """A protocol hypothesis counts as one only where the harness itself suspects the column that it drops."""
    hypothesis = work.get("hypothesis")
    if not hypothesis or not hypothesis.get("protocol"):
        return False
    suspects = {str(leak.get("column")) for leak in run.setup["profile"].get("leaks", [])}
    text = f"{hypothesis.get('move') or ''} {hypothesis['statement']} {hypothesis.get('plan', '')}"
    return any(suspect in text for suspect in suspects)
