"""The reasoner protocol: five verbs, each with a typed brief in and a typed answer out.

A brief holds everything the verb may know and nothing more: no labels of hidden rows, no audit
score, no key. `expert` (embedded) and `chat` (any OpenAI-compatible model) implement the protocol.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

LIKELY = "likely"  # code of a tie that is likely better: the trace's next step starts from it
BEST_DRAFT = "best_draft"  # code of a tie between first drafts that has the higher score
Component = Literal["data", "features", "model", "ensemble", "workflow"]
Size = Literal["small", "medium", "large"]
RecipeVerdict = Literal["helpful", "neutral", "harmful", "untested"]


class Frozen(BaseModel):
    """Base of all briefs and answers: immutable values."""

    model_config = ConfigDict(frozen=True)


class Usage(Frozen):
    """What an answer cost; `usd` is None if the price is unknown."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = Field(
        0, description="of the input tokens: those that the endpoint had in its prefix cache"
    )
    usd: float | None = None

    def __add__(self, other: Usage) -> Usage:
        usd = None if self.usd is None and other.usd is None else (self.usd or 0) + (other.usd or 0)
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            usd=usd,
        )


class ReasonerError(Exception):
    """The reasoner gave no usable answer; the step is recorded as failed and the run continues.

    `usage` is what the failed answer cost.
    """

    def __init__(self, text: str, usage: Usage | None = None) -> None:
        super().__init__(text)
        self.usage = usage or Usage()


class ReasonerUnavailableError(RuntimeError):
    """The reasoner cannot work at all (no key, wrong key, endpoint down).

    The run stops with this message and can be resumed. `usage` is what was spent until then.
    """

    def __init__(self, text: str, usage: Usage | None = None) -> None:
        super().__init__(text)
        self.usage = usage or Usage()


class ReasonerDownError(ReasonerUnavailableError):
    """Nothing answers at the reasoner's address: it may work again later."""


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
        "",
        description="probability | label | value | ranking | text: what the metric needs",
    )
    form: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="prediction column -> {target, label}: the class whose probability it holds, "
        "or an empty label for the target itself",
    )
    labels: list[str] = Field(
        default_factory=list, description="classes as the training table writes them"
    )
    positive: str = Field("", description="class of a single probability column")
    bounds: list[float | None] | None = Field(
        None, description="low and high; the harness clips predicted values to them"
    )
    soft: dict[str, Any] = Field(
        default_factory=dict,
        description="what scripts may write in place of labels: {layout: classes | positive |"
        " values, columns, loss, decoder, second: class of a single probability}; empty: nothing",
    )
    split: dict[str, Any] = Field(description="{kind, column, n_folds}")
    inputs: list[str] = Field(description="file names in input/")
    n_train: int
    n_test: int


class Resources(Frozen):
    """Limits of a script and what its environment provides."""

    wall_s: float
    memory_bytes: int
    cpus: int
    gpus: list[str] = []
    python: str = Field("", description="version of the Python that runs scripts")
    interpreter: str = Field("", description="its path; empty if it is on another machine")
    packages: dict[str, str] = Field(
        default_factory=dict, description="importable in the sandbox: name -> version"
    )
    keep_bytes: int | None = Field(
        None,
        description="what a script may leave in keep/; None: scripts do not build on each other",
    )


class Stage(Frozen):
    """Progress of the run through its budget, and the score to beat."""

    phase: Literal["draft", "improve", "ensemble"]
    used: float = Field(description="share of the budget used, 0 to 1")
    step: int
    trace: int
    n_traces: int
    beside: list[int] = Field([], description="other traces that step from the same solution")
    steps_left: int | None = Field(
        None, description="attempts left to the trace, including this one"
    )
    time_left_s: float | None = Field(
        None, description="seconds left to the run, without the reserve for the final fit"
    )
    executions_left: int | None = Field(
        None, description="executions left to all traces, repairs and second seeds included"
    )
    executions_reserved: int = Field(0, description="further executions, kept for the finale")
    tokens_left: int | None = Field(None, description="tokens left to the run")
    usd_left: float | None = Field(None, description="dollars left to the run")
    repairs: int = Field(0, description="repairs that a failed script may have")
    best: float | None = Field(None, description="score of the trace's best attempt")
    best_se: float | None = None
    leader: str = Field("", description="the run's best, where that is another attempt")
    leader_score: float | None = None
    leader_se: float | None = None


