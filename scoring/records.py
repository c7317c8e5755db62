"""Recording an attempt: the record, and the event that announces it."""

from __future__ import annotations

from pydantic import Field

from graph.state import StateModel, Trace, Work
from reasoner.protocol import Effect, Usage
from run.attempt import Attempt, ExecutionRecord, Member, make_attempt, store_attempt
from run.calibration import measures_hypothesis
from run.run import Run
from task.types import Grade, Problem


class AttemptEvent(StateModel):
    """Payload of the `attempt` event: the attempt, with its hypothesis in words."""

    id: str
    trace: int
    step: int
    parent: str | None
    kind: str
    mode: str
    why: str
    repairs: int
    script: str | None
    members: dict[str, Member]
    evidence: str | None
    diagnosis: str | None
    log: str | None
    oof: str | None
    submission: str | None
    score: float | None
    score_se: float | None
    folds: list[float]
    gain: float | None
    gain_se: float | None
    verdict: str
    replaces: bool
    reasons: list[str]
    codes: list[str]
    problems: list[Problem]
    seconds: float
    usage: Usage
    hypothesis: str
    component: str
    move: str | None
    predicted: Effect | None
    confidence: float | None
    measured: bool = Field(description="the attempt says whether its hypothesis was right")

    @classmethod
    def from_attempt(cls, attempt: Attempt) -> AttemptEvent:
        """Return the event of an attempt."""
        hypothesis = attempt.hypothesis
        return cls.model_validate(
            attempt.model_dump(exclude={"hypothesis"})
            | {
                "hypothesis": attempt.statement,
                "component": hypothesis.component if hypothesis else "",
                "move": hypothesis.move if hypothesis else None,
                "predicted": hypothesis.effect if hypothesis else None,
                "confidence": hypothesis.confidence if hypothesis else None,
                "measured": measures_hypothesis(attempt),
            }
        )


def assemble_attempt(run: Run, trace: Trace, work: Work, took: list[str] | None = None) -> Attempt:
    """Store the attempt's record and return it. `took`: what a crossover was asked to take over."""
    execution, grade, evidence = ExecutionRecord(), None, None
    if work.execution:
        execution = ExecutionRecord.model_validate(run.artifacts.get_json(work.execution))
    if work.grade:
        grade = Grade.model_validate(run.artifacts.get_json(work.grade))
        evidence = run.artifacts.put_json(grade.evidence)
    attempt = make_attempt(trace, work, execution, grade, evidence)
    return store_attempt(run.artifacts, attempt.evolve(took=took or []))


def announce_attempt(run: Run, attempt: Attempt) -> None:
    """Emit the event of an attempt."""
    payload = AttemptEvent.from_attempt(attempt).dump()
    run.events.emit("attempt", key=attempt.id, **payload)
