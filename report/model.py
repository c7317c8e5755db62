"""What is known of a run, as frozen records: the one view that console, tables and report look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]
VERDICTS = ("accepted", "tie", "rejected", "failed")


@dataclass(frozen=True)
class Usage:
    """What answers of a model cost; usd is None while no price is known."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        usd = None if self.usd is None and other.usd is None else (self.usd or 0) + (other.usd or 0)
        tokens_in, tokens_out = (
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )
        return Usage(self.calls + other.calls, tokens_in, tokens_out, usd)


@dataclass(frozen=True)
class Attempt:
    """One executed solution as recorded; gain is positive = better, in metric units.

    `replaces`: it became its trace's best (a tie may, where its script is faster or simpler); `measured`: its gain says something of
    the hypothesis' prediction.
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
    usage: Usage


@dataclass(frozen=True)
class Trace:
    """Where one trace stands: its activity (and since when), what it tries, and its best."""

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
    n_failed: int = 0


@dataclass(frozen=True)
class Also:
    """What runs beside the attempts at this moment: a script under another seed, or once more on all rows."""

    what: str
    since: float
    limit_s: float | None = None
    progress: str = ""


@dataclass(frozen=True)
class Merge:
    """One meeting of the traces."""

    round: int
    t: float
    actions: tuple[str, ...]
    best: str | None


@dataclass(frozen=True)
class Line:
    """A line of what happened, for the live view and plain output."""

    t: float
    kind: str
    text: str
    trace: int | None = None


@dataclass(frozen=True)
class RunView:
    """All that is known of a run, folded from its events. Times are unix seconds."""

    run: str = ""
    task: str = ""
    metric: str = ""
    direction: str = "max"
    n_traces: int = 0
    steps: int | None = None
    time_s: float | None = None
    kept_s: float | None = None  # of the time, for the finale
    sandbox: str = ""
    reasoner: str = ""
    memory: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    isolation: Mapping[str, Any] = field(default_factory=dict)
    started: float | None = None
    last: float | None = None
    active_s: float = 0.0
    n_resumed: int = 0
    n_executions: int = 0
    usage: Usage = Usage()
    seconds: Mapping[str, float] = field(default_factory=dict)
    spent: Mapping[str, Usage] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    traces: Mapping[int, Trace] = field(default_factory=dict)
    also: Mapping[str, Also] = field(default_factory=dict)
    diagnoses: Mapping[tuple[int, int], Event] = field(default_factory=dict)
    recalls: Mapping[tuple[int, int], tuple[Event, ...]] = field(default_factory=dict)
    summaries: Mapping[str, str] = field(default_factory=dict)
    hypotheses: Mapping[str, Event] = field(default_factory=dict)
    executions: Mapping[str, Event] = field(default_factory=dict)
    merges: tuple[Merge, ...] = ()
    best: str | None = None
    curve: tuple[float, ...] = ()
    candidates: tuple[Any, ...] = ()
    final: Event | None = None
    ended: Event | None = None
    warnings: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def rising(self) -> bool:
        return self.direction != "min"

    @property
    def first(self) -> Attempt | None:
        """The first attempt that got a score."""
        return next((a for a in self.attempts.values() if a.score is not None), None)

    @property
    def best_attempt(self) -> Attempt | None:
        return self.attempts.get(self.best or "")

    @property
    def total_gain(self) -> float | None:
        """Best against first, positive = better."""
        first, best = self.first, self.best_attempt
        if first is None or best is None or first.score is None or best.score is None:
            return None
        return (best.score - first.score) * (1 if self.rising else -1)

    @property
    def n_accepted(self) -> int:
        return sum(a.verdict == "accepted" for a in self.attempts.values())

    def elapsed(self, now: float | None = None) -> float:
        """Seconds of work, pauses between a stop and a resume left out."""
        running = self.ended is None and self.last is not None and now is not None
        return self.active_s + (max(0.0, now - self.last) if running and now and self.last else 0.0)

    def better(self, a: float, b: float) -> bool:
        return a > b if self.rising else a < b
