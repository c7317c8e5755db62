"""What flows through the graph: ids, numbers and short text.

Everything larger is an artifact, named by its hash. Attempts form a chain like commits: a trace
holds the hash of its latest attempt, and every attempt names the one before it. So the state stays
small however long a run is, and an old checkpoint still sees exactly the history of its time.

Nodes receive these models and return JSON (`dump`), so checkpoints contain no class names.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from reasoner.protocol import Hypothesis, Usage

SCHEMA_VERSION = 2

Json = dict[str, Any]
Verdict = Literal["accepted", "tie", "rejected", "failed"]
Status = Literal["running", "done", "failed", "dropped"]
Mode = Literal[
    "draft", "directed", "broaden", "backtrack", "debug", "crossover", "ensemble", "remeasure"
]


AttemptId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,80}$")]
"""Id of an attempt: it names folders and files, so a stored one is taken in this form alone."""


class StateModel(BaseModel):
    """A frozen record of the state."""

    model_config = ConfigDict(frozen=True)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with these fields changed."""
        return self.model_copy(update=changes)

    def dump(self) -> Json:
        """Return the record as JSON, as checkpoints store it."""
        return self.model_dump(mode="json")


class Input(BaseModel):
    """What a caller passes in: the task folder, and optionally a run folder."""

    task: str = Field(
        title="Task folder",
        description="a folder with task.yaml, or with train, test and sample_submission tables",
    )
    run_dir: str = Field(
        "",
        title="Run folder",
        description="where the run stores its files; empty: a new folder below `runs_dir`",
    )


class Best(StateModel):
    """The best attempt of a trace or of the run."""

    attempt: AttemptId
    trace: int
    ref: str = Field(description="artifact: the attempt's record")
    script: str = Field(description="artifact: the script")
    score: float
    se: float
    variant: str = Field("", description="of the script's variants; empty: it has none")


class Trace(StateModel):
    """One trace between two rounds."""

    trace: int
    step: int = Field(0, description="attempts made so far")
    status: Status = "running"
    head: str | None = Field(None, description="artifact: the latest attempt's record")
    merged: str | None = Field(None, description="head at the last merge")
    best: Best | None = None
    anchor: Best | None = Field(
        None, description="last confirmed best, where `best` only is likely better; None: `best`"
    )
    stepped: int = Field(0, description="steps from the anchor to the best")
    luck: float = Field(0, description="what those steps count for; the best of several for more")
    counted: int = Field(0, description="comparisons since the last acceptance that looked better")
    n_accepted: int = 0
    stagnant: int = Field(0, description="merges since the trace last moved on")
    failures: int = Field(0, description="consecutive steps without a valid script")
    rescued: list[str] = Field([], description="starting points of its rescues, none used twice")
    cross: str | None = Field(None, description="artifact: what its next step is to combine")
    diagnosis: str | None = Field(None, description="artifact: last diagnosis of the trace's best")
    tried: list[str] = Field([], description="ids of that diagnosis' hypotheses already run")
    told: str | None = Field(
        None, description="what a person wants next: an artifact (a diagnosis), or their words"
    )
    pinned: bool = Field(False, description="by a person: never rescued")


class Appeal(StateModel):
    """An argument against the audit that refused a script: it judges again without some rows."""

    script: str = Field(description="artifact: the script that was refused")
    lacks: list[str] = Field(description="what the held-back rows lack that are left out")
    argument: str = ""


