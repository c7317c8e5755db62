"""finalize: the best solution is run once more on all rows, audit included, and its submission checked and handed over."""

from __future__ import annotations

import json
from typing import Any

from graph.artifacts import write_atomic
from graph.forward import forward
from graph.publish import place, publish
from graph.run import Json, Run, open_run
from graph.state import Best, RunState

ENDS = {
    "budget: steps": "every trace has made its steps",
    "budget: time": "the time is used up",
    "budget: tokens": "the tokens are used up",
    "budget: money": "the money is used up",
    "target": "the target is reached",
    "converged": "no trace expects to gain",
}


async def finalize(state: RunState) -> dict[str, Any]:
    run = open_run(state["run_dir"])
    best = state.get("best")
    reason = state.get("stop") or "converged"
    if best is None:
        message = "no script gave a valid result; `gome show` lists what went wrong"
        run.events.emit("run_ended", key="end", reason="error", best=None, seconds=run.events.elapsed, message=message)
        return {"stop": reason, "submission": ""}
    await publish(run, best, force=True)
    hashes = await refit(run, best)
    folder = run.folder / "best"
    run.events.emit(
        "finalized",
        key="final",
        attempt=best["attempt"],
        score=best["score"],
        score_se=best["se"],
        submission=str(folder / "submission.csv"),
        solution=str(folder / "solution.py"),
        refit=bool(hashes),
        sha256=hashes,
    )
    run.events.emit(
        "run_ended",
        key="end",
        reason=reason.partition(":")[0],
        best=dict(best),
        seconds=round(run.events.elapsed, 1),
        message=ENDS.get(reason, reason),
    )
    return {"stop": reason, "submission": str(folder / "submission.csv")}


async def refit(run: Run, best: Best) -> dict[str, str]:
    """Trains the chosen script on every labelled row. Where nothing was held back, or it fails, the audited run's files stay."""
    if run.prepared.n_audit == 0:
        return {}
    full = await run.worker.prepare_refit(run.prepared, str(run.folder / "refit"))

    async def go() -> Json:
        return await forward(run, "refit", best["script"], full.inputs, max(30.0, run.time_left_s))

    kept = await run.once("refit", [best["attempt"], best["script"]], go)
    submission = kept["files"].get("submission.csv")
    problems = await run.worker.check_submission(full, str(run.artifacts.path(submission))) if submission else [{"message": "none written"}]
    if problems:
        run.events.emit(
            "warning", key="refit", message=f"the refit on all rows gave no valid submission ({problems[0]['message']}); kept the former"
        )
        return {}
    folder = run.folder / "best"
    hashes = await place(run, folder, run.artifacts.get(best["script"]), run.artifacts.path(submission), full.inputs)
    write_atomic(folder / "best.json", json.dumps({**best, "refit": True}, indent=2))
    return hashes
