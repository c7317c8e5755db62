"""events.jsonl read and folded into one view of the run: the only thing that console, tables and report look at.

`fold` is pure: view + event -> new view.  Readers skip unknown kinds, missing keys and values of a wrong type;
a truncated last line is left for later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from report import words
from report.words import clean, number, whole

Event = Mapping[str, Any]
VERDICTS = ("accepted", "tie", "rejected", "failed")
MAX_LINE_BYTES = 4 * 2**20


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
        tokens_in, tokens_out = self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        return Usage(self.calls + other.calls, tokens_in, tokens_out, usd)


@dataclass(frozen=True)
class Attempt:
    """One executed solution as recorded; gain is positive = better, in metric units."""

    id: str
    order: int
    t: float
    trace: int
    step: int
    parent: str | None
    kind: str
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
    sandbox: str = ""
    reasoner: str = ""
    memory: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
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
    diagnoses: Mapping[tuple[int, int], Event] = field(default_factory=dict)
    recalls: Mapping[tuple[int, int], tuple[Event, ...]] = field(default_factory=dict)
    summaries: Mapping[str, str] = field(default_factory=dict)
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


def fold(view: RunView, event: Event) -> RunView:
    """The view after one more event; an event that says nothing to us changes the clock alone."""
    kind = event.get("ev")
    handler = HANDLERS.get(kind) if isinstance(kind, str) else None
    view = _tick(view, event, resumed=kind == "run_resumed")
    return handler(view, event) if handler else view


def fold_all(events: Iterable[Event], view: RunView | None = None) -> RunView:
    """Every event folded, from an empty view or on top of one."""
    view = view or RunView()
    for event in events:
        view = fold(view, event)
    return view


class Tail:
    """Reads what was appended to an events file since the last poll; a line without its newline waits."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.offset = 0

    def poll(self) -> Iterator[dict[str, Any]]:
        """New events, oldest first. No file yet: none. A file that shrank is read anew from its start."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            if file.seek(0, 2) < self.offset:
                self.offset = 0
            file.seek(self.offset)
            while line := file.readline():
                if not line.endswith(b"\n"):
                    return
                self.offset = file.tell()
                if (event := _parse(line)) is not None:
                    yield event


def read_events(path: Path | str) -> Iterator[dict[str, Any]]:
    """Every complete event of a file, the last line also where its newline is missing but its JSON is whole."""
    tail = Tail(path)
    yield from tail.poll()
    if tail.path.is_file():
        with tail.path.open("rb") as file:
            file.seek(tail.offset)
            event = _parse(file.read(MAX_LINE_BYTES))
        if event is not None:
            yield event


def load(run_dir: Path | str) -> RunView:
    """The view of a run folder (or of an events file)."""
    path = Path(run_dir)
    return fold_all(read_events(path / "events.jsonl" if path.is_dir() else path))


def so_far(run_dir: Path | None) -> RunView:
    """What earlier sessions of a run told, for a listener of its next one; nothing for a new run."""
    return load(run_dir) if run_dir is not None and (run_dir / "events.jsonl").is_file() else RunView()


def state(view: RunView, now: float, alive: bool | None = None) -> str:
    """running | ended's reason | lost. `alive`: whether the run's process is known to live; None: judged by the last event's age."""
    if view.ended is not None:
        return clean(view.ended.get("reason"), 20) or "ended"
    if alive is None:
        limit = max((t.limit_s or 0.0 for t in view.traces.values()), default=0.0)
        alive = view.last is not None and now - view.last < limit + 300
    return "running" if alive else "lost"


def _parse(line: bytes) -> dict[str, Any] | None:
    if len(line) > MAX_LINE_BYTES or not line.strip():
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _tick(view: RunView, event: Event, *, resumed: bool) -> RunView:
    t = number(event.get("t"))
    if t is None:
        return view
    step = 0.0 if view.last is None or resumed or view.ended is not None else max(0.0, t - view.last)
    return replace(view, started=view.started or t, last=max(t, view.last or t), active_s=view.active_s + step)


def _time(view: RunView, event: Event) -> float:
    return number(event.get("t")) or view.last or 0.0


def _texts(value: object, limit: int = 400, n: int = 50) -> tuple[str, ...]:
    return tuple(clean(v, limit) for v in value[:n]) if isinstance(value, list) else ()


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str | None:
    return clean(value, 100) if value is not None and value != "" else None


def usage(value: object) -> Usage:
    """A Usage from an event's `usage`, whatever is in it."""
    got = _dict(value)
    return Usage(whole(got.get("calls")), whole(got.get("input_tokens")), whole(got.get("output_tokens")), number(got.get("usd")))


def _say(view: RunView, event: Event, kind: str, text: str, trace: int | None = None) -> RunView:
    return replace(view, lines=(*view.lines[-49:], Line(_time(view, event), kind, text, trace)))


