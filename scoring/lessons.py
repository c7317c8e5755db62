"""The all-reduce of successes: measured hypotheses enter the shared memory at once.

So a trace in the middle of its round recalls what another has just measured; the merge only counts.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from typing import Any

from graph.state import Json, Trace
from memory.protocol import Record
from reasoner.protocol import LIKELY, Hypothesis
from report.ledger import Claim, Measurement
from run.attempt import Attempt
from run.run import Run

N_NOTES = 4
FACT_CHARS = 120
CLAIM_CHALLENGES = {  # by the source of a claim that no lesson holds
    "draft": "which kind of model suits these rows",
    "blend": "solutions of several traces, each with errors of its own",
}


async def share_lessons(run: Run, trace: Trace, attempt: Attempt) -> None:
    """Record the attempt's lesson, and those of the steps that its acceptance confirms.

    `trace`: as it was before the attempt.
    """
    is_confirmed = "better" in attempt.codes and attempt.replaces
    steps = confirmed_steps(run, trace, attempt) if is_confirmed else []
    for step in steps:
        await share_lesson(run, step.evolve(verdict="accepted"))
    await share_lesson(run, attempt)
    if steps:
        names = [step.id for step in steps]
        run.events.emit("steps_confirmed", key=attempt.id, attempt=attempt.id, steps=names)


def confirmed_steps(run: Run, trace: Trace, attempt: Attempt) -> list[Attempt]:
    """Return the steps between the last confirmed best and the attempt, oldest first."""
    steps: list[Attempt] = []
    ref, anchor = attempt.base, trace.anchor.ref if trace.anchor else None
    while anchor and ref and ref != anchor and len(steps) < trace.stepped:
        step = run.attempt(ref)
        if LIKELY in step.codes:
            steps.append(step)
        ref = step.base
    return steps[::-1] if ref == anchor else []


async def share_lesson(run: Run, attempt: Attempt) -> None:
    """Record an accepted hypothesis as a success, a measurably worse one as refuted.

    Crashes, ties and leaks are not recorded.
    """
    if attempt.hypothesis and is_lesson(attempt):
        record = memory_record(run, attempt, attempt.hypothesis)
        await asyncio.to_thread(run.memory.record, record)


def is_lesson(attempt: Attempt) -> bool:
    """Whether the paired difference alone says that the hypothesis helped or harmed.

    A rejection in spite of a gain comes from hidden rows, of which nothing may enter the memory; a
    crossover is several hypotheses at once; and an attempt from an earlier solution that lost to
    the best may still have improved its own start.
    """
    if attempt.hypothesis is None or attempt.gain is None or attempt.problems:
        return False
    if attempt.mode == "crossover":
        return False
    lost = attempt.verdict == "rejected" and attempt.gain < 0 and attempt.from_best
    return attempt.verdict == "accepted" or lost


def memory_record(run: Run, attempt: Attempt, hypothesis: Hypothesis) -> Record:
    """Return the memory's record of a measured hypothesis."""
    task, gain = run.prepared.task, attempt.gain or 0.0
    parent = run.attempt(attempt.base) if attempt.base else None
    diff = _diff_scripts(run, parent, attempt)
    return Record(
        kind="accepted" if attempt.verdict == "accepted" else "refuted",
        challenge=hypothesis.challenge,
        hypothesis=hypothesis.statement,
        component=hypothesis.component,
        move=hypothesis.move,
        context=_describe_context(run, parent, hypothesis),
        task_hash=run.prepared.data_hash,
        task=task.name,
        task_kind=task.kind,
        metric=task.metric,
        direction=task.direction,
        gain=gain,
        gain_se=attempt.gain_se or 0.0,
        left=loss_left(task.metric, task.direction, attempt.score, gain),
        script_ref=attempt.script or "",
        diff_ref=run.artifacts.put(diff) if diff else "",
        diff=diff,
        run=run.id,
        trace=attempt.trace,
        step=attempt.step,
        reasoner=run.reasoner.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


async def share_claims(run: Run) -> None:
    """Record at the run's end what the ledger knows and no lesson holds.

    That is which drafts beat the best of their time, and whether blends helped. A hypothesis has
    its lesson already, and a draft that lost to a best of many steps says little about its kind.
    """
    for claim in run.ledger.all_claims():
        best = claim.best
        if claim.source not in CLAIM_CHALLENGES or best is None or best.gain is None:
            continue
        is_sure = claim.state == "supported" or (claim.state, claim.source) == ("refuted", "blend")
        if is_sure and best.gain_se and (best.supports or not best.note):
            record = claim_record(run, claim, best)
            await asyncio.to_thread(run.memory.record, record)


def claim_record(run: Run, claim: Claim, best: Measurement) -> Record:
    """Return the memory's record of a claim that is no hypothesis."""
    task, gain = run.prepared.task, best.gain or 0.0
    return Record(
        kind="accepted" if claim.state == "supported" else "refuted",
        challenge=CLAIM_CHALLENGES[claim.source],
        hypothesis=claim.text,
        component="ensemble" if claim.source == "blend" else "model",
        context="; ".join(_describe_task(run)),
        task_hash=run.prepared.data_hash,
        task=task.name,
        task_kind=task.kind,
        metric=task.metric,
        direction=task.direction,
        gain=gain,
        gain_se=best.gain_se or 0.0,
        left=loss_left(task.metric, task.direction, best.score, gain),
        run=run.id,
        trace=max(0, best.trace),
        step=int(best.attempt.rpartition("s")[2].lstrip("m") or 0),
        reasoner=run.reasoner.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _diff_scripts(run: Run, parent: Attempt | None, attempt: Attempt) -> str:
    """The change as a unified diff."""
    if parent is None or not parent.script or not attempt.script:
        return ""
    old = run.artifacts.get(parent.script).splitlines()
    new = run.artifacts.get(attempt.script).splitlines()
    return "\n".join(difflib.unified_diff(old, new, parent.id, attempt.id, lineterm="", n=1))


def loss_left(metric: str, direction: str, score: float | None, gain: float) -> float | None:
    """Return the share of the loss left after the change, against the metric's perfect value.

    None for a metric of the user's own.
    """
    if score is None or "/" in metric:
        return None
    perfect, before = (1.0, score - gain) if direction == "max" else (0.0, score + gain)
    was, now = abs(before - perfect), abs(score - perfect)
    return round(now / was, 6) if was > 0 else None


def _describe_context(run: Run, parent: Attempt | None, hypothesis: Hypothesis) -> str:
    """Facts of profile and evidence in words. In an evaluation they name no columns."""
    facts = _describe_task(run)
    if parent is not None and parent.evidence:
        evidence = run.artifacts.get_json(parent.evidence)
        cited = [cite_evidence(evidence, path) for path in hypothesis.cites[:4]]
        facts += [fact for fact in cited if fact]
    if not run.settings.evaluation:
        facts += [str(note) for note in run.setup.profile.get("notes", [])[:N_NOTES]]
    return "; ".join(facts)


def _describe_task(run: Run) -> list[str]:
    prepared, n_columns = run.prepared, run.setup.profile.get("n_columns", "?")
    return [
        f"{prepared.task.kind}, {prepared.n_train} training rows, {n_columns} columns",
        f"{prepared.task.split.kind} split",
    ]


def cite_evidence(evidence: Json, path: str) -> str:
    """Return path and value, such as `segments[0].ratio 1.9`; empty: there is no such path."""
    value: Any = evidence
    for key in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return ""
    return f"{path} {_format_fact(value)}"[:FACT_CHARS]


def _format_fact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        plain = {key: item for key, item in value.items() if not isinstance(item, dict | list)}
        return ", ".join(f"{key} {_format_fact(item)}" for key, item in plain.items())
    return str(value) if isinstance(value, str | int) else json.dumps(value, default=str)
