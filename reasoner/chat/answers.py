"""What a model must answer at each verb, and how that becomes the protocol's records."""

from __future__ import annotations

from pydantic import BaseModel, Field

from reasoner.chat.edits import Edit, EditError, apply
from reasoner.protocol import Brief, Diagnosis, Effect, Hypothesis, Observation, RepairBrief, Review, Solution, UpdateBrief


class DraftAnswer(BaseModel):
    summary: str = Field(min_length=1, description="one line: what this script is")
    script: str = Field(min_length=1, description="the complete Python file")


class HypothesisAnswer(BaseModel):
    challenge: str
    statement: str
    component: str = Field(pattern="^(data|features|model|ensemble|workflow)$")
    plan: str = ""
    effect: Effect = Effect()
    confidence: float = Field(0.5, ge=0, le=1)


class DiagnoseAnswer(BaseModel):
    observations: list[Observation] = []
    causes: list[str] = []
    hypotheses: list[HypothesisAnswer] = Field(max_length=5)


class ChangeAnswer(BaseModel):
    """update and repair: edits against the given script, or a whole one."""

    summary: str = Field(min_length=1)
    hypothesis: str = Field("", description="id of the hypothesis that this follows")
    edits: list[Edit] = []
    script: str = Field("", description="the complete file, where edits would not do")


class ReviewAnswer(BaseModel):
    aligned: bool
    leaks: bool
    reasons: list[str] = []


SCHEMAS: dict[str, type[BaseModel]] = {
    "draft": DraftAnswer,
    "diagnose": DiagnoseAnswer,
    "update": ChangeAnswer,
    "repair": ChangeAnswer,
    "review": ReviewAnswer,
}


def to_solution(verb: str, answer: BaseModel, brief: Brief) -> Solution:
    """The script that an answer means. Raises EditError where its edits do not fit."""
    if isinstance(answer, DraftAnswer):
        return Solution(script=answer.script, summary=answer.summary)
    assert isinstance(answer, ChangeAnswer) and isinstance(brief, UpdateBrief | RepairBrief)
    script = answer.script or apply(brief.script, answer.edits)
    if script == brief.script:
        raise EditError("the answer changes nothing; give edits, or the whole script")
    return Solution(script=script, summary=answer.summary, hypothesis=chosen(answer, brief))


def chosen(answer: ChangeAnswer, brief: UpdateBrief | RepairBrief) -> Hypothesis | None:
    if isinstance(brief, RepairBrief):
        return brief.hypothesis
    named = [hypothesis for hypothesis in brief.diagnosis.hypotheses if hypothesis.id == answer.hypothesis]
    return next(iter(named or brief.diagnosis.hypotheses), None)


def to_diagnosis(answer: BaseModel, brief: Brief) -> Diagnosis:
    assert isinstance(answer, DiagnoseAnswer)
    place = f"t{brief.stage.trace}s{brief.stage.step}"
    hypotheses = [Hypothesis(id=f"{place}h{number}", **one.model_dump()) for number, one in enumerate(answer.hypotheses, 1)]
    return Diagnosis(observations=answer.observations, causes=answer.causes, hypotheses=hypotheses)


def to_review(answer: BaseModel, brief: Brief) -> Review:
    assert isinstance(answer, ReviewAnswer)
    return Review.model_validate(answer.model_dump())
