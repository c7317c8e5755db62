"""The momentum: what worked, or failed, against challenges like those of a diagnosis."""

from __future__ import annotations

import asyncio

from graph.state import Trace
from memory.protocol import Recall
from reasoner.protocol import Diagnosis, Hint
from run.run import Run

N_HINTS, N_WARNINGS = 3, 2
LOOK_BACK = 50  # attempts whose accepted hypotheses count as applied


async def recall_hints(run: Run, trace: Trace, diagnosis: Diagnosis) -> list[Hint]:
    """Return the strongest successes for a diagnosis' hypotheses, then the strongest warnings."""
    applied = tuple(_accepted_statements(run, trace))
    recalls: dict[str, Recall] = {}
    for hypothesis in diagnosis.hypotheses:
        answers = await asyncio.to_thread(
            run.memory.recall,
            hypothesis.challenge,
            hypothesis.statement,
            task_hash=run.prepared.data_hash,
            k=N_HINTS,
            applied=applied,
        )
        for recall in answers:
            known = recalls.get(recall.record.id)
            if known is None or abs(recall.weight) > abs(known.weight):
                recalls[recall.record.id] = recall
    strongest = sorted(recalls.values(), key=lambda each: (-abs(each.weight), each.record.id))
    helped = [recall for recall in strongest if recall.weight > 0][:N_HINTS]
    failed = [recall for recall in strongest if recall.weight <= 0][:N_WARNINGS]
    return [_hint_from(recall, run.id) for recall in helped + failed]


def _accepted_statements(run: Run, trace: Trace) -> list[str]:
    """Hypotheses that the trace's path already contains; a hint that repeats them counts less."""
    attempts = run.chain(trace.head, limit=LOOK_BACK)
    return [each.hypothesis.statement for each in attempts if each.replaces and each.hypothesis]


def _hint_from(recall: Recall, run_id: str) -> Hint:
    record = recall.record
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
        attempt=f"t{record.trace}s{record.step}" if record.run == run_id else "",
        where=f"{place}, {record.task_kind} task, {record.metric}",
    )
