"""What a merge tells: the standings of the traces, and how predictions fared."""

from __future__ import annotations

from briefs.brief import HISTORY
from graph.state import Best, Json, Trace
from run.calibration import calibration_event
from run.run import Run


def report_calibration(run: Run, number: int, traces: list[Trace]) -> None:
    """Emit how the reasoner's predictions fared over the latest attempts of all traces."""
    result = run.history.calibration([trace.head for trace in traces], HISTORY)
    if result is not None:
        payload = calibration_event(result, run.reasoner.name)
        run.events.emit("calibration", key=str(number), **payload)


def announce_merge(
    run: Run,
    number: int,
    traces: list[Trace],
    best: Best | None,
    actions: list[str],
    waited_s: float,
) -> None:
    """Emit the standings after a merge, what it did, and how long traces waited for it."""
    fields = {"attempt", "score", "se", "trace"}
    best_fields = {**best.model_dump(include=fields), "score_se": best.se} if best else None
    run.events.emit(
        "merged",
        key=str(number),
        round=number,
        best=best_fields,
        standings=[_trace_standing(run, trace) for trace in traces],
        actions=actions,
        used=run.events.used.dump(),
        waited_s=round(waited_s, 3),
    )


def _trace_standing(run: Run, trace: Trace) -> Json:
    return {
        "trace": trace.trace,
        "step": trace.step,
        "status": trace.status,
        "best_score": trace.best.score if trace.best else None,
        "attempts": trace.step,
        "accepted": run.history.count_accepted(trace.head),
    }
