"""record: the attempt joins the trace's chain; a better best is published at once, so that a valid submission is always on disk."""

from __future__ import annotations

from typing import Any

from graph.crossover import took
from graph.publish import publish
from graph.run import Json, Run, open_run
from graph.share import share
from graph.state import Best, Trace, TraceState, Work


async def record(state: TraceState) -> dict[str, Any]:
    run, row, work = open_run(state["run_dir"]), state["row"], state["work"]
    attempt = account(run, row, work) | {"base": work["base"], "from_best": starts_from_best(row, work)}
    attempt["took"] = took(run, row, work["mode"])
    ref = run.artifacts.put_json(attempt)
    row = advanced(run, row, attempt, ref)
    announce(run, attempt)
    run.flying.pop(row["trace"], None)
    await share(run, attempt)
    if attempt["replaces"] and row["best"]:
        await publish(run, row["best"])
    return {"row": row, "traces": {str(row["trace"]): row}}


def starts_from_best(row: Trace, work: Work) -> bool:
    """Whether the trace's best is what was changed, so that the paired gain is the hypothesis' own."""
    return row["best"] is not None and row["best"]["ref"] == work["base"]


def account(run: Run, row: Trace, work: Work) -> Json:
    """The attempt's record: append-only, frozen, found by its hash."""
    execution = run.artifacts.get_json(work["execution"]) if "execution" in work else {}
    grade = run.artifacts.get_json(work["grade"]) if "grade" in work else {}
    score = grade.get("score") or {}
    paired = (grade.get("paired") or {}).get("best") or {}
    files = execution.get("files", {})
    return {
        "id": work["attempt"],
        "trace": row["trace"],
        "step": row["step"],
        "prev": row["head"],
        "parent": work["parent"],
        "kind": "repair" if work["repairs"] and "error" not in work else work["kind"],
        "mode": work["mode"],
        "why": work["why"],
        "repairs": work["repairs"],
        "summary": work["summary"],
        "hypothesis": work["hypothesis"],
        "diagnosis": work.get("diagnosis"),
        "script": work.get("script"),
        "execution": work.get("execution"),
        "log": execution.get("log"),
        "oof": files.get("oof.csv"),
        "submission": files.get("submission.csv"),
        "evidence": run.artifacts.put_json(grade["evidence"]) if grade else None,
        "grade": work.get("grade"),
        "score": score.get("value"),
        "score_se": score.get("se"),
        "folds": score.get("folds", []),
        "gain": paired.get("d"),
        "gain_se": paired.get("se"),
        "verdict": "failed" if "error" in work else work["verdict"],
        "replaces": work.get("replaces", False) and "error" not in work,
        "reasons": [work["error"]] if "error" in work else work["reasons"],
        "problems": grade.get("problems", []),
        "seconds": round(execution.get("wall_s", 0.0), 3),
        "usage": work["usage"],
    }


def advanced(run: Run, row: Trace, attempt: Json, ref: str) -> Trace:
    """The trace after this attempt."""
    hypothesis = (attempt["hypothesis"] or {}).get("id")
    new = Trace(**row) | {"head": ref, "step": row["step"] + 1, "tried": [*row["tried"], *([hypothesis] if hypothesis else [])]}
    new["cross"] = None
    if attempt["replaces"]:
        new |= {"diagnosis": None, "tried": []}
        new["best"] = Best(
            attempt=attempt["id"],
            trace=attempt["trace"],
            ref=ref,
            script=attempt["script"],
            score=attempt["score"],
            se=attempt["score_se"],
        )
    new["n_accepted"] = row["n_accepted"] + (attempt["verdict"] == "accepted")
    new["failures"] = row["failures"] + 1 if attempt["verdict"] == "failed" else 0
    if new["failures"] >= run.settings.max_failures:
        new["status"] = "failed"
    return new


SHOWN = [
    "submission",
    "oof",
    "id",
    "trace",
    "step",
    "parent",
    "kind",
    "mode",
    "why",
    "script",
    "evidence",
    "log",
    "score",
    "score_se",
    "folds",
    "gain",
    "gain_se",
    "verdict",
    "reasons",
    "problems",
    "seconds",
    "usage",
    "repairs",
    "diagnosis",
]


def announce(run: Run, attempt: Json) -> None:
    hypothesis = attempt["hypothesis"] or {}
    run.events.emit(
        "attempt",
        key=attempt["id"],
        **{name: attempt[name] for name in SHOWN},
        hypothesis=hypothesis.get("statement") or attempt["summary"],
        component=hypothesis.get("component", ""),
        move=hypothesis.get("move"),
        predicted=hypothesis.get("effect"),
        confidence=hypothesis.get("confidence"),
    )
