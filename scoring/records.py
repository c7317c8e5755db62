"""Recording an attempt: the record, and the event that announces it."""

from __future__ import annotations

from graph.state import Trace, Work
from run.attempt import Attempt, ExecutionRecord, Variant, make_attempt, store_attempt
from run.attempt_event import AttemptEvent
from run.run import Run
from run.variants import choose_variant
from scoring.line import list_variants
from task.types import Grade


def assemble_attempt(run: Run, trace: Trace, work: Work, took: list[str] | None = None) -> Attempt:
    """Store the attempt's record and return it. `took`: what a crossover was asked to take over."""
    execution, grade, evidence = ExecutionRecord(), None, None
    variants: list[Variant] = []
    if work.execution:
        execution = run.artifacts.get_model(work.execution, ExecutionRecord)
    if work.grade:
        grade = run.artifacts.get_model(work.grade, Grade)
        evidence = run.artifacts.put_json(grade.evidence)
        variants = list_variants(execution, grade)
        execution = choose_variant(execution, grade.line.best if grade.line else "")
    attempt = make_attempt(trace, work, execution, grade, evidence, variants)
    return store_attempt(run.artifacts, attempt.evolve(took=took or []))


def announce_attempt(run: Run, attempt: Attempt) -> None:
    """Emit the event of an attempt."""
    payload = AttemptEvent.from_attempt(attempt).dump()
    run.events.emit("attempt", key=attempt.id, **payload)
