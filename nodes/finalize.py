"""finalize: the leading solutions under several seeds, the best of them once more on all rows, its submission checked and handed over."""

from __future__ import annotations

import json
import math
from typing import Any

from graph.state import Best, RunState
from run.artifacts import write_atomic
from run.best import hashed, publish
from run.run import Json, Run, open_run
from scoring.audit import account
from scoring.final_choice import Contender, chosen, contest, ensemble_wins, leading, refit, shown

ENDS = {
    "budget: steps": "every trace has made its steps",
    "budget: time": "the time is used up",
    "budget: executions": "the executions are used up",
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
        run.events.emit(
            "run_ended",
            key="end",
            reason="error",
            best=None,
            seconds=run.events.elapsed,
            message=message,
        )
        return {"stop": reason, "submission": ""}
    run.finishing = True
    await publish(run, best, force=True)
    best, facts = await choice(run, state)
    await publish(run, best, force=True)
    hashes = await refit(run, best)
    hand_over(run, best, bool(hashes), facts, hashes or hashed(run.folder / "best"))
    run.events.emit(
        "run_ended",
        key="end",
        reason=reason.partition(":")[0],
        best=dict(best),
        seconds=round(run.events.elapsed, 1),
        message=ENDS.get(reason, reason),
    )
    return {"stop": reason, "submission": str(run.folder / "best" / "submission.csv"), "best": best}


async def choice(run: Run, state: RunState) -> tuple[Best, Json]:
    """What is handed over, and the facts of the contest for events and report."""
    records = leading(run, state)
    run.events.emit(
        "finalizing",
        key="final",
        candidates=[{"attempt": record["id"], "score": record["score"]} for record in records],
    )
    contenders = await contest(run, records)
    single, n_level = await chosen(run, contenders)
    ensemble = state.get("ensemble")
    wins = await ensemble_wins(run, ensemble, single)
    best = ensemble if wins and ensemble else single.best
    facts = {
        "candidates": shown(run, contenders),
        "chosen": single.record["id"],
        "level": n_level,
        "ensemble": {"attempt": ensemble["attempt"], "score": ensemble["score"], "wins": wins}
        if ensemble
        else None,
        "audit": account(run, more=math.log2(n_level)),
    }
    return best, facts | {"score_seeds": mean_of(single) if not wins else None}


def mean_of(single: Contender) -> Json:
    return {"mean": single.mean, "se": single.se, "n": len(single.scores)}


def hand_over(run: Run, best: Best, refitted: bool, facts: Json, hashes: dict[str, str]) -> None:
    folder = run.folder / "best"
    write_atomic(
        folder / "best.json", json.dumps({**best, "refit": refitted, "sha256": hashes}, indent=2)
    )
    run.events.emit(
        "finalized",
        key="final",
        attempt=best["attempt"],
        score=best["score"],
        score_se=best["se"],
        submission=str(folder / "submission.csv"),
        solution=str(folder / "solution.py"),
        refit=refitted,
        sha256=hashes,
        **facts,
    )
