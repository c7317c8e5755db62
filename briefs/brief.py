"""Briefs: everything a reasoner may know at a verb, gathered from the run.  Never labels, never the audit."""

from __future__ import annotations

from typing import Any

from graph.state import RunState, Trace
from reasoner.protocol import Fact, Hypothesis, Resources, Stage, Tally
from run.budget import script_limit_s
from run.calibration import Calibration, facts
from run.hints import hints_for
from run.run import Json, Run, n_slots
from sandbox.protocol import Host

N_PATH = 12  # accepted steps behind the best that a brief recalls
N_TALLY = 1000  # attempts that are counted
N_OWN = 30  # attempts of the trace itself that a brief recalls
N_OTHERS = 20  # measured attempts of the other traces
HISTORY = 200  # attempts of a trace that policy and calibration look back at


def base(run: Run, row: Trace, siblings: list[str]) -> dict[str, Any]:
    """The fields that every brief has in common."""
    return {
        "task": run.task_brief,
        "profile": run.setup["profile"],
        "resources": resources(run),
        "stage": stage(run, row),
        "history": history(run, row),
        "path": path(run, row),
        "tally": tally(run, row),
        "accept_z": run.settings.accept_z,
        "preview": run.setup.get("preview", ""),
        "others": others(run, siblings),
        "calibration": facts(calibrated(run, row, siblings)),
        "in_flight": in_flight(run, row),
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
    return Stage(
        phase=phase,
        used=round(used, 2),
        step=row["step"],
        trace=row["trace"],
        n_traces=settings.traces,
        steps_left=settings.steps - row["step"],
        time_left_s=max(0.0, run.time_left_s - settings.finalize_share * settings.time_s),
        best=row["best"]["score"] if row["best"] else None,
        best_se=row["best"]["se"] if row["best"] else None,
    )


def scenario(row: Trace) -> int:
    """How much attention goes to task and data (3) rather than to evidence (0): it fades as the trace matures (method of the paper's code).

    w = (3 accepted + 2 others) // 2, m = max(0, 3 - w // 4).
    """
    accepted = row["n_accepted"]
    return max(0, 3 - (3 * accepted + 2 * (row["step"] - accepted)) // 2 // 4)


def history(run: Run, row: Trace) -> list[Fact]:
    """The trace's latest attempts, oldest first."""
    return [fact(attempt) for attempt in run.chain(row["head"], limit=N_OWN)]


def path(run: Run, row: Trace) -> list[Fact]:
    """The attempts whose changes the trace's best holds, oldest first."""
    if row["best"] is None:
        return []
    known = {attempt["id"]: attempt["ref"] for attempt in run.gists(row["head"], limit=N_TALLY)}
    found: list[Json] = []
    ref: str | None = row["best"]["ref"]
    while ref is not None and len(found) < N_PATH:
        found.append(run.attempt(ref))
        parent = found[-1]["parent"]
        ref = known.get(parent) if parent not in {one["id"] for one in found} else None
    return [fact(one) for one in reversed(found)]


def tally(run: Run, row: Trace) -> list[Tally]:
    """All attempts of the trace, counted by component."""
    groups: dict[str, list[Json]] = {}
    for attempt in run.gists(row["head"], limit=N_TALLY):
        groups.setdefault((attempt["hypothesis"] or {}).get("component", ""), []).append(attempt)
    return [counted(component, group) for component, group in sorted(groups.items())]


def counted(component: str, group: list[Json]) -> Tally:
    gains = [attempt["gain"] for attempt in group if attempt["gain"] is not None]
    verdicts = [attempt["verdict"] for attempt in group]
    return Tally(
        component=component,
        tried=len(group),
        accepted=verdicts.count("accepted"),
        failed=verdicts.count("failed"),
        best_gain=max(gains, default=None),
    )


def others(run: Run, siblings: list[str]) -> list[Fact]:
    """What the other traces had measured at the last merge, oldest first."""
    if not run.settings.sharing:
        return []
    found = [
        attempt
        for head in siblings
        for attempt in run.chain(head, limit=N_OTHERS)
        if attempt["hypothesis"] and attempt["score"] is not None
    ]
    return [
        fact(attempt)
        for attempt in sorted(found, key=lambda attempt: (attempt["step"], attempt["trace"]))[
            -N_OTHERS:
        ]
    ]


def in_flight(run: Run, row: Trace) -> list[str]:
    """Hypotheses that the other traces run at this moment."""
    if not run.settings.sharing:
        return []
    return [statement for trace, statement in sorted(run.flying.items()) if trace != row["trace"]]


def calibrated(run: Run, row: Trace, siblings: list[str]) -> Calibration | None:
    """The reasoner's record in this run, over all traces that share what they measure."""
    heads = [row["head"], *(siblings if run.settings.sharing else [])]
    return run.gists.calibration(heads, HISTORY)


def fact(attempt: Json) -> Fact:
    hypothesis = (
        Hypothesis.model_validate(attempt["hypothesis"]) if attempt.get("hypothesis") else None
    )
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
        cause=attempt.get("cause", ""),
        fix=attempt.get("fix", ""),
        seconds=attempt["seconds"],
        summary=attempt["summary"][:300],
        codes=attempt.get("codes", []),
    )


def exec_cpus(run: Run, host: Host) -> int:
    """Cores of one script when all slots are busy."""
    shared = host.cpus if host.total_cpus is None else host.total_cpus // n_slots(run.settings)
    return run.settings.run_cpus or max(1, min(host.cpus, shared))


def summary_line(state: RunState) -> str:
    best = state.get("best")
    return f"best {best['score']:.5g} ({best['attempt']})" if best else "no valid script yet"
