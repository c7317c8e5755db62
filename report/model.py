"""Frozen records of a run, the one model that console, tables, report and notebook show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from report.ledger import Ledger
from report.variants import VariantView

Event = Mapping[str, object]
VERDICTS = ("first", "accepted", "tie", "rejected", "failed")


@dataclass(frozen=True)
class TokenUsage:
    """What model answers cost; `usd` is None while no price is known.

    `cached_tokens` are part of the input tokens: the endpoint had them in its prefix cache.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float | None = None

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        known = self.usd is not None or other.usd is not None
        return TokenUsage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            usd=(self.usd or 0) + (other.usd or 0) if known else None,
        )


@dataclass(frozen=True)
class AttemptView:
    """One attempt as recorded. `gain` is in metric units, positive is better.

    `verdict`: one of VERDICTS; the first valid attempt of a trace, which is accepted without a
    comparison, is `first`. `replaces`: it became the best of its trace (a tie may, if its script is
    faster or simpler).
    `measured`: its gain tests the prediction of its hypothesis.
    `script`, `evidence` and `log` name artifacts.
    """

    id: str
    order: int
    t: float
    trace: int
    step: int
    parent: str | None
    kind: str
    mode: str
    why: str
    repairs: int
    hypothesis: str
    component: str
    move: str
    sign: int | None
    size: str
    confidence: float | None
    script: str
    evidence: str
    log: str
    score: float | None
    score_se: float | None
    folds: tuple[float, ...]
    gain: float | None
    gain_se: float | None
    verdict: str
    replaces: bool
    measured: bool
    reasons: tuple[str, ...]
    problems: tuple[str, ...]
    seconds: float | None
    usage: TokenUsage
    variants: tuple[VariantView, ...] = ()
    uses: tuple[str, ...] = ()  # attempts whose predictions its script reads
    members: tuple[str, ...] = ()  # of a blend
    run_best: str = ""  # the run's best at that time, where that was another
    run_side: int = 0  # 1: ahead of it, -1: below it; by more than the score, maybe
    run_gain: float | None = None  # over it

    @property
    def words(self) -> str:
        """What it builds on, and its hypothesis or else its kind."""
        text = self.hypothesis or self.kind
        return f"on {', '.join(self.uses)}: {text}" if self.uses else text

    @property
    def is_behind(self) -> bool:
        """Whether it was below the run's best when it was measured."""
        if self.run_side:
            return self.run_side < 0
        return self.run_gain is not None and self.run_gain < 0

    @property
    def can_lead(self) -> bool:
        """Whether it became a best: of its trace, or as a blend that is ahead."""
        return self.replaces or (self.kind == "ensemble" and self.verdict == "accepted")

    @property
    def is_step(self) -> bool:
        """Whether its trace went on from it without accepting it."""
        return self.replaces and self.verdict == "tie" and self.kind != "ensemble"


class Lead(NamedTuple):
    """An attempt that became the run's best, and the executions and script seconds until then."""

    attempt: str
    executions: int
    seconds: float
    score: float


@dataclass(frozen=True)
class TraceView:
    """Current state of one trace: activity (and its start), hypothesis, progress and best."""

    id: int
    step: int = 0
    activity: str = ""
    since: float | None = None
    limit_s: float | None = None
    progress: str = ""
    hypothesis: str = ""
    status: str = "running"
    best: str | None = None
    n_attempts: int = 0
    n_accepted: int = 0


@dataclass(frozen=True)
class SideJob:
    """A script that runs beside the attempts: under another seed, or again on all rows."""

    what: str
    since: float
    limit_s: float | None = None
    progress: str = ""


class SlotUse(NamedTuple):
    """The time of drafting and improving, up to the last merge, and what of it was used.

    `began_s` and `until_s` are seconds of the run; `script_s` is over all slots, `waited_s` over
    all traces: what they waited for others at merges.
    """

    slots: int
    began_s: float
    until_s: float = 0.0
    script_s: float = 0.0
    waited_s: float = 0.0


@dataclass(frozen=True)
class MergeView:
    """One round in which the traces were compared and merged."""

    round: int
    t: float
    actions: tuple[str, ...]


@dataclass(frozen=True)
class LogLine:
    """One line of the log in the live view and in plain output."""

    t: float
    kind: str
    text: str
    trace: int | None = None


@dataclass(frozen=True)
class CallView:
    """One exchange with a model, as its event summarises it; `record` names its texts."""

    number: int  # within the run, from 1
    verb: str
    attempt: str
    trace: int | None
    step: int | None
    model: str
    form: str
    n_chars: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usd: float | None
    seconds: float | None
    finish: str
    error: str
    approach: str
    why: str
    record: str