class Effect(Frozen):
    """Predicted effect on the score; sign +1 means better."""

    sign: Literal[-1, 0, 1] = 1
    size: Size = "small"


class Observation(Frozen):
    """A fact read from the evidence, with the ids (paths) of the evidence that supports it."""

    text: str
    cites: list[str] = []


class Hypothesis(Frozen):
    """One direction of improvement: a component of the gradient."""

    id: str
    challenge: str = Field(description="root cause that it addresses")
    statement: str
    component: Component
    plan: str = Field("", description="the edit in words")
    effect: Effect = Effect()
    confidence: float = Field(0.5, ge=0, le=1)
    cost: Literal["low", "medium", "high"] = "low"
    refuted_by: str = Field("", description="the result that would refute it")
    cites: list[str] = []
    move: str | None = Field(None, description="the expert's edit, with its arguments")
    claim: str = Field("", description="id of the ledger's claim that it tests again")
    protocol: bool = Field(
        False,
        description="changes how the task is evaluated or which data are legitimate; "
        "not judged by the score alone",
    )
    drops_columns: list[str] = Field(
        default_factory=list,
        description="columns of the training table that the change removes from the features "
        "because the harness suspects them of leaking the target",
    )


class Revision(Frozen):
    """New words for a claim of the ledger, and claims that say the same and merge into it."""

    id: str
    claim: str = Field("", description="the claim restated; empty: as it is")
    merge: list[str] = Field(default_factory=list, description="ids of claims that it replaces")


class Solution(Frozen):
    """A complete script and the reason for it."""

    script: str = Field(
        description="may be empty if `ensemble`, `take_from` or `remeasure` is given"
    )
    summary: str = Field(description="one line: what this script is")
    hypothesis: Hypothesis | None = None
    ensemble: list[str] = Field(
        default_factory=list,
        description="instead of a script: ids of attempts whose recorded predictions "
        "the harness blends",
    )
    remeasure: str = Field(
        "",
        description="instead of a script: id of an attempt whose script runs once more, under "
        "another seed; its mean counts from then on",
    )
    take_from: list[str] = Field(
        default_factory=list,
        description="instead of a script: ids of attempts whose exact scripts "
        "the next brief shall quote",
    )
    cause: str = Field("", description="repair: why the script failed")
    fix: str = Field("", description="repair: what was changed to fix it")
    appeal: list[str] = Field(
        default_factory=list,
        description="repair, instead of a change: names of `lacks`; the held-back rows judge "
        "the script again without those that lack them, and `cause` is the argument",
    )
    notes: list[str] = Field(default_factory=list, description="corrections made to the answer")
    usage: Usage = Usage()
    limit_s: float | None = Field(
        None, description="wall limit that the brief told, as the harness stores it"
    )


class Turn(Frozen):
    """One message of a conversation with a reasoner, as it was sent or answered."""

    role: Literal["system", "user", "assistant"]
    content: str


