"""finalize: choose among the leading solutions, refit on all rows, hand over the submission."""

from __future__ import annotations

from typing import Any

from graph.state import Best, RunState
from report.score_curve import read_curve
from run.best import hash_solution, publish_best, write_best_json
from run.registry import NodeRuntime, current_run
from run.run import Run
from scoring.average import average_seeds
from scoring.baseline import publish_baseline
from scoring.final_choice import FinalChoice, choose_final
from scoring.lessons import share_claims
from scoring.over_baseline import compare_with_baselines
from scoring.refit import refit_choice

ENDS = {
    "budget: steps": "all steps used",
    "budget: time": "time limit reached",
    "budget: executions": "all executions used",
    "budget: tokens": "token limit reached",
    "budget: money": "money limit reached",
    "target": "target score reached",
    "converged": "no trace expects a further gain",
}
EXCUSES = {"budget: time": " within the time"}
LISTED = "`gome show` lists what went wrong"


async def finalize(state: RunState, runtime: NodeRuntime) -> dict[str, Any]:
    """End the run with the best submission, or with a message if there is none."""
    run, best = current_run(state.run_dir, runtime), state.best
    reason = state.stop or "converged"
    if best is None:
        has_baseline = await publish_baseline(run)
        excuse = EXCUSES.get(reason, "")
        instead = "the submission is the baseline; " if has_baseline else ""
        message = f"no script gave a valid result{excuse}; {instead}{LISTED}"
        _announce_end(run, reason.partition(":")[0] if excuse else "error", None, message)
        path = run.folder / "best" / "submission.csv"
        return {"stop": reason, "submission": str(path) if has_baseline else ""}
    run.board.in_finale = True
    await publish_best(run, best, force=True)
    choice = await choose_final(run, state)
    await publish_best(run, choice.best, force=True)
    fit = await refit_choice(run, choice)
    choice, _, refitted = await average_seeds(run, fit)
    choice.facts["over_baseline"] = await compare_with_baselines(run, choice.best)
    _hand_over(run, choice, refitted)
    await share_claims(run)
    _announce_end(run, reason.partition(":")[0], choice.best, ENDS.get(reason, reason))
    submission = str(run.folder / "best" / "submission.csv")
    best = fit.choice.best  # an average is in best/ alone: a longer run goes on without it
    return {"stop": reason, "submission": submission, "best": best.dump()}


def _announce_end(run: Run, reason: str, best: Best | None, message: str) -> None:
    run.events.emit_end(
        "run_ended",
        {"reason": reason, "best": best.dump() if best else None},
        seconds=round(run.events.elapsed, 1),
        curve=read_curve(run.folder),
        message=message,
    )


def _hand_over(run: Run, choice: FinalChoice, refitted: dict[str, str]) -> None:
    """Write best.json; `refitted`: hashes of the refit's files, empty where there was no refit."""
    folder, best = run.folder / "best", choice.best
    refit = {"refit": bool(refitted), "sha256": refitted or hash_solution(folder)}
    write_best_json(folder, best, refit)
    run.events.emit_end(
        "finalized",
        {"attempt": best.attempt, "score": best.score, "score_se": best.se, **refit},
        submission=str(folder / "submission.csv"),
        solution=str(folder / "solution.py"),
        **choice.describe(),
    )
