"""An attempt's record: append-only, frozen, found by its hash; and the event that announces it."""

from __future__ import annotations

from graph.state import Best, Trace, Work
from run.calibration import measured
from run.run import Json, Run


def account(run: Run, row: Trace, work: Work) -> Json:
    """Everything that is known of an attempt once it is judged."""
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
        "members": execution.get("members", {}),
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
        "validity": work.get("validity", False) and "error" not in work,
        "reasons": [work["error"]] if "error" in work else work["reasons"],
        "codes": ["unanswered"] if "error" in work else work["codes"],
        "cause": work.get("cause", ""),
        "fix": work.get("fix", ""),
        "problems": grade.get("problems", []),
        "seconds": round(execution.get("wall_s", 0.0), 3),
        "usage": work["usage"],
    }


def best_of_record(attempt: Json, ref: str) -> Best:
    return Best(
        attempt=attempt["id"],
        trace=attempt["trace"],
        ref=ref,
        script=attempt["script"],
        score=attempt["score"],
        se=attempt["score_se"],
    )


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
    "members",
    "evidence",
    "log",
    "score",
    "score_se",
    "folds",
    "gain",
    "gain_se",
    "verdict",
    "replaces",
    "reasons",
    "codes",
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
        measured=measured(attempt),
    )