@dataclass(frozen=True)
class ProbeView:
    """A look at the data: its question, and where its script and output are."""

    attempt: str
    question: str
    end: str
    seconds: float | None
    script: str
    output: str


@dataclass(frozen=True)
class MadeView:
    """A file that a model wrote so that the task could be read or scored."""

    name: str
    summary: str
    script: str


@dataclass(frozen=True)
class RunView:
    """Everything known of a run, projected from its events. Times are Unix seconds."""

    run: str = ""
    task: str = ""
    metric: str = ""
    direction: str = "max"
    n_traces: int = 0
    steps: int | None = None
    time_s: float | None = None
    finalize_reserve_s: float | None = None  # part of time_s that is reserved for finalize
    sandbox: str = ""
    reasoner: str = ""
    memory: str = ""
    embedding: str = ""  # that the memory compares texts with, and why not a better one
    settings: Mapping[str, object] = field(default_factory=dict)
    profile: Mapping[str, object] = field(default_factory=dict)
    last: float | None = None
    active_s: float = 0.0
    n_resumes: int = 0
    usage: TokenUsage = TokenUsage()
    seconds_by_activity: Mapping[str, float] = field(default_factory=dict)
    usage_by_activity: Mapping[str, TokenUsage] = field(default_factory=dict)
    attempts: Mapping[str, AttemptView] = field(default_factory=dict)
    traces: Mapping[int, TraceView] = field(default_factory=dict)
    side_jobs: Mapping[str, SideJob] = field(default_factory=dict)
    diagnoses: Mapping[tuple[int, int], Event] = field(default_factory=dict)
    recalls: Mapping[tuple[int, int], tuple[Event, ...]] = field(default_factory=dict)
    offers: Mapping[tuple[int, int], tuple[Event, ...]] = field(default_factory=dict)
    calls: Mapping[tuple[int, int], tuple[CallView, ...]] = field(default_factory=dict)
    n_calls: int = 0
    hypotheses: Mapping[str, Event] = field(default_factory=dict)
    executions: Mapping[str, Event] = field(default_factory=dict)
    label_checks: Mapping[str, Event] = field(default_factory=dict)
    appeals: Mapping[str, Event] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    merges: tuple[MergeView, ...] = ()
    baseline: Event | None = None
    rehearsals: tuple[Event, ...] = ()
    best: str | None = None
    curve: tuple[float, ...] = ()
    n_executions: int = 0
    script_s: float = 0.0
    slot_use: SlotUse | None = None
    leads: tuple[Lead, ...] = ()  # of the search
    searched: tuple[int, float] | None = None  # executions and seconds when the finale began
    candidates: tuple[object, ...] = ()
    final: Event | None = None
    ended: Event | None = None
    warnings: tuple[str, ...] = ()
    made: tuple[MadeView, ...] = ()
    probes: tuple[ProbeView, ...] = ()
    lines: tuple[LogLine, ...] = ()

    @property
    def rising(self) -> bool:
        """Whether a higher score is better."""
        return self.direction != "min"

    @property
    def first(self) -> AttemptView | None:
        """The first attempt with a score."""
        return next((a for a in self.attempts.values() if a.score is not None), None)

    @property
    def best_attempt(self) -> AttemptView | None:
        """The best attempt of the run so far."""
        return self.attempts.get(self.best or "")

    @property
    def total_gain(self) -> float | None:
        """Gain of the best attempt over the first; None while the first is the best."""
        first, best = self.first, self.best_attempt
        if first is None or best is None or first.id == best.id:
            return None
        if first.score is None or best.score is None:
            return None
        return (best.score - first.score) * (1 if self.rising else -1)

    @property
    def n_accepted(self) -> int:
        """Number of accepted attempts; the first valid one of a trace does not count."""
        return sum(a.verdict == "accepted" for a in self.attempts.values())

    @property
    def n_steps(self) -> int:
        """Number of ties that a trace went on from."""
        return sum(attempt.is_step for attempt in self.attempts.values())

    def elapsed(self, now: float | None = None) -> float:
        """Return the seconds of work, without pauses between a stop and a resume."""
        if self.ended is not None or not self.last or not now:
            return self.active_s
        return self.active_s + max(0.0, now - self.last)

    def is_better(self, a: float, b: float) -> bool:
        """Whether score `a` is better than score `b`."""
        return a > b if self.rising else a < b