class Diagnosis(Frozen):
    """The gradient: observations -> root causes -> ranked hypotheses."""

    observations: list[Observation] = []
    causes: list[str] = []
    hypotheses: list[Hypothesis] = Field(
        default_factory=list, description="best first; empty if nothing is expected to help"
    )
    revisions: list[Revision] = Field(
        default_factory=list, description="of the ledger's claims; the numbers stay the harness's"
    )
    notes: list[str] = Field(
        default_factory=list,
        description="corrections made to the answer, e.g. citations of unknown evidence",
    )
    probe: str = Field("", description="a short script that looks at the data; mostly empty")
    probe_question: str = Field("", description="what it is to find out")
    change: Solution | None = Field(
        None,
        description="the complete change for the hypothesis that the reasoner would take itself, "
        "which is `change.hypothesis`",
    )
    change_problem: str = Field("", description="why that change could not be used, for the model")
    change_owner: str = Field("", description="id of the hypothesis whose change that was")
    turns: list[Turn] = Field(
        default_factory=list, description="the conversation so far, in which an update goes on"
    )
    thread: str = Field("", description="hash under which the run keeps those turns")
    usage: Usage = Usage()


class Review(Frozen):
    """A review of the code alone; it never overrules a measured difference."""

    aligned: bool = True
    leaks: bool = False
    reasons: list[str] = []
    usage: Usage = Usage()


class Probe(Frozen):
    """A short read-only script that looks at the data; empty: nothing to look at."""

    question: str = ""
    script: str = ""
    usage: Usage = Usage()


FileName = Literal["read.py", "metric.py"]


class FileTry(Frozen):
    """A file that was written and refused, with the reason."""

    script: str
    error: str
    direction: str = ""


class FileBrief(Frozen):
    """What is known of a task folder whose labels or metric no built-in code reads."""

    file: FileName = Field(description="the file to write")
    name: str
    description: str
    refusal: str = Field(description="why the file is needed")
    listing: list[str] = Field(description="files, folders and archives of the task folder")
    heads: dict[str, str] = Field(default_factory=dict, description="first lines or bytes of files")
    answers: str = Field("", description="columns and first labelled rows, where they are read")
    sample: str = Field("", description="first rows of the sample submission")
    packages: dict[str, str] = Field(
        default_factory=dict, description="importable: name -> version"
    )
    earlier: list[FileTry] = Field(default_factory=list, description="tries that were refused")
    seed: int = 0


class WrittenFile(Frozen):
    """A file that a model wrote for a task folder."""

    script: str
    summary: str = ""
    direction: Literal["max", "min", ""] = Field("", description="of a metric")
    usage: Usage = Usage()


@runtime_checkable
class FileWriter(Protocol):
    """A reasoner that can write read.py and metric.py; the embedded expert cannot."""

    async def write_file(self, brief: FileBrief) -> WrittenFile:
        """Write the file. Raises ReasonerError, ReasonerUnavailableError."""
        ...


class Fact(Frozen):
    """Compact summary of an earlier attempt."""

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
        None,
        description="paired improvement over the trace's best at that time; positive is better",
    )
    gain_se: float | None = None
    verdict: str = Field(description="accepted | tie | rejected | failed")
    why: str = ""
    codes: list[str] = Field(
        default_factory=list,
        description="machine-readable reasons of the verdict, e.g. worse, leak_column, "
        "audit_contradicts",
    )
    cause: str = Field("", description="cause of a failure as found by its repair")
    fix: str = Field("", description="fix proposed for a failure")
    seconds: float | None = None
    summary: str = Field("", description="one line: what the script was")
    kept: list[str] = Field(default_factory=list, description="files in its keep/; bounded")

    @property
    def led(self) -> bool:
        """Whether the trace went on from it: accepted, likely better, or the best of its drafts."""
        return self.verdict == "accepted" or not {LIKELY, BEST_DRAFT}.isdisjoint(self.codes)


class Hint(Frozen):
    """A recalled success or refutation (momentum) as a reasoner sees it."""

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
        description="attempt of the same run that it comes from, whose script can be quoted",
    )
    change: str = Field("", description="the measured change as a unified diff; bounded")


