"""The `attempt` event: what an attempt's record tells to ledger, report and trackers."""

from __future__ import annotations

from pydantic import Field

from graph.state import StateModel
from reasoner.protocol import Effect, Usage
from run.attempt import Attempt, Member, Variant
from run.calibration import measures_hypothesis
from task.types import Problem


class AttemptEvent(StateModel):
    """Payload of the `attempt` event: the attempt, with its hypothesis in words."""

    id: str
    trace: int
    step: int
    parent: str | None
    kind: str
    mode: str
    why: str
    from_best: bool
    repairs: int
    cause: str
    fix: str
    summary: str
    script: str | None
    members: dict[str, Member]
    uses: dict[str, str] = Field({}, description="attempts that it builds on -> their records")
    kept: dict[str, str] = Field({}, description="what it kept for later scripts -> artifact")
    variant: str = ""
    variants: list[Variant] = []
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
    run_best: str | None = None
    run_gain: float | None = None
    run_gain_se: float | None = None
    best_score: float | None = None
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
    claim: str = Field(description="line of the ledger that the hypothesis names")
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
                "claim": hypothesis.claim if hypothesis else "",
                "predicted": hypothesis.effect if hypothesis else None,
                "confidence": hypothesis.confidence if hypothesis else None,
                "measured": measures_hypothesis(attempt),
            }
        )
