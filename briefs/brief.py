"""Briefs: everything a reasoner may know at a verb. Never labels, never the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from briefs.ledger import ledger_brief
from graph.state import Trace, Work
from reasoner.protocol import Fact, Resources, Stage
from run.attempt import Attempt
from run.best import current_best
from run.budget import reserved_executions, used_share
from run.calibration import Calibration, describe_calibration
from run.chain import ATTEMPTS
from run.hints import hints_for
from run.limits import is_first_draft, script_limit_s, script_memory_bytes
from run.luck import trace_bars
from run.run import Run
from run.services import count_slots
from run.siblings import traces_beside
from sandbox.protocol import Host

N_OWN = 30  # attempts of the trace itself in a brief
N_OTHERS = 20  # measured attempts of the other traces in a brief
N_KEPT = 6  # names of kept files of an attempt
HISTORY = 200  # attempts of a trace that policy and calibration look back at


def common_fields(run: Run, trace: Trace, work: Work, siblings: list[str]) -> dict[str, Any]:
    """Return the fields that every brief has in common."""
    return {
        "task": run.task_brief,
        "profile": run.setup.profile,
        "resources": _script_resources(run, trace, work),
        "stage": budget_stage(run, trace, siblings),
        "history": [fact_from(attempt) for attempt in run.chain(trace.head, limit=N_OWN)],
        "accept_z": run.settings.accept_z,
        "accept_bar": first_bar(run),
        "variants": run.settings.variants,
        "preview": run.setup.preview,
        "ledger": ledger_brief(run, trace),
        "others": _facts_of_others(run, siblings),
        "calibration": describe_calibration(_shared_calibration(run, trace, siblings)),
        "probes": run.probes,
        "said": hints_for(run.folder, trace.trace),
        "seed": run.settings.seed * 1009 + trace.trace,
    }


def may_build(run: Run) -> bool:
    """Whether scripts of this run may read what earlier ones predicted."""
    return run.settings.reuse and ATTEMPTS not in run.prepared.inputs


def first_bar(run: Run) -> float | None:
    """Return the bar of the run's first comparison; None where `accept_z` alone is the bar."""
    settings = run.settings
    if not settings.false_accepts:
        return None
    bar, _ = trace_bars(Trace(trace=0), settings.false_accepts, settings.traces)
    return max(bar, settings.accept_z)


def _script_resources(run: Run, trace: Trace, work: Work) -> Resources:
    return Resources(
        wall_s=script_limit_s(run, trace, drafts=is_first_draft(work)),
        memory_bytes=script_memory_bytes(run),
        cpus=run.setup.cpus,
        gpus=run.setup.gpus,
        python=run.setup.python,
        interpreter=run.sandbox.own_python,
        packages=run.setup.packages,
        keep_bytes=run.settings.keep_bytes if may_build(run) else None,
    )


def budget_stage(run: Run, trace: Trace, siblings: Sequence[str] = ()) -> Stage:
    """Return where the run is in its budget, and what there is to beat."""
    settings, used_up = run.settings, run.events.used
    used = used_share(run, trace.step)
    reserved = reserved_executions(run)
    executions, tokens, usd = settings.max_executions, settings.max_tokens, settings.max_usd
    return Stage(
        phase="draft" if trace.best is None else "ensemble" if used > 0.7 else "improve",
        used=round(used, 2),
        step=trace.step,
        trace=trace.trace,
        n_traces=settings.traces,
        beside=traces_beside(run, trace, siblings),
        steps_left=settings.steps - trace.step,
        time_left_s=max(0.0, run.time_left_s - settings.finalize_share * settings.time_s),
        executions_left=max(0, executions - reserved - used_up.executions) if executions else None,
        executions_reserved=reserved,
        tokens_left=max(0, tokens - used_up.tokens) if tokens else None,
        usd_left=max(0.0, usd - used_up.usd) if usd else None,
        repairs=settings.max_repairs,
        best=trace.best.score if trace.best else None,
        best_se=trace.best.se if trace.best else None,
        **_leader_fields(run, trace),
    )


def _leader_fields(run: Run, trace: Trace) -> dict[str, Any]:
    """The run's best, where it is not the trace's own and traces share what they measure."""
    leader = current_best(run) if run.settings.sharing else None
    if leader is None or (trace.best is not None and leader.ref == trace.best.ref):
        return {}
    members = ", ".join(run.attempt(leader.ref).members)
    name = f"{leader.attempt} (a blend of {members})" if members else leader.attempt
    return {"leader": name, "leader_score": leader.score, "leader_se": leader.se}


def scenario_weight(trace: Trace) -> int:
    """Return how much attention goes to task and data (3) rather than to evidence (0).

    It fades as the trace matures (method of the paper's code): w = (3 accepted + 2 others) // 2,
    m = max(0, 3 - w // 4).
    """
    accepted = trace.n_accepted
    return max(0, 3 - (3 * accepted + 2 * (trace.step - accepted)) // 2 // 4)


def _facts_of_others(run: Run, siblings: list[str]) -> list[Fact]:
    """What the other traces had measured at the last merge, oldest first."""
    if not run.settings.sharing:
        return []
    attempts = [attempt for head in siblings for attempt in run.chain(head, limit=N_OTHERS)]
    measured = [each for each in attempts if each.hypothesis and each.score is not None]
    measured.sort(key=lambda attempt: (attempt.step, attempt.trace))
    return [fact_from(attempt) for attempt in measured[-N_OTHERS:]]


def _shared_calibration(run: Run, trace: Trace, siblings: list[str]) -> Calibration | None:
    """How the predictions fared in this run, over all traces that share measurements."""
    heads = [trace.head, *(siblings if run.settings.sharing else [])]
    return run.history.calibration(heads, HISTORY)


def fact_from(attempt: Attempt) -> Fact:
    """Return an attempt as briefs show it."""
    hypothesis = attempt.hypothesis
    return Fact(
        attempt=attempt.id,
        trace=attempt.trace,
        step=attempt.step,
        parent=attempt.parent,
        hypothesis=attempt.statement,
        component=hypothesis.component if hypothesis else "",
        move=hypothesis.move if hypothesis else None,
        predicted=hypothesis.effect if hypothesis else None,
        confidence=hypothesis.confidence if hypothesis else None,
        score=attempt.score,
        gain=attempt.gain,
        gain_se=attempt.gain_se,
        verdict=attempt.verdict,
        why="; ".join(attempt.reasons)[:400],
        cause=attempt.cause,
        fix=attempt.fix,
        seconds=attempt.seconds,
        summary=attempt.summary[:300],
        codes=attempt.codes,
        kept=sorted(attempt.kept)[:N_KEPT],
    )


def script_cpus(run: Run, host: Host) -> int:
    """Return the cores of one script when all slots are busy."""
    shared = host.cpus
    if host.total_cpus is not None:
        shared = host.total_cpus // count_slots(run.settings)
    return run.settings.run_cpus or max(1, min(host.cpus, shared))
