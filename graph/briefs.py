"""Briefs: everything a reasoner may know at a verb, gathered from the run.  Never labels, never the audit."""

from __future__ import annotations

from typing import Any

from graph.budget import script_limit_s
from graph.hints import hints_for
from graph.run import Json, Run, n_slots
from graph.state import RunState, Trace
from reasoner.protocol import Fact, Hypothesis, Resources, Stage
from sandbox.protocol import Host

N_OWN = 30  # attempts of the trace itself that a brief recalls
N_OTHERS = 10  # accepted attempts of the other traces


def base(run: Run, row: Trace) -> dict[str, Any]:
    """The fields that every brief has in common."""
    return {
        "task": run.task_brief,
        "profile": run.setup["profile"],
        "resources": resources(run),
        "stage": stage(run, row),
        "history": history(run, row),
        "said": hints_for(run.folder, row["trace"]),
        "seed": run.settings.seed * 1009 + row["trace"],
    }


def resources(run: Run) -> Resources:
    settings = run.settings
    return Resources(
        wall_s=script_limit_s(run),
        memory_bytes=settings.run_memory_bytes,
        cpus=run.setup["cpus"],
        gpus=run.setup.get("gpus", []),
        packages=run.setup["packages"],
    )


def stage(run: Run, row: Trace) -> Stage:
    settings = run.settings
    used = min(1.0, max(row["step"] / settings.steps, run.events.elapsed / settings.time_s))
    phase = "draft" if row["best"] is None else "ensemble" if used > 0.7 else "improve"
    return Stage(phase=phase, used=round(used, 2), step=row["step"], trace=row["trace"], n_traces=settings.traces)


def history(run: Run, row: Trace) -> list[Fact]:
    """The trace's latest attempts, oldest first."""
    return [fact(attempt) for attempt in run.chain(row["head"], limit=N_OWN)]


def fact(attempt: Json) -> Fact:
    hypothesis = Hypothesis.model_validate(attempt["hypothesis"]) if attempt.get("hypothesis") else None
    return Fact(
        attempt=attempt["id"],
        trace=attempt["trace"],
        step=attempt["step"],
        parent=attempt["parent"],
        hypothesis=hypothesis.statement if hypothesis else attempt["summary"],
        component=hypothesis.component if hypothesis else "",
        move=hypothesis.move if hypothesis else None,
        predicted=hypothesis.effect if hypothesis else None,
        confidence=hypothesis.confidence if hypothesis else None,
        score=attempt["score"],
        gain=attempt["gain"],
        gain_se=attempt["gain_se"],
        verdict=attempt["verdict"],
        why="; ".join(attempt["reasons"])[:400],
        codes=attempt.get("codes", []),
    )


def exec_cpus(run: Run, host: Host) -> int:
    """Cores of one script when all slots are busy."""
    shared = host.cpus if host.total_cpus is None else host.total_cpus // n_slots(run.settings)
    return run.settings.run_cpus or max(1, min(host.cpus, shared))


def summary_line(state: RunState) -> str:
    best = state.get("best")
    return f"best {best['score']:.5g} ({best['attempt']})" if best else "no valid script yet"