class RecipeCard(Frozen):
    """A recipe as a reasoner sees it: what the field knows, where its conditions hold."""

    id: str
    title: str
    component: str
    what: str
    pitfalls: str = ""
    code: str = Field("", description="fragment; empty where only the idea is told")
    move: str | None = Field(None, description="the expert's move that does the same")
    state: Literal["helpful", "neutral", "untested"] = "untested"
    evidence: str = Field("", description="the harness's numbers in one line; empty: untested")
    weight: float = 0.0


class MoveRecord(Frozen):
    """What recipes that fit the task measured of a move of the expert, on other tasks."""

    move: str
    n_tasks: int
    n_helped: int = Field(description="tasks on which it gained two standard errors or more")
    verdict: RecipeVerdict = Field("untested", description="of the recipe, over its tasks")


class Quote(Frozen):
    """A recorded script, or the change that led to it, word for word."""

    attempt: str
    what: Literal["script", "change"]
    text: str
    why: str = Field("", description="why it is shown and how it was judged")


class Claim(Frozen):
    """One line of the ledger: what the run holds of an idea; all numbers are the harness's."""

    id: str
    claim: str
    component: str = ""
    move: str | None = None
    source: str = Field("hypothesis", description="hypothesis | draft | blend | person | probe")
    state: Literal["open", "supported", "refuted", "superseded"] = "open"
    attempt: str = Field("", description="the attempt that says most; empty: not measured")
    gain: float | None = Field(
        None, description="of that attempt over its trace's best, in metric units; + is better"
    )
    gain_se: float | None = None
    score: float | None = None
    score_se: float | None = None
    mean_gain: float | None = Field(None, description="over all measurements, if several")
    mean_se: float | None = None
    attempts: list[str] = Field(default_factory=list, description="all that measured it")
    n_supported: int = 0
    n_tied: int = 0
    n_refuted: int = 0
    n_failed: int = 0
    elsewhere: bool = Field(
        False, description="measured from an earlier solution only, against the best: says little"
    )
    note: str = Field("", description="why it failed or was refused")
    trying: list[str] = Field(
        default_factory=list, description="attempts in progress that test it now"
    )
    proposed_by: int | None = Field(None, description="trace whose diagnosis proposes it, untested")
    held: bool = Field(False, description="it is part of the script of this trace's best")


class Ledger(Frozen):
    """What the run has learnt so far, over all traces that share it; bounded."""

    claims: list[Claim] = Field(default_factory=list, description="most important first")
    folded: dict[str, int] = Field(
        default_factory=dict, description="claims that are not listed, by state"
    )


class Crossover(Frozen):
    """What a stuck trace may take over from other traces.

    That is another trace's best script, and accepted hypotheses that this trace's own script lacks.
    """

    partner: str = Field("", description="best script of another trace; may be empty")
    summary: str = Field("", description="one line: what the partner's script is")
    lacks: list[Fact] = Field(
        default_factory=list,
        description="accepted by other traces on this task, absent here; surest gain first",
    )


class ProbeFinding(Frozen):
    """A look at the data: what it was to find out, and what its script printed."""

    question: str
    output: str


class Brief(Frozen):
    """What every verb receives."""

    task: TaskBrief
    profile: dict[str, Any] = Field(description="task.types.Profile")
    resources: Resources
    stage: Stage
    history: list[Fact] = Field(
        default_factory=list,
        description="this trace's attempts, oldest first; bounded; prompts show the ledger",
    )
    others: list[Fact] = Field(
        default_factory=list,
        description="measurements of the other traces on this task, oldest first; bounded, "
        "empty without sharing; prompts show the ledger",
    )
    calibration: list[str] = Field(
        default_factory=list,
        description="sentences that compare this reasoner's predictions in this run with "
        "the measurements",
    )
    ledger: Ledger = Field(default_factory=Ledger)
    accept_z: float = Field(
        1.0,
        description="standard errors by which a change is rejected, and the least to be accepted",
    )
    accept_bar: float | None = Field(
        None, description="standard errors that the run's first acceptance takes; None: accept_z"
    )
    variants: int = Field(
        8, description="pairs of files that a script may write as one line search; 0: none"
    )
    preview: str = Field("", description="contents of input/ in words (task.data.preview)")
    probes: list[ProbeFinding] = Field(
        default_factory=list, description="looks at the data, oldest first; bounded"
    )
    said: list[str] = Field(
        default_factory=list,
        description="hints from the person who watches the run, verbatim, oldest first; bounded",
    )
    seed: int = 0


