"""The reasoner protocol: five verbs, a typed brief in, a typed answer out.

A brief holds everything the verb may know and nothing more: no labels of hidden rows, no audit score, no key.
`expert` (embedded) and `chat` (any OpenAI-compatible model) implement it.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Component = Literal["data", "features", "model", "ensemble", "workflow"]
Size = Literal["small", "medium", "large"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Usage(Frozen):
    """What an answer cost. usd is None where the price is unknown."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None

    def __add__(self, other: Usage) -> Usage:
        usd = None if self.usd is None and other.usd is None else (self.usd or 0) + (other.usd or 0)
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=usd,
        )


class ReasonerError(Exception):
    """The reasoner gave no usable answer; the step is recorded as failed and the run goes on. `usage`: what was spent in vain."""

    def __init__(self, text: str, usage: Usage | None = None) -> None:
        super().__init__(text)
        self.usage = usage or Usage()


class ReasonerUnavailable(Exception):
    """The reasoner cannot work at all (no key, wrong key, endpoint down); the run stops resumable with this message."""

    def __init__(self, text: str, usage: Usage | None = None) -> None:
        super().__init__(text)
        self.usage = usage or Usage()


class TaskBrief(Frozen):
    """The task as a reasoner sees it."""

    name: str
    description: str
    kind: str
    metric: str
    direction: Literal["max", "min"]
    id: str
    target: list[str]
    columns: list[str] = Field(description="columns of submission.csv and oof.csv, the id first")
    prediction: str = Field(
        "", description="probability | label | value | ranking: what the metric is computed from"
    )
    split: dict[str, Any] = Field(description="{kind, column, n_folds}")
    inputs: list[str] = Field(description="names below input/")
    n_train: int
    n_test: int


class Resources(Frozen):
    """What a script may use and what it finds."""

    wall_s: float
    memory_bytes: int
    cpus: int
    gpus: list[str] = []
    packages: dict[str, str] = Field(
        default_factory=dict, description="importable in the sandbox: name -> version"
    )


class Stage(Frozen):
    """Where the run stands in its budget, and what there is to beat."""

    phase: Literal["draft", "improve", "ensemble"]
    used: float = Field(description="share of the budget used, 0..1")
    step: int
    trace: int
    n_traces: int
    steps_left: int | None = Field(
        None, description="attempts that the trace may still make, this one included"
    )
    time_left_s: float | None = Field(
        None, description="of the whole run, the reserve for the final fit taken off"
    )
    best: float | None = Field(None, description="score of the trace's best")
    best_se: float | None = None


class Effect(Frozen):
    """A predicted effect on the score; sign +1 means better."""

    sign: Literal[-1, 0, 1] = 1
    size: Size = "small"


class Observation(Frozen):
    """A fact read from the evidence, with the ids (paths) of the evidence that it rests on."""

    text: str
    cites: list[str] = []


class Hypothesis(Frozen):
    """One direction of improvement (a component of the gradient)."""

    id: str
    challenge: str = Field(description="root cause that it answers")
    statement: str
    component: Component
    plan: str = Field("", description="the edit, in words")
    effect: Effect = Effect()
    confidence: float = Field(0.5, ge=0, le=1)
    cost: Literal["low", "medium", "high"] = "low"
    refuted_by: str = Field("", description="the result that would refute it")
    cites: list[str] = []
    move: str | None = Field(None, description="the expert's edit, with its arguments")
    protocol: bool = Field(
        False,
        description="changes how the task is evaluated or what data is legitimate; not judged by the score alone",
    )


class Diagnosis(Frozen):
    """The gradient: observations -> root causes -> ranked hypotheses."""

    observations: list[Observation] = []
    causes: list[str] = []
    hypotheses: list[Hypothesis] = Field(
        default_factory=list, description="best first; empty: nothing is expected to help"
    )
    notes: list[str] = Field(
        default_factory=list,
        description="what was corrected in the answer, e.g. citations of evidence that is not there",
    )
    usage: Usage = Usage()


class Solution(Frozen):
    """A complete script with the reason for it."""

    script: str = Field(description="may be empty where `ensemble` is given")
    summary: str = Field(description="one line: what this script is")
    hypothesis: Hypothesis | None = None
    ensemble: list[str] = Field(
        default_factory=list,
        description="instead of a script: ids of attempts whose recorded predictions the harness blends",
    )
    take_from: list[str] = Field(
        default_factory=list,
        description="instead of a script: ids of attempts whose exact scripts the next brief shall quote",
    )
    cause: str = Field("", description="repair: why the script failed")
    fix: str = Field("", description="repair: what was changed against it")
    notes: list[str] = Field(default_factory=list, description="what was corrected in the answer")
    usage: Usage = Usage()


class Review(Frozen):
    """A judgement of the code alone; it never overrules a measured difference."""

    aligned: bool = True
    leaks: bool = False
    reasons: list[str] = []
    usage: Usage = Usage()


class Fact(Frozen):
    """An earlier attempt, compact."""

    attempt: str
    trace: int
    step: int
    parent: str | None = None
    hypothesis: str
    component: str = ""
    move: str | None = None
    predicted: Effect | None = None
    confidence: float | None = None
    score: float | None = None
    gain: float | None = Field(
        None, description="paired improvement over its parent, positive = better"
    )
    gain_se: float | None = None
    verdict: str = Field(description="accepted | tie | rejected | failed")
    why: str = ""
    codes: list[str] = Field(
        default_factory=list,
        description="the verdict's reasons for machines, e.g. worse, leak_column, audit_contradicts",
    )
    cause: str = Field("", description="what a repair found to be the cause of a failure")
    fix: str = Field("", description="the fix proposed for a failure")
    seconds: float | None = None
    summary: str = Field("", description="one line: what that script was")