class Work(StateModel):
    """The attempt in progress. Above each group: the nodes that set it, and what others set of it.

    `usage` grows with every answer of the reasoner, a review's included.
    """

    # select; update makes `kind` an ensemble where the reasoner names members instead of a script,
    # or a measurement where it names an attempt (`remeasure`)
    attempt: AttemptId
    kind: Literal["draft", "update", "repair", "ensemble", "remeasure"]
    mode: Mode
    why: str = Field("", description="reason for the mode")
    base: str | None = Field(None, description="artifact: record of the attempt it starts from")
    parent: str | None = Field(None, description="id of the attempt it starts from")
    # draft, diagnose, update, repair; select sets `diagnosis` where the step needs no new one, and
    # `script` and `hypothesis` where it repairs a failed attempt; execute sets an ensemble's script
    script: str | None = Field(None, description="artifact")
    summary: str = ""
    hypothesis: Hypothesis | None = None
    diagnosis: str | None = Field(None, description="artifact")
    ensemble: list[str] = Field([], description="ids of the attempts that it blends")
    remeasure: str | None = Field(None, description="artifact: attempt that is measured again")
    seed: int = Field(0, description="under which it is")
    usage: Usage = Usage()
    limit_s: float | None = Field(None, description="wall limit that was told for the script")
    error: str = Field("", description="why the reasoner gave nothing usable")
    repairs: int = 0
    cause: str = Field("", description="cause of the last failure, as its repair saw it")
    fix: str = Field("", description="what that repair changed")
    mended: list[str] = Field([], description="cause -> fix of every repair of the attempt")
    appeal: Appeal | None = Field(None, description="made once, instead of a repair")
    # execute; select sets `execution`, where it repairs a failed attempt
    execution: str | None = Field(None, description="artifact; a rehearsal's, where that failed")
    expected_s: float | None = Field(None, description="seconds, by the script's rehearsal")
    # validate; select sets `grade` and `reasons` where it repairs a failed attempt; a finding of
    # review changes all but `grade` and `validity`; repair empties `failed`
    grade: str | None = Field(None, description="artifact")
    verdict: Verdict = "failed"
    replaces: bool = False
    validity: bool = Field(False, description="removes a flaw of the data; scores not comparable")
    run_best: str | None = Field(None, description="run's best that it was compared with, too")
    reasons: list[str] = []
    codes: list[str] = Field([], description="the reasons, machine-readable")
    failed: dict[str, list[str]] = Field(
        {}, description="not empty: the script goes to repair, which reads `reasons`"
    )
    review: bool = Field(False, description="the script is to be reviewed before it is recorded")
    # review
    reviewed: bool = False

    @property
    def script_name(self) -> str:
        """Name of the current script: a repair makes another one of the same attempt."""
        return f"{self.attempt}r{self.repairs}"


class Used(StateModel):
    """What the run has spent so far."""

    time_s: float = 0.0
    executions: int = 0
    tokens: int = 0
    usd: float = 0.0


def merge_by_key(old: Json | None, new: Json | None) -> Json:
    """Reducer: later values win, key by key; the order of the traces does not matter."""
    return {**(old or {}), **(new or {})}


class RunState(StateModel):
    """State of the whole run."""

    schema_version: int = SCHEMA_VERSION
    task: str = ""
    run_dir: str = ""
    round: int = 0
    steps: int = Field(0, description="per trace, from the settings")
    merge_every: int = 1
    traces: Annotated[dict[str, Trace], merge_by_key] = {}
    best: Best | None = None
    ensemble: Best | None = Field(None, description="blend that is ahead of every single solution")
    blend: Best | None = Field(None, description="last blend of all traces, ahead or not")
    used: Used = Used()
    stop: str = Field("", description="why the loop ended; empty while it runs")
    submission: str = Field("", description="path, once finalized")

    def sorted_traces(self) -> list[Trace]:
        """Return the traces by number."""
        return sorted(self.traces.values(), key=lambda trace: trace.trace)


class TraceInput(StateModel):
    """Input of one round of a trace."""

    run_dir: str
    row: Trace
    until: int = Field(description="step at which it returns to the merge")
    siblings: list[str] = Field([], description="heads of the other traces at the last merge")


class TraceState(TraceInput):
    """State inside one round of a trace."""

    work: Work | None = None
    traces: Annotated[dict[str, Trace], merge_by_key] = {}

    @property
    def attempt_in_progress(self) -> Work:
        """The work that `select` began; nodes after it may rely on it."""
        assert self.work is not None, "select runs first"
        return self.work


class TraceOutput(StateModel):
    """Only what may flow up; every key has a reducer in RunState."""

    traces: Annotated[dict[str, Trace], merge_by_key] = {}