def _spend(view: RunView, event: Event, activity: str) -> RunView:
    cost = usage(event.get("usage"))
    seconds = {**view.seconds, activity: view.seconds.get(activity, 0.0) + (number(event.get("seconds")) or 0.0)}
    spent = {**view.spent, activity: view.spent.get(activity, Usage()) + cost}
    return replace(view, usage=view.usage + cost, seconds=seconds, spent=spent)


def _trace(view: RunView, event: Event, **changes: Any) -> RunView:
    """The trace named by the event, with changes; `activity` restarts its clock."""
    if number(event.get("trace")) is None:
        return view
    id = whole(event.get("trace"))
    trace = view.traces.get(id, Trace(id))
    if "activity" in changes:
        changes = {"since": _time(view, event), "limit_s": None, "progress": "", **changes}
    step = max(trace.step, whole(event.get("step"), trace.step))
    return replace(view, traces={**view.traces, id: replace(trace, step=step, **changes)})


def _started(view: RunView, event: Event) -> RunView:
    names = ("run", "task", "metric", "sandbox", "reasoner", "memory")
    named: dict[str, Any] = {name: clean(event.get(name), 200) for name in names}
    n = min(whole(event.get("traces")), 256)
    steps, settings = number(event.get("steps")), _dict(event.get("settings"))
    traces = {i: Trace(i, activity="starting", since=_time(view, event)) for i in range(n)}
    direction = "min" if event.get("direction") == "min" else "max"
    return replace(
        view, **named, direction=direction, n_traces=n, steps=None if steps is None else int(steps), time_s=number(event.get("time_s")),
        settings=settings, traces=traces,
    )  # fmt: skip


def _resumed(view: RunView, event: Event) -> RunView:
    view = replace(view, ended=None, n_resumed=view.n_resumed + 1)
    traces = {i: replace(t, activity="resuming", since=_time(view, event)) for i, t in view.traces.items()}
    return _say(replace(view, traces=traces), event, "resumed", "resumed")


def _profiled(view: RunView, event: Event) -> RunView:
    return replace(view, profile={k: v for k, v in event.items() if k not in ("t", "ev")})


def _wrote(activity: str) -> Callable[[RunView, Event], RunView]:
    """drafted, updated and repaired: a script was written and waits for the sandbox."""

    def handle(view: RunView, event: Event) -> RunView:
        text = clean(event.get("summary"))
        hypothesis = clean(_dict(event.get("hypothesis")).get("statement")) or text
        view = _trace(_spend(view, event, activity), event, activity="waiting", hypothesis=hypothesis)
        attempt = _id(event.get("attempt"))
        return replace(view, summaries={**view.summaries, attempt: text}) if attempt else view

    return handle


def _key(event: Event) -> tuple[int, int]:
    return whole(event.get("trace"), -1), whole(event.get("step"), -1)


def _diagnosed(view: RunView, event: Event) -> RunView:
    view = replace(view, diagnoses={**view.diagnoses, _key(event): event})
    return _trace(_spend(view, event, "diagnose"), event, activity="recalling")


def _recalled(view: RunView, event: Event) -> RunView:
    hints = event.get("hints")
    found = tuple(h for h in hints[:20] if isinstance(h, dict)) if isinstance(hints, list) else ()
    view = replace(view, recalls={**view.recalls, _key(event): found})
    return _trace(view, event, activity="updating")


def _execution_started(view: RunView, event: Event) -> RunView:
    return _trace(view, event, activity="executing", limit_s=number(event.get("limit_s")))


def _execution_progress(view: RunView, event: Event) -> RunView:
    return _trace(view, event, progress=clean(event.get("text"), 120))


def _execution_finished(view: RunView, event: Event) -> RunView:
    view = replace(_spend(view, event, "execute"), n_executions=view.n_executions + 1)
    if id := _id(event.get("attempt")):
        view = replace(view, executions={**view.executions, id: event})
    return _trace(view, event, activity="validating")


def attempt_of(event: Event, order: int) -> Attempt:
    """An Attempt from its event, every field checked and bounded."""
    predicted, verdict = _dict(event.get("predicted")), event.get("verdict")
    folds = event.get("folds")
    problems = event.get("problems")
    said = [_dict(p).get("message") or _dict(p).get("code") for p in problems[:20]] if isinstance(problems, list) else []
    sign = number(predicted.get("sign"))
    refs: dict[str, Any] = {name: clean(event.get(name), 128) for name in ("script", "evidence", "log")}
    numbers: dict[str, Any] = {name: number(event.get(name)) for name in ("confidence", "score", "score_se", "gain", "gain_se", "seconds")}
    return Attempt(
        id=_id(event.get("id")) or f"attempt-{order}", order=order, t=number(event.get("t")) or 0.0,
        trace=whole(event.get("trace"), -1), step=whole(event.get("step")), parent=_id(event.get("parent")),
        kind=clean(event.get("kind"), 20), hypothesis=clean(event.get("hypothesis"), 2000), component=clean(event.get("component"), 20),
        move=clean(event.get("move"), 200), sign=None if sign is None else int(sign), size=clean(predicted.get("size"), 20),
        folds=tuple(v for f in folds[:100] if (v := number(f)) is not None) if isinstance(folds, list) else (),
        verdict=verdict if isinstance(verdict, str) and verdict in VERDICTS else "failed",
        reasons=_texts(event.get("reasons"), 1000, 20), problems=tuple(clean(p, 1000) for p in said if p),
        usage=usage(event.get("usage")), **refs, **numbers,
    )  # fmt: skip


