"""merge: the all-reduce.  Traces meet: successes enter the shared memory, stuck traces restart from the best, the end is decided."""

from __future__ import annotations

from typing import Any

from briefs.brief import HISTORY
from briefs.crossover import rescue
from graph.state import Best, RunState, Trace
from run.best import better, publish
from run.budget import over
from run.calibration import as_event
from run.run import Json, Run, open_run
from scoring.ensemble import challenge, kept_ids, pooled
from scoring.lessons import measured


async def merge(state: RunState) -> dict[str, Any]:
    run = open_run(state["run_dir"])
    rows = sorted(state["traces"].values(), key=lambda row: row["trace"])
    fresh = {row["trace"]: run.chain(row["head"], until=row["merged"]) for row in rows}
    shared = (
        sum(measured(attempt) for attempts in fresh.values() for attempt in attempts)
        if run.settings.memory != "off"
        else 0
    )
    single = best_of(run, rows)
    pool = pooled(run, state.get("pool"), list(fresh.values()))
    ensemble = await blended(run, state, pool, single)
    best = ensemble or single
    actions = [f"{shared} measured hypotheses joined the memory"] if shared else []
    merged = list(rows)
    for index, row in enumerate(rows):
        merged[index] = met(run, row, merged, fresh[row["trace"]], single, actions)
    report_calibration(run, state["round"], rows)
    if ensemble:
        actions.append(f"{run.attempt(ensemble['ref'])['summary']} beats the best single solution")
        await publish(run, ensemble)
    used = run.events.used
    stop = ending(run, merged, best) or over(run, used)
    run.events.emit(
        "merged",
        key=str(state["round"]),
        round=state["round"],
        best={key: best[key] for key in ("attempt", "score", "se", "trace")}
        | {"score_se": best["se"]}
        if best
        else None,
        standings=[standing(row) for row in merged],
        actions=actions,
        used=used,
    )
    return {
        "round": state["round"] + 1,
        "traces": {str(row["trace"]): row for row in merged},
        "best": best,
        "ensemble": ensemble,
        "pool": pool,
        "used": used,
        "stop": stop,
    }


async def blended(run: Run, state: RunState, pool: str, single: Best | None) -> Best | None:
    """The ensemble that beats the best single solution; made anew only when the accepted solutions have changed."""
    if single is None:
        return None
    if kept_ids(run, pool) == kept_ids(run, state.get("pool")):
        return state.get("ensemble")
    return await challenge(run, state["round"], pool, single)


def best_of(run: Run, rows: list[Trace]) -> Best | None:
    best: Best | None = None
    for row in rows:
        if row["best"] and better(
            run.prepared.task.direction, row["best"]["score"], best["score"] if best else None
        ):
            best = row["best"]
    return best


def met(
    run: Run,
    row: Trace,
    rows: list[Trace],
    fresh: list[Json],
    best: Best | None,
    actions: list[str],
) -> Trace:
    """The trace after the meeting: counted, ended, or rescued."""
    accepted = any(attempt["verdict"] == "accepted" for attempt in fresh)
    new = Trace(**row) | {"merged": row["head"], "stagnant": 0 if accepted else row["stagnant"] + 1}
    stuck = row["status"] == "done" or new["stagnant"] >= run.settings.patience
    stuck = stuck and row["status"] != "dropped" and not row.get("pinned")
    if stuck and row["step"] < run.settings.steps and (saved := rescue(run, row, rows, best)):
        actions.append(f"trace {row['trace']} was stuck and {saved.why}")
        new |= {
            "status": "running",
            "best": saved.start,
            "stagnant": 0,
            "diagnosis": None,
            "tried": [],
        }
        new |= {"cross": saved.cross, "rescued": [*row["rescued"], saved.key, saved.start["ref"]]}
    elif new["status"] == "running" and row["step"] >= run.settings.steps:
        new["status"] = "done"
    return new


def report_calibration(run: Run, number: int, rows: list[Trace]) -> None:
    """How the reasoner's predictions fared, over the latest attempts of all traces."""
    found = run.gists.calibration([row["head"] for row in rows], HISTORY)
    if found is not None:
        run.events.emit("calibration", key=str(number), **as_event(found, run.reasoner.name))


def ending(run: Run, rows: list[Trace], best: Best | None) -> str:
    """Why the loop ends now, or empty."""
    target = run.settings.target
    if (
        best
        and target is not None
        and not better(run.prepared.task.direction, target, best["score"])
    ):
        return "target"
    if any(row["status"] == "running" for row in rows):
        return ""
    if all(row["step"] >= run.settings.steps for row in rows):
        return "budget: steps"
    return "converged" if best else "no valid script"


def standing(row: Trace) -> Json:
    return {
        "trace": row["trace"],
        "step": row["step"],
        "status": row["status"],
        "best_score": row["best"]["score"] if row["best"] else None,
        "attempts": row["step"],
        "accepted": row["n_accepted"],
    }