class Rejected(Frozen):
    """A script that a gate of the harness refused, with what the gate saw."""

    attempt: str
    script: str
    reasons: list[str] = Field(description="the gate's words, with its numbers")
    evidence: dict[str, Any] = Field(default_factory=dict, description="of that script")
    log: str = ""


class DraftBrief(Brief):
    """Asks for a first script."""

    rejected: Rejected | None = Field(
        None, description="the trace's latest script, if a gate refused it: it may be contested"
    )

    siblings: list[str] = Field(
        default_factory=list, description="directions of the other traces, a line each; differ"
    )
    recipes: list[RecipeCard] = Field(
        default_factory=list, description="that fit the task, best first; other traces get others"
    )
    move_records: list[MoveRecord] = Field(
        default_factory=list, description="for reasoners that choose among the expert's moves"
    )


class StepBrief(Brief):
    """What a change of a script is made from, beside the script and its evidence."""

    hints: list[Hint] = Field(
        default_factory=list, description="what the memory recalls: successes, then refutations"
    )
    recipes: list[RecipeCard] = Field(
        default_factory=list, description="that fit the task and the causes found; best first"
    )
    quotes: list[Quote] = Field(
        default_factory=list, description="recorded scripts or changes, word for word; bounded"
    )
    may_ask: bool = Field(
        False,
        description="an answer may name `take_from` instead of a script; the request is then "
        "repeated with the quotes",
    )
    members: list[Fact] = Field(
        default_factory=list,
        description="attempts of all traces that an ensemble may use, best first; bounded",
    )
    sources: list[Fact] = Field(
        default_factory=list,
        description="attempts of all traces that a script may build on, best first; bounded",
    )
    repeatable: dict[str, int] = Field(
        default_factory=dict,
        description="attempts that may be measured again -> seeds that they ran under; the best "
        "first",
    )
    measured: dict[str, str] = Field(
        default_factory=dict,
        description="sha256 of every script that was measured -> its attempt; none is run twice",
    )


class ProbeBrief(Brief):
    """Asks for a short script that looks at the data before the first draft."""

    limit_s: float = Field(description="seconds that it may run")


class DiagnoseBrief(StepBrief):
    """Asks why a script scores as it does and what would change its score."""

    wants_change: bool = Field(
        False,
        description="the answer holds the complete change for the hypothesis that it would take",
    )

    script: str = Field(description="script to improve, mostly the trace's best")
    evidence: dict[str, Any] = Field(description="task.types.Evidence of that script")
    log: str = Field("", description="output of that script, bounded")
    last: dict[str, Any] | None = Field(
        None, description="evidence of the latest attempt, if it was not the best"
    )
    last_diff: str = Field("", description="change of the latest attempt as a unified diff")
    move_records: list[MoveRecord] = Field(
        default_factory=list, description="for reasoners that choose among the expert's moves"
    )
    scenario: int = Field(
        1,
        ge=0,
        le=3,
        description="3: reason from task and data alone; 0: from the evidence alone "
        "(see briefs.brief.scenario_weight)",
    )


class UpdateBrief(StepBrief):
    """Asks for one step: a hypothesis, chosen in the light of memory, turned into a script."""

    script: str
    evidence: dict[str, Any]
    diagnosis: Diagnosis
    chosen: str = Field(
        "", description="id of the hypothesis to turn into a script; empty: the reasoner chooses"
    )
    log: str = ""
    crossover: Crossover | None = Field(
        None, description="if the trace is stuck: what to combine `script` with"
    )

    @property
    def chosen_hypothesis(self) -> Hypothesis | None:
        """The hypothesis that was chosen for the reasoner, or None."""
        hypotheses = self.diagnosis.hypotheses
        return next((each for each in hypotheses if each.id == self.chosen), None)