class Hint(Frozen):
    """A recalled success or refutation (momentum) as shown to a reasoner."""

    id: str
    kind: Literal["accepted", "refuted"]
    hypothesis: str
    component: str
    move: str | None = None
    challenge: str = ""
    context: str = ""
    gain: float
    gain_se: float
    weight: float
    where: str = Field(description="provenance: run, trace, step, task kind")
    attempt: str = Field(
        "",
        description="the attempt of this very run that it comes from, whose script can be quoted",
    )
    change: str = Field("", description="the change that was measured, as a unified diff; bounded")


class Quote(Frozen):
    """A recorded script, or the change that made it, word for word."""

    attempt: str
    what: Literal["script", "change"]
    text: str
    why: str = Field("", description="why it is shown, and what became of it")


class Tally(Frozen):
    """How the trace's attempts on one component went, over its whole history."""

    component: str
    tried: int
    accepted: int
    failed: int
    best_gain: float | None = None


class Crossover(Frozen):
    """What a stuck trace may take from another: its best script, and the accepted hypotheses that the own script lacks."""

    partner: str = Field("", description="best script of another trace; may be empty")
    summary: str = Field("", description="one line: what the partner's script is")
    lacks: list[Fact] = Field(
        default_factory=list,
        description="accepted elsewhere on this task, absent here; surest gain first",
    )


class Brief(Frozen):
    """What every verb is told."""

    task: TaskBrief
    profile: dict[str, Any] = Field(description="task.types.PROFILE")
    resources: Resources
    stage: Stage
    history: list[Fact] = Field(
        default_factory=list, description="this trace's attempts, oldest first; bounded"
    )
    others: list[Fact] = Field(
        default_factory=list,
        description="what the other traces measured on this very task, oldest first; bounded, empty without sharing",
    )
    calibration: list[str] = Field(
        default_factory=list,
        description="how this reasoner's predictions in this run compare with what was measured; a sentence each",
    )
    in_flight: list[str] = Field(
        default_factory=list,
        description="hypotheses that other traces run at this moment; choose something else",
    )
    path: list[Fact] = Field(
        default_factory=list,
        description="the accepted attempts that led to the trace's best, oldest first; bounded",
    )
    tally: list[Tally] = Field(
        default_factory=list, description="all attempts of the trace, counted by component"
    )
    accept_z: float = Field(
        1.0, description="standard errors by which a change must be better to be accepted"
    )
    preview: str = Field("", description="what lies below input/, in words (task.data.preview)")
    said: list[str] = Field(
        default_factory=list,
        description="hints of the person who watches the run, in their words, oldest first; bounded",
    )
    seed: int = 0


class DraftBrief(Brief):
    siblings: list[str] = Field(
        default_factory=list, description="one line per other trace's direction; be different"
    )


class DiagnoseBrief(Brief):
    script: str = Field(description="the script to be improved, mostly the trace's best")
    evidence: dict[str, Any] = Field(description="task.types.EVIDENCE, of that script")
    log: str = Field("", description="what that script printed, bounded")
    last: dict[str, Any] | None = Field(
        None, description="evidence of the latest attempt, if it was not the best"
    )
    last_diff: str = Field("", description="what the latest attempt had changed, as a unified diff")
    scenario: int = Field(
        1,
        ge=0,
        le=3,
        description="3: look at task and data alone; 0: at the evidence alone (see briefs.brief.scenario)",
    )


class UpdateBrief(Brief):
    script: str
    evidence: dict[str, Any]
    diagnosis: Diagnosis
    hints: list[Hint] = []
    log: str = ""
    quotes: list[Quote] = Field(
        default_factory=list, description="recorded scripts or changes word for word; bounded"
    )
    may_ask: bool = Field(
        False,
        description="an answer may name `take_from` instead of a script, and will be asked again with the quotes",
    )
    crossover: Crossover | None = Field(
        None, description="the trace is stuck: combine `script` with what it lacks"
    )
    members: list[Fact] = Field(
        default_factory=list,
        description="attempts of all traces that an ensemble may name, best first; bounded",
    )


class RepairBrief(Brief):
    script: str = Field(description="the script that failed")
    evidence: dict[str, Any] = Field(description="holds `error` and/or `problems`")
    problems: list[str] = Field(
        default_factory=list, description="why the harness refused it, a sentence each"
    )
    attempt: int = Field(1, description="which repair this is, from 1")
    log: str = ""
    earlier: list[str] = Field(
        default_factory=list,
        description="cause and fix of the repairs of this attempt before, which did not help",
    )
    hypothesis: Hypothesis | None = None


class ReviewBrief(Brief):
    script: str
    diff: str = ""


class Reasoner(Protocol):
    """Who thinks. Answers are values; a reasoner keeps no state of the run."""

    name: str

    async def draft(self, brief: DraftBrief) -> Solution: ...

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis: ...

    async def update(self, brief: UpdateBrief) -> Solution: ...

    async def repair(self, brief: RepairBrief) -> Solution: ...

    async def review(self, brief: ReviewBrief) -> Review: ...

    async def close(self) -> None: ...