def _attempted(view: RunView, event: Event) -> RunView:
    attempt = attempt_of(event, len(view.attempts))
    if attempt.id in view.attempts:  # a step that was repeated after a crash: the first record stands
        return view
    view = replace(view, attempts={**view.attempts, attempt.id: attempt})
    if attempt.trace in view.traces or attempt.kind in ("draft", "update", "repair", "crossover"):
        view = _count(view, event, attempt)
    if attempt.verdict == "accepted":
        view = _improve(view, attempt)
    return _say(view, event, attempt.verdict, told(attempt), attempt.trace)


def _count(view: RunView, event: Event, attempt: Attempt) -> RunView:
    trace = view.traces.get(attempt.trace, Trace(attempt.trace))
    accepted, failed = attempt.verdict == "accepted", attempt.verdict == "failed"
    old = view.attempts.get(trace.best or "")
    improves = accepted and attempt.score is not None and (old is None or old.score is None or view.better(attempt.score, old.score))
    return _trace(
        view, event, activity="repairing" if failed else "diagnosing", best=attempt.id if improves else trace.best,
        n_attempts=trace.n_attempts + 1, n_accepted=trace.n_accepted + accepted, n_failed=trace.n_failed + failed,
    )  # fmt: skip


def _improve(view: RunView, attempt: Attempt) -> RunView:
    """The run's best and its curve after an accepted attempt."""
    old = view.best_attempt
    if attempt.score is None or attempt.kind == "refit":
        return view
    if old is not None and old.score is not None and not view.better(attempt.score, old.score):
        return view
    return replace(view, best=attempt.id, curve=(*view.curve, attempt.score))


def told(attempt: Attempt) -> str:
    """One attempt in a line: its gain in units with its noise, what was tried, and why it ended so."""
    what = attempt.hypothesis or attempt.kind
    why = (attempt.problems or attempt.reasons or ("",))[0]
    if attempt.verdict == "failed":
        return f"{what}: {why}" if why else what
    result = words.score(attempt.score, attempt.score_se) if attempt.gain is None else words.gain(attempt.gain, attempt.gain_se)
    return f"{result}  {what}" + (f" ({why})" if why and attempt.verdict != "accepted" else "")


def _merged(view: RunView, event: Event) -> RunView:
    best, actions = _id(_dict(event.get("best")).get("attempt")), _texts(event.get("actions"))
    if best and best in view.attempts:
        view = replace(view, best=best)
    standings = event.get("standings")
    for row in standings[:256] if isinstance(standings, list) else ():
        if isinstance(row, dict) and number(row.get("trace")) is not None:
            view = _trace(view, {**row, "t": event.get("t")}, status=clean(row.get("status"), 20) or "running")
    view = replace(view, merges=(*view.merges, Merge(whole(event.get("round")), _time(view, event), actions, best)))
    for action in actions:
        view = _say(view, event, "merged", action)
    return view


def _finalizing(view: RunView, event: Event) -> RunView:
    found = event.get("candidates")
    view = replace(view, candidates=tuple(found[:100]) if isinstance(found, list) else ())
    traces = {i: replace(t, activity="done" if t.status == "done" else t.status, since=None) for i, t in view.traces.items()}
    return _say(replace(view, traces=traces), event, "finalizing", words.plural(len(view.candidates), "candidate"))


def _finalized(view: RunView, event: Event) -> RunView:
    view = replace(view, final=event)
    return _say(view, event, "finalized", f"submission {clean(event.get('submission'))}")


def _warned(view: RunView, event: Event) -> RunView:
    text = clean(event.get("message"), 1000)
    return _say(replace(view, warnings=(*view.warnings[-199:], text)), event, "warning", text)


def _ended(view: RunView, event: Event) -> RunView:
    traces = {i: replace(t, activity="", since=None) for i, t in view.traces.items()}
    best = _id(_dict(event.get("best")).get("attempt"))
    view = replace(view, ended=event, traces=traces, best=best if best in view.attempts else view.best)
    text = clean(event.get("message")) or clean(event.get("reason"), 40)
    return _say(view, event, "ended", text)


HANDLERS: dict[str, Callable[[RunView, Event], RunView]] = {
    "run_started": _started,
    "run_resumed": _resumed,
    "profile": _profiled,
    "drafted": _wrote("draft"),
    "updated": _wrote("update"),
    "repaired": _wrote("repair"),
    "diagnosed": _diagnosed,
    "recalled": _recalled,
    "execution_started": _execution_started,
    "execution_progress": _execution_progress,
    "execution_finished": _execution_finished,
    "attempt": _attempted,
    "merged": _merged,
    "finalizing": _finalizing,
    "finalized": _finalized,
    "warning": _warned,
    "run_ended": _ended,
}
