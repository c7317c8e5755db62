"""The pure fold of events into a view: view + event -> new view.  Unknown kinds, missing keys and values of a wrong type are skipped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from report import formatting as words
from report.formatting import clean, number, whole
from report.model import VERDICTS, Also, Attempt, Event, Line, Merge, RunView, Trace, Usage


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


def _tick(view: RunView, event: Event, *, resumed: bool) -> RunView:
    t = number(event.get("t"))
    if t is None:
        return view
    step = (
        0.0 if view.last is None or resumed or view.ended is not None else max(0.0, t - view.last)
    )
    return replace(
        view, started=view.started or t, last=max(t, view.last or t), active_s=view.active_s + step
    )


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
    return Usage(
        whole(got.get("calls")),
        whole(got.get("input_tokens")),
        whole(got.get("output_tokens")),
        number(got.get("usd")),
    )


def _say(view: RunView, event: Event, kind: str, text: str, trace: int | None = None) -> RunView:
    return replace(view, lines=(*view.lines[-49:], Line(_time(view, event), kind, text, trace)))


def _spend(view: RunView, event: Event, activity: str) -> RunView:
    cost = usage(event.get("usage"))
    seconds = {
        **view.seconds,
        activity: view.seconds.get(activity, 0.0) + (number(event.get("seconds")) or 0.0),
    }
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
    traces = {
        i: replace(t, activity="resuming", since=_time(view, event)) for i, t in view.traces.items()
    }
    return _say(replace(view, traces=traces), event, "resumed", "goes on where it stood")


def _profiled(view: RunView, event: Event) -> RunView:
    return replace(view, profile={k: v for k, v in event.items() if k not in ("t", "ev")})


def _planned(view: RunView, event: Event) -> RunView:
    return replace(view, kept_s=number(_dict(event.get("seconds")).get("finalize")))


def _wrote(activity: str) -> Callable[[RunView, Event], RunView]:
    """drafted, updated and repaired: a script was written and waits for the sandbox."""

    def handle(view: RunView, event: Event) -> RunView:
        text = clean(event.get("summary"))
        hypothesis = _dict(event.get("hypothesis"))
        statement = clean(hypothesis.get("statement")) or text
        view = _trace(
            _spend(view, event, activity), event, activity="waiting", hypothesis=statement
        )
        attempt = _id(event.get("attempt"))
        if attempt is None:
            return view
        chosen = {**view.hypotheses, attempt: hypothesis} if hypothesis else view.hypotheses
        return replace(view, summaries={**view.summaries, attempt: text}, hypotheses=chosen)

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
    """The last line of a script that runs; told live and never kept."""
    text, trace = clean(event.get("text"), 200), view.traces.get(whole(event.get("trace"), -1))
    if trace is not None:
        return (
            _trace(view, event, progress=text) if text and trace.activity == "executing" else view
        )
    return _also(view, event, text)


def _also(view: RunView, event: Event, text: str) -> RunView:
    name, what = clean(event.get("name"), 100), clean(event.get("what"), 100)
    rest = {other: one for other, one in view.also.items() if other != name}
    if event.get("over") or not what or len(rest) >= 64:
        return replace(view, also=rest)
    known = view.also.get(name) or Also(what, _time(view, event), number(event.get("limit_s")))
    return replace(view, also={**rest, name: replace(known, progress=text or known.progress)})


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
    said = (
        [_dict(p).get("message") or _dict(p).get("code") for p in problems[:20]]
        if isinstance(problems, list)
        else []
    )
    sign = number(predicted.get("sign"))
    refs: dict[str, Any] = {
        name: clean(event.get(name), 128) for name in ("script", "evidence", "log")
    }
    numbers: dict[str, Any] = {
        name: number(event.get(name))
        for name in ("confidence", "score", "score_se", "gain", "gain_se", "seconds")
    }
    return Attempt(
        id=_id(event.get("id")) or f"attempt-{order}", order=order, t=number(event.get("t")) or 0.0,
        trace=whole(event.get("trace"), -1), step=whole(event.get("step")), parent=_id(event.get("parent")),
        kind=clean(event.get("kind"), 20), mode=clean(event.get("mode"), 20), why=clean(event.get("why"), 300),
        repairs=whole(event.get("repairs")), hypothesis=clean(event.get("hypothesis"), 2000), component=clean(event.get("component"), 20),
        move=clean(event.get("move"), 200), sign=None if sign is None else int(sign), size=clean(predicted.get("size"), 20),
        folds=tuple(v for f in folds[:100] if (v := number(f)) is not None) if isinstance(folds, list) else (),
        verdict=verdict if isinstance(verdict, str) and verdict in VERDICTS else "failed",
        replaces=event.get("replaces") is True, measured=event.get("measured") is True,
        reasons=_texts(event.get("reasons"), 1000, 20), problems=tuple(clean(p, 1000) for p in said if p),
        usage=usage(event.get("usage")), **refs, **numbers,
    )  # fmt: skip


def _attempted(view: RunView, event: Event) -> RunView:
    attempt = attempt_of(event, len(view.attempts))
    if (
        attempt.id in view.attempts
    ):  # a step that was repeated after a crash: the first record stands
        return view
    view = replace(view, attempts={**view.attempts, attempt.id: attempt})
    if attempt.trace in view.traces or attempt.kind in ("draft", "update", "repair", "crossover"):
        view = _count(view, event, attempt)
    if attempt.kind != "refit":
        view = _lead(view, attempt)
    return _say(view, event, attempt.verdict, told(attempt), attempt.trace)


def _count(view: RunView, event: Event, attempt: Attempt) -> RunView:
    trace = view.traces.get(attempt.trace, Trace(attempt.trace))
    accepted, failed = attempt.verdict == "accepted", attempt.verdict == "failed"
    return _trace(
        view, event, activity="repairing" if failed else "diagnosing", best=attempt.id if attempt.replaces else trace.best,
        n_attempts=trace.n_attempts + 1, n_accepted=trace.n_accepted + accepted, n_failed=trace.n_failed + failed,
    )  # fmt: skip


def _lead(view: RunView, attempt: Attempt) -> RunView:
    """The run's best and its curve: the leader of the traces' bests and of an ensemble that was accepted."""
    blended = attempt.kind == "ensemble" and attempt.verdict == "accepted"
    if not (attempt.replaces or blended):
        return view
    held = [view.attempts.get(trace.best or "") for trace in view.traces.values()]
    old = view.best_attempt
    held += [attempt] if blended else [old] if old is not None and old.kind == "ensemble" else []
    scores = {one.id: one.score for one in held if one is not None and one.score is not None}
    leader = min(scores, key=lambda id: -scores[id] if view.rising else scores[id], default=None)
    if leader is None or leader == view.best:
        return view
    return replace(view, best=leader, curve=(*view.curve, scores[leader]))


def told(attempt: Attempt) -> str:
    """One attempt in a line: its gain in units with its noise, what was tried, and why it ended so."""
    what = attempt.hypothesis or attempt.kind
    why = (attempt.problems or attempt.reasons or ("",))[0]
    if attempt.verdict == "failed":
        return f"{what}: {why}" if why else what
    if attempt.gain is None:
        return f"{words.score(attempt.score, attempt.score_se)}  {what}"
    rest = DIFFERENCE.sub("", why).strip(" :,") + (
        "; it takes the best's place" if attempt.replaces and attempt.verdict == "tie" else ""
    )
    return f"{words.gain(attempt.gain, attempt.gain_se)}  {what}" + (
        f" ({rest})" if rest and attempt.verdict != "accepted" else ""
    )


DIFFERENCE = re.compile(
    r"^(within noise|worse|better): |[+−-]?[\d.e+-]+ ± [\d.e+-]+(, )?"
)  # what verdict and gain say already


def _merged(view: RunView, event: Event) -> RunView:
    best, actions = _id(_dict(event.get("best")).get("attempt")), _texts(event.get("actions"))
    if best and best in view.attempts:
        view = replace(view, best=best)
    standings = event.get("standings")
    for row in standings[:256] if isinstance(standings, list) else ():
        if isinstance(row, dict) and number(row.get("trace")) is not None:
            view = _trace(
                view, {**row, "t": event.get("t")}, status=clean(row.get("status"), 20) or "running"
            )
    view = replace(
        view,
        merges=(*view.merges, Merge(whole(event.get("round")), _time(view, event), actions, best)),
    )
    for action in actions:
        view = _say(view, event, "merged", action)
    return view


def _finalizing(view: RunView, event: Event) -> RunView:
    found = event.get("candidates")
    view = replace(view, candidates=tuple(found[:100]) if isinstance(found, list) else ())
    traces = {
        i: replace(t, activity="done" if t.status == "done" else t.status, since=None)
        for i, t in view.traces.items()
    }
    return _say(
        replace(view, traces=traces),
        event,
        "finalizing",
        words.plural(len(view.candidates), "candidate"),
    )


def _finalized(view: RunView, event: Event) -> RunView:
    view = replace(view, final=event)
    return _say(view, event, "finalized", f"submission {clean(event.get('submission'))}")


def _checked(view: RunView, event: Event) -> RunView:
    return _spend(view, event, "check")


def _unanswered(view: RunView, event: Event) -> RunView:
    trace = whole(event.get("trace")) if number(event.get("trace")) is not None else None
    return _say(
        _spend(view, event, "unanswered"), event, "unanswered", clean(event.get("message")), trace
    )


def _warned(view: RunView, event: Event) -> RunView:
    text = clean(event.get("message"), 1000)
    return _say(replace(view, warnings=(*view.warnings[-199:], text)), event, "warning", text)


def _isolated(view: RunView, event: Event) -> RunView:
    text = clean(event.get("notice"), 1000).removeprefix("Sandbox: ")
    view = replace(view, isolation={k: v for k, v in event.items() if k not in ("t", "ev")})
    return _say(view, event, "sandbox", text) if text else view


def _ended(view: RunView, event: Event) -> RunView:
    traces = {i: replace(t, activity="", since=None) for i, t in view.traces.items()}
    best = _id(_dict(event.get("best")).get("attempt"))
    view = replace(
        view, ended=event, traces=traces, also={}, best=best if best in view.attempts else view.best
    )
    text = clean(event.get("message")) or clean(event.get("reason"), 40)
    return _say(view, event, "ended", text)


HANDLERS: dict[str, Callable[[RunView, Event], RunView]] = {
    "run_started": _started,
    "run_resumed": _resumed,
    "profile": _profiled,
    "budget": _planned,
    "sandbox": _isolated,
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
    "checked": _checked,
    "unanswered": _unanswered,
    "warning": _warned,
    "run_ended": _ended,
}