class Lack(Frozen):
    """What held-back rows lack that others have: a file, or the cell of a column."""

    name: str = Field(description="file | cell:COLUMN")
    validated: int = Field(description="validated rows that lack it")
    of_validated: int
    test: int = Field(description="rows of test.csv that lack it")
    of_test: int


class RepairBrief(Brief):
    """Asks for the repair of a script that failed or was refused."""

    script: str = Field(description="script that failed")
    evidence: dict[str, Any] = Field(description="contains `error`, `problems` or both")
    problems: list[str] = Field(
        default_factory=list, description="why the harness refused the script, a sentence each"
    )
    attempt: int = Field(1, description="number of this repair, from 1")
    log: str = ""
    earlier: list[str] = Field(
        default_factory=list,
        description="cause and fix of this attempt's earlier repairs, which did not help",
    )
    rehearsal: str = Field(
        "", description="what a run on a sample of the rows showed; empty: there was none"
    )
    hypothesis: Hypothesis | None = None
    lacks: list[Lack] = Field(
        default_factory=list,
        description="held-back rows refused the script: what an appeal may name instead of a "
        "repair",
    )


class ReviewBrief(Brief):
    """Asks for a review of a script's honesty."""

    script: str
    diff: str = ""
    doubts: list[str] = Field(
        default_factory=list, description="of the harness; empty: the script is a finalist"
    )


class Reasoner(Protocol):
    """Answers briefs. Answers are values; a reasoner holds no state of the run.

    Every verb raises ReasonerError if there is no usable answer, and
    ReasonerUnavailableError if the reasoner cannot work at all.
    """

    name: str

    async def draft(self, brief: DraftBrief) -> Solution:
        """Write a first script."""
        ...

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Turn evidence into root causes and ranked hypotheses."""
        ...

    async def update(self, brief: UpdateBrief) -> Solution:
        """Turn one hypothesis into a new script."""
        ...

    async def repair(self, brief: RepairBrief) -> Solution:
        """Fix a script that failed."""
        ...

    async def review(self, brief: ReviewBrief) -> Review:
        """Check a script for honesty."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class Prober(Protocol):
    """A reasoner that can look at the data by a script of its own; the expert cannot."""

    async def probe(self, brief: ProbeBrief) -> Probe:
        """Write the script. Raises ReasonerError, ReasonerUnavailableError."""
        ...


@runtime_checkable
class RefusalReader(Protocol):
    """A reasoner that reads what any gate says; others repair what is named by a code."""

    reads_refusals: bool


@runtime_checkable
class MoveReasoner(Protocol):
    """A reasoner that does not read words: it takes its own proposals, and moves by their names."""

    def list_moves(self) -> dict[str, str]:
        """Return what it can do on any task: name -> statement."""
        ...


@runtime_checkable
class CheckedReasoner(Protocol):
    """What a reasoner with an endpoint offers beside the verbs; a session calls it first."""

    async def check(self) -> Usage:
        """Ask for a tiny answer, so that a wrong key or model fails before anything is spent.

        Raises:
            ReasonerUnavailableError: no model answers.
        """
        ...


@runtime_checkable
class PackagedReasoner(Protocol):
    """What a reasoner offers whose scripts import a fixed set of packages."""

    def check_packages(self, packages: dict[str, str], inputs: list[str], python: str) -> list[str]:
        """Return notes on what it leaves out for want of a package.

        Args:
            packages: what the scripts' Python has, name -> version.
            inputs: names of the files below input/.
            python: the scripts' Python, for messages.

        Raises:
            ReasonerUnavailableError: its scripts cannot run by this Python.
        """
        ...
