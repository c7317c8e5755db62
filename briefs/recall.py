"""The momentum: what worked, or failed, against challenges like those of a diagnosis."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from graph.state import Trace
from memory.protocol import Recall
from reasoner.protocol import Diagnosis, Hint
from report.formatting import name_metric
from run.attempt import Attempt
from run.run import Run

N_HINTS, N_WARNINGS = 3, 2
MIN_WEIGHT = 0.02  # of a hint that is shown before the diagnosis
N_CAUSES = 3  # of the last diagnosis that the memory is asked about
LOOK_BACK = 50  # attempts whose accepted hypotheses count as applied


class Recalled(NamedTuple):
    """The strongest hints for a diagnosis, and for which of its hypotheses each was recalled."""

    hints: list[Hint] = []
    by_hypothesis: dict[str, list[Hint]] = {}


async def recall_hints(run: Run, trace: Trace, diagnosis: Diagnosis) -> Recalled:
    """Return the strongest successes for a diagnosis' hypotheses, then the strongest warnings."""
    applied = tuple(_accepted_statements(run, trace))
    found = {
        item.id: await _ask_memory(run, item.challenge, item.statement, applied)
        for item in diagnosis.hypotheses
    }
    hints = _strongest_hints(run, [recall for recalls in found.values() for recall in recalls])
    shown = {hint.id for hint in hints}
    by_hypothesis = {
        key: [_hint_from(recall, run.id) for recall in recalls if recall.record.id in shown]
        for key, recalls in found.items()
    }
    return Recalled(hints, by_hypothesis)


async def recall_ahead(run: Run, trace: Trace, start: Attempt) -> list[Hint]:
    """Return what helped and what failed under conditions like these, before they are diagnosed.

    As momentum looks ahead: the memory is asked with the causes that the last diagnosis of this
    trace found, or, before the first, with what the evidence says of the script.
    """
    applied = tuple(_accepted_statements(run, trace))
    queries = [await _ask_memory(run, cause, "", applied) for cause in known_causes(run, start)]
    hints = _strongest_hints(run, [recall for recalls in queries for recall in recalls])
    return [hint for hint in hints if abs(hint.weight) >= MIN_WEIGHT]


async def _ask_memory(
    run: Run, challenge: str, statement: str, applied: tuple[str, ...]
) -> list[Recall]:
    return await asyncio.to_thread(
        run.memory.recall,
        challenge,
        statement,
        task_hash=run.prepared.data_hash,
        k=N_HINTS,
        applied=applied,
    )


def known_causes(run: Run, start: Attempt) -> list[str]:
    """Return the causes of the diagnosis that led to the script; else its hypothesis or summary."""
    if start.diagnosis:
        stored = run.artifacts.get_json(start.diagnosis)
        if causes := [str(cause) for cause in stored.get("causes", [])][:N_CAUSES]:
            return causes
    return [f"{run.prepared.task.kind}, {name_metric(run.prepared.task.metric)}: {start.statement}"]


def _strongest_hints(run: Run, recalls: list[Recall]) -> list[Hint]:
    """The strongest successes, then the strongest warnings, each record once."""
    unique: dict[str, Recall] = {}
    for recall in recalls:
        known = unique.get(recall.record.id)
        if known is None or abs(recall.weight) > abs(known.weight):
            unique[recall.record.id] = recall
    strongest = sorted(unique.values(), key=lambda each: (-abs(each.weight), each.record.id))
    helped = [recall for recall in strongest if recall.weight > 0][:N_HINTS]
    failed = [recall for recall in strongest if recall.weight <= 0][:N_WARNINGS]
    return [_hint_from(recall, run.id) for recall in helped + failed]


def _accepted_statements(run: Run, trace: Trace) -> list[str]:
    """Hypotheses that the trace's path already contains; a hint that repeats them counts less."""
    attempts = run.chain(trace.head, limit=LOOK_BACK)
    return [each.hypothesis.statement for each in attempts if each.replaces and each.hypothesis]


def _hint_from(recall: Recall, run_id: str) -> Hint:
    record = recall.record
    is_own = record.run == run_id and bool(record.script_ref)
    place = f"run {record.run}, trace {record.trace}, step {record.step}"
    return Hint(
        id=record.id,
        kind=record.kind,
        hypothesis=record.hypothesis,
        component=record.component,
        move=record.move,
        challenge=record.challenge,
        context=record.context,
        gain=record.gain,
        gain_se=record.gain_se,
        weight=round(recall.weight, 4),
        change=record.diff,
        attempt=f"t{record.trace}s{record.step}" if is_own else "",
        where=f"{place}, {record.task_kind} task, {name_metric(record.metric)}",
    )
