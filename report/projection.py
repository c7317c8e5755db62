"""The pure projection of events into a view: view + event -> new view.

Unknown kinds, missing keys and values of a wrong type are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from report.calls import EVENT as MODEL_CALL
from report.calls import view_call
from report.formatting import (
    as_mapping,
    bounded_list,
    clean_text,
    finite_number,
    format_improvement,
    format_plural,
    format_score,
    name_metric,
    reword_difference,
    whole_number,
)
from report.harness_work import MAX_REHEARSALS, describe_baseline, describe_rehearsal
from report.label_checks import describe_label_check
from report.ledger import apply_to_ledger
from report.model import (
    VERDICTS,
    AttemptView,
    Event,
    Lead,
    LogLine,
    MadeView,
    MergeView,
    ProbeView,
    RunView,
    SideJob,
    TokenUsage,
    TraceView,
)
from report.slot_use import begin_slots, count_slot_use
from report.variants import describe_line, parse_variants

MAX_LINES = 50
MAX_WARNINGS = 200
MAX_MADE, MAX_MADE_CHARS = 3, 40_000
MAX_TRACES = 256
MAX_SIDE_JOBS = 64
MAX_PROBES = 50
MAX_LEADS = 2000
MAX_CALLS = 60  # of one attempt


def apply_event(view: RunView, event: Event) -> RunView:
    """Return the view after one more event; an unknown event only advances the clock."""
    kind = event.get("ev")
    handler = HANDLERS.get(kind) if isinstance(kind, str) else None
    view = _advance_clock(view, event, resumed=kind == "run_resumed")
    view = handler(view, event) if handler else view
    ledger = apply_to_ledger(view.ledger, event)
    return view if ledger is view.ledger else replace(view, ledger=ledger)


def apply_events(events: Iterable[Event], view: RunView | None = None) -> RunView:
    """Apply every event in order, to `view` or to an empty view."""
    view = view or RunView()
    for event in events:
        view = apply_event(view, event)
    return view


def _advance_clock(view: RunView, event: Event, *, resumed: bool) -> RunView:
    """Advance to an event's time; its own `elapsed` leaves out a person's thinking and pauses."""
    t = finite_number(event.get("t"))
    if t is None:
        return view
    elapsed_s = finite_number(event.get("elapsed"))
    if elapsed_s is None:  # events of another writer: sum up wall time within a session
        is_pause = view.last is None or resumed or view.ended is not None
        passed_s = 0.0 if is_pause or view.last is None else max(0.0, t - view.last)
        elapsed_s = view.active_s + passed_s
    return replace(view, last=max(t, view.last or t), active_s=max(view.active_s, elapsed_s))


def _event_time(view: RunView, event: Event) -> float:
    return finite_number(event.get("t")) or view.last or 0.0


def _clean_texts(value: object, limit: int = 400, n: int = 50) -> tuple[str, ...]:
    return tuple(clean_text(item, limit) for item in bounded_list(value, n))


def _clean_id(value: object) -> str | None:
    return clean_text(value, 100) if value is not None and value != "" else None


def parse_usage(value: object) -> TokenUsage:
    """Parse an event's `usage`; a missing or invalid number counts as 0 (`usd`: as unknown)."""
    usage = as_mapping(value)
    return TokenUsage(
        whole_number(usage.get("calls")),
        whole_number(usage.get("input_tokens")),
        whole_number(usage.get("output_tokens")),
        whole_number(usage.get("cached_tokens")),
        finite_number(usage.get("usd")),
    )


def _add_line(
    view: RunView, event: Event, kind: str, text: str, trace: int | None = None
) -> RunView:
    line = LogLine(_event_time(view, event), kind, text, trace)
    return replace(view, lines=(*view.lines[1 - MAX_LINES :], line))


def _add_usage(view: RunView, event: Event, activity: str) -> RunView:
    """Book the event's seconds and tokens on an activity."""
    usage = parse_usage(event.get("usage"))
    seconds = finite_number(event.get("seconds")) or 0.0
    seconds += view.seconds_by_activity.get(activity, 0.0)
    total = view.usage_by_activity.get(activity, TokenUsage()) + usage
    return replace(
        view,
        usage=view.usage + usage,
        seconds_by_activity={**view.seconds_by_activity, activity: seconds},
        usage_by_activity={**view.usage_by_activity, activity: total},
    )


def _change_trace(view: RunView, event: Event, **changes: Any) -> RunView:
    """Change the trace that the event names; a new `activity` restarts its clock."""
    if finite_number(event.get("trace")) is None:
        return view
    id = whole_number(event.get("trace"))
    trace = view.traces.get(id, TraceView(id))
    if "activity" in changes:
        changes = {"since": _event_time(view, event), "limit_s": None, "progress": "", **changes}
    step = max(trace.step, whole_number(event.get("step"), trace.step))
    return replace(view, traces={**view.traces, id: replace(trace, step=step, **changes)})


def _on_run_started(view: RunView, event: Event) -> RunView:
    names = ("run", "task", "metric", "sandbox", "reasoner", "memory")
    named: dict[str, Any] = {name: clean_text(event.get(name), 200) for name in names}
    named["metric"] = name_metric(named["metric"])  # earlier runs hold the path
    n = min(whole_number(event.get("traces")), MAX_TRACES)
    steps = finite_number(event.get("steps"))
    since = _event_time(view, event)
    return replace(
        view,
        **named,
        direction="min" if event.get("direction") == "min" else "max",
        n_traces=n,
        steps=None if steps is None else int(steps),
        slot_use=begin_slots(event),
        time_s=finite_number(event.get("time_s")),
        settings=as_mapping(event.get("settings")),
        traces={i: TraceView(i, activity="starting", since=since) for i in range(n)},
    )


def _on_run_resumed(view: RunView, event: Event) -> RunView:
    view = replace(view, ended=None, n_resumes=view.n_resumes + 1)
    since = _event_time(view, event)
    traces = {
        i: replace(trace, activity="resuming", since=since) for i, trace in view.traces.items()
    }
    view = replace(view, traces=traces)
    return _add_line(view, event, "resumed", "finished work is not repeated")


def _on_profile(view: RunView, event: Event) -> RunView:
    return replace(view, profile={k: v for k, v in event.items() if k not in ("t", "ev")})


def _on_budget(view: RunView, event: Event) -> RunView:
    seconds = as_mapping(event.get("seconds"))
    return replace(view, finalize_reserve_s=finite_number(seconds.get("finalize")))


def _script_handler(activity: str) -> Callable[[RunView, Event], RunView]:
    """Make the handler of an event that brings a new script, which then waits for the sandbox."""

    def handle(view: RunView, event: Event) -> RunView:
        text = clean_text(event.get("summary"))
        hypothesis = as_mapping(event.get("hypothesis"))
        statement = clean_text(hypothesis.get("statement")) or text
        view = _change_trace(
            _add_usage(view, event, activity), event, activity="waiting", hypothesis=statement
        )
        attempt = _clean_id(event.get("attempt"))
        if attempt is None or not hypothesis:  # a repair keeps the hypothesis of its attempt
            return view
        return replace(view, hypotheses={**view.hypotheses, attempt: hypothesis})

    return handle


def _step_key(event: Event) -> tuple[int, int]:
    return whole_number(event.get("trace"), -1), whole_number(event.get("step"), -1)


def _on_diagnosed(view: RunView, event: Event) -> RunView:
    view = replace(view, diagnoses={**view.diagnoses, _step_key(event): event})
    return _change_trace(_add_usage(view, event, "diagnose"), event, activity="recalling")


def _on_model_call(view: RunView, event: Event) -> RunView:
    view = replace(view, n_calls=view.n_calls + 1)
    place, call = _step_key(event), view_call(event, view.n_calls)
    known = view.calls.get(place, ())
    if call.attempt and len(known) < MAX_CALLS:
        return replace(view, calls={**view.calls, place: (*known, call)})
    return view


def _on_recalled(view: RunView, event: Event) -> RunView:
    hints = tuple(hint for hint in bounded_list(event.get("hints"), 20) if isinstance(hint, dict))
    view = replace(view, recalls={**view.recalls, _step_key(event): hints})
    return _change_trace(view, event, activity="updating")


def _on_offered(view: RunView, event: Event) -> RunView:
    """Keep which recipes a prompt offered."""
    cards = tuple(card for card in bounded_list(event.get("recipes"), 5) if isinstance(card, dict))
    return replace(view, offers={**view.offers, _step_key(event): cards})


def _on_execution_started(view: RunView, event: Event) -> RunView:
    limit_s = finite_number(event.get("limit_s"))
    return _change_trace(view, event, activity="executing", limit_s=limit_s)


def _on_execution_progress(view: RunView, event: Event) -> RunView:
    """Show the last line of a running script; the event is live only, never stored."""
    text = clean_text(event.get("text"), 200)
    trace = view.traces.get(whole_number(event.get("trace"), -1))
    if trace is None:
        return _update_side_job(view, event, text)
    if not text or trace.activity != "executing":
        return view
    return _change_trace(view, event, progress=text)


def _update_side_job(view: RunView, event: Event, text: str) -> RunView:
    name, what = clean_text(event.get("name"), 100), clean_text(event.get("what"), 100)
    rest = {other: one for other, one in view.side_jobs.items() if other != name}
    if event.get("over") or not what or len(rest) >= MAX_SIDE_JOBS:
        return replace(view, side_jobs=rest)
    job = view.side_jobs.get(name)
    if job is None:
        job = SideJob(what, _event_time(view, event), finite_number(event.get("limit_s")))
    return replace(view, side_jobs={**rest, name: replace(job, progress=text or job.progress)})


def _on_execution_finished(view: RunView, event: Event) -> RunView:
    view = _add_usage(view, event, "execute")
    script_s = view.script_s + max(0.0, finite_number(event.get("seconds")) or 0.0)
    is_counted = event.get("refit") is not True
    view = replace(view, n_executions=view.n_executions + is_counted, script_s=script_s)
    if id := _clean_id(event.get("attempt")):
        view = replace(view, executions={**view.executions, id: event})
    return _change_trace(view, event, activity="validating")


def parse_attempt(event: Event, order: int) -> AttemptView:
    """Parse an `attempt` event, every field checked and bounded."""
    predicted = as_mapping(event.get("predicted"))
    sign = finite_number(predicted.get("sign"))
    texts: dict[str, Any] = {
        name: clean_text(event.get(name), limit) for name, limit in ATTEMPT_TEXTS.items()
    }
    numbers: dict[str, Any] = {name: finite_number(event.get(name)) for name in ATTEMPT_NUMBERS}
    return AttemptView(
        id=_clean_id(event.get("id")) or f"attempt-{order}",
        order=order,
        t=finite_number(event.get("t")) or 0.0,
        trace=whole_number(event.get("trace"), -1),
        step=whole_number(event.get("step")),
        parent=_clean_id(event.get("parent")),
        repairs=whole_number(event.get("repairs")),
        sign=None if sign is None else int(sign),
        size=clean_text(predicted.get("size"), 20),
        folds=_finite_numbers(event.get("folds")),
        verdict=_read_verdict(event),
        replaces=event.get("replaces") is True,
        measured=event.get("measured") is True,
        reasons=_clean_texts(event.get("reasons"), 1000, 20),
        problems=_problem_texts(event.get("problems")),
        usage=parse_usage(event.get("usage")),
        uses=tuple(filter(None, map(_clean_id, list(as_mapping(event.get("uses")))[:MAX_USES]))),
        variants=parse_variants(event),
        members=tuple(map(_clean_text_id, list(as_mapping(event.get("members")))[:64])),
        run_best=_clean_text_id(event.get("run_best")),
        run_side=_read_side(event),
        **texts,
        **numbers,
    )


def _clean_text_id(value: object) -> str:
    return _clean_id(value) or ""


def _read_side(event: Event) -> int:
    codes = bounded_list(event.get("codes"), 20)
    return ("ahead_of_run" in codes) - ("below_run" in codes)


def _read_verdict(event: Event) -> str:
    """Return one of VERDICTS; whatever was accepted without a comparison is a trace's first."""
    verdict = event.get("verdict")
    if verdict == "accepted" and finite_number(event.get("gain")) is None:
        return "accepted" if event.get("kind") in ("ensemble", "refit") else "first"
    return verdict if isinstance(verdict, str) and verdict in VERDICTS else "failed"


MAX_USES = 60  # attempts that one builds on
# Fields of an attempt that are copied from its event: texts with their greatest lengths, numbers.
ATTEMPT_TEXTS = {
    "kind": 20,
    "mode": 20,
    "why": 300,
    "hypothesis": 2000,
    "component": 20,
    "move": 200,
    "script": 128,
    "evidence": 128,
    "log": 128,
}
ATTEMPT_NUMBERS = (
    "confidence",
    "score",
    "score_se",
    "gain",
    "gain_se",
    "run_gain",
    "seconds",
)


def _finite_numbers(value: object) -> tuple[float, ...]:
    numbers = map(finite_number, bounded_list(value, 100))
    return tuple(number for number in numbers if number is not None)


def _problem_texts(value: object) -> tuple[str, ...]:
    problems = map(as_mapping, bounded_list(value, 20))
    texts = [problem.get("message") or problem.get("code") for problem in problems]
    return tuple(clean_text(text, 1000) for text in texts if text)


def _on_attempt(view: RunView, event: Event) -> RunView:
    attempt = parse_attempt(event, len(view.attempts))
    if attempt.id in view.attempts:  # a step was repeated after a crash: the first record counts
        return view
    view = _correct_best(view, attempt.trace, finite_number(event.get("best_score")))
    view = replace(view, attempts={**view.attempts, attempt.id: attempt})
    if attempt.trace in view.traces or attempt.kind in ("draft", "update", "repair", "crossover"):
        view = _count_attempt(view, event, attempt)
    if attempt.kind != "refit":
        view = _update_best(view, attempt)
    return _add_line(
        view, event, attempt.verdict, describe_attempt(attempt, rising=view.rising), attempt.trace
    )


def _correct_best(view: RunView, trace: int, score: float | None) -> RunView:
    """Give a trace's best its mean score, where it was measured again."""
    known = view.traces.get(trace)
    best = view.attempts.get(known.best or "") if known else None
    if score is None or best is None:
        return view
    return replace(view, attempts={**view.attempts, best.id: replace(best, score=score)})


def _count_attempt(view: RunView, event: Event, attempt: AttemptView) -> RunView:
    trace = view.traces.get(attempt.trace, TraceView(attempt.trace))
    failed = attempt.verdict == "failed"
    return _change_trace(
        view,
        event,
        activity="repairing" if failed else "diagnosing",
        best=attempt.id if attempt.replaces else trace.best,
        n_attempts=trace.n_attempts + 1,
        n_accepted=trace.n_accepted + (attempt.verdict == "accepted"),
    )


def _update_best(view: RunView, attempt: AttemptView) -> RunView:
    """Update the run's best and its curve: the leader of the traces' bests and an ensemble."""
    is_ensemble = attempt.kind == "ensemble" and attempt.can_lead
    if not attempt.can_lead:
        return view
    if attempt.run_side and view.best == attempt.run_best:  # the run's comparator knows more
        score, is_ahead = attempt.score, attempt.run_side > 0
        if not is_ahead or score is None:
            return view
        return _lead_with(replace(view, curve=(*view.curve, score)), attempt.id)
    contenders = [view.attempts.get(trace.best or "") for trace in view.traces.values()]
    former = view.best_attempt
    if is_ensemble:
        contenders.append(attempt)
    if former is not None and former.kind == "ensemble":
        contenders.append(former)
    scores = {one.id: one.score for one in contenders if one is not None and one.score is not None}
    leader = min(scores, key=lambda id: -scores[id] if view.rising else scores[id], default=None)
    if leader is None or leader == view.best:
        return view
    return _lead_with(replace(view, curve=(*view.curve, scores[leader])), leader)


def _lead_with(view: RunView, best: str) -> RunView:
    """Make an attempt the run's best; until the finale the change is a point of the curve."""
    score = view.attempts[best].score
    view = replace(view, best=best)
    if score is None or view.searched or (view.leads and view.leads[-1].score == score):
        return view
    lead = Lead(best, view.n_executions, view.script_s, score)
    return replace(view, leads=(*view.leads[1 - MAX_LEADS :], lead))


def describe_attempt(attempt: AttemptView, *, rising: bool) -> str:
    """Describe an attempt in one line: gain with its noise, what was tried, and the reason."""
    what = attempt.hypothesis or attempt.kind
    if line := describe_line(attempt.variants):
        what = f"{what.rstrip('.')} [{line}]"
    why = (attempt.problems or attempt.reasons or ("",))[0]
    if attempt.verdict == "failed":
        return f"{what.rstrip('.')}: {why}" if why else what
    if attempt.gain is None:
        return f"{format_score(attempt.score, attempt.score_se)}  {what}"
    text = f"{format_improvement(attempt.gain, attempt.gain_se, rising=rising)}  {what}"
    reason = STATED_DIFFERENCE.sub("", why).strip(" :,;")
    reason = reword_difference(reason, rising=rising)
    if attempt.replaces and attempt.verdict == "tie":
        reason += "; replaces the best"
    if attempt.verdict == "accepted" and attempt.is_behind:
        reason = f"in its trace; below the run's best {attempt.run_best}"
    elif attempt.verdict == "accepted" and not reason.startswith("by "):
        return text
    return f"{text} ({reason})" if reason else text


# The part of a reason that verdict and gain state already; what a surrogate says stays.
STATED_DIFFERENCE = re.compile(
    r"^(within noise|worse|better): "
    r"|[+−-]?[\d.e+-]{1,30} ± [\d.e+-]{1,30}(, )?(p\(improved\) [\d.]{1,6}; (?=by ))?"
)


def _on_merged(view: RunView, event: Event) -> RunView:
    best = _best_id(event)
    actions = _clean_texts(event.get("actions"))
    if best and best in view.attempts and best != view.best:
        view = _lead_with(view, best)
    for row in map(as_mapping, bounded_list(event.get("standings"), MAX_TRACES)):
        status = clean_text(row.get("status"), 20) or "running"
        view = _change_trace(view, {**row, "t": event.get("t")}, status=status)
    merge = MergeView(whole_number(event.get("round")), _event_time(view, event), actions)
    slot_use = count_slot_use(view.slot_use, event, view.script_s)
    view = replace(view, merges=(*view.merges, merge), slot_use=slot_use)
    for action in actions:
        view = _add_line(view, event, "merged", action)
    return view


def _best_id(event: Event) -> str | None:
    return _clean_id(as_mapping(event.get("best")).get("attempt"))


def _on_finalizing(view: RunView, event: Event) -> RunView:
    candidates = tuple(bounded_list(event.get("candidates"), 100))
    traces = {
        i: replace(trace, activity=trace.status, since=None) for i, trace in view.traces.items()
    }
    searched = view.searched or (view.n_executions, view.script_s)
    view = replace(view, candidates=candidates, traces=traces, searched=searched)
    return _add_line(view, event, "finalizing", format_plural(len(candidates), "candidate"))


def _on_finalized(view: RunView, event: Event) -> RunView:
    view = replace(view, final=event)
    return _add_line(view, event, "finalized", f"submission {clean_text(event.get('submission'))}")


def _on_checked(view: RunView, event: Event) -> RunView:
    return _add_usage(view, event, "check")


def _on_labels_checked(view: RunView, event: Event) -> RunView:
    """Book the second execution on shuffled labels; it is the harness's, not an attempt's."""
    view = _add_usage(view, event, "check labels")
    id = _clean_id(event.get("attempt"))
    if id is None:
        return view
    view = replace(view, label_checks={**view.label_checks, id: event})
    return _add_line(view, event, "checked", f"{id}: {describe_label_check(event)}")


def _on_appealed(view: RunView, event: Event) -> RunView:
    id = _clean_id(event.get("attempt"))
    if id is None:
        return view
    view = replace(view, appeals={**view.appeals, id: event})
    argument = clean_text(event.get("argument"), 300)
    text = f"{id}: {clean_text(event.get('message'), 400)}"
    return _add_line(view, event, "appealed", f"{text} (argument: {argument})")


def _on_reviewed(view: RunView, event: Event) -> RunView:
    view = _add_usage(view, event, "review")
    reasons = _clean_texts(event.get("reasons"), 300, 6)
    is_sound = event.get("aligned") is not False and event.get("leaks") is not True
    text = "no finding" if is_sound else "; ".join(reasons)
    return _add_line(view, event, "reviewed", f"{clean_text(event.get('attempt'), 100)}: {text}")


def _on_steps_confirmed(view: RunView, event: Event) -> RunView:
    steps = ", ".join(_clean_texts(event.get("steps"), 40, 20))
    attempt = clean_text(event.get("attempt"), 40)
    return _add_line(view, event, "confirmed", f"{steps}: accepted together with {attempt}")


def _on_moved(view: RunView, event: Event) -> RunView:
    trace = whole_number(event.get("trace"))
    why = clean_text(event.get("why"), 200)
    return _add_line(view, event, "moved", f"its line ends here; it {why}", trace)


def _on_unanswered(view: RunView, event: Event) -> RunView:
    trace = finite_number(event.get("trace"))
    view = _add_usage(view, event, "unanswered")
    message = clean_text(event.get("message"))
    return _add_line(view, event, "unanswered", message, None if trace is None else int(trace))


def _on_warning(view: RunView, event: Event) -> RunView:
    text = clean_text(event.get("message"), 1000)
    view = replace(view, warnings=(*view.warnings[1 - MAX_WARNINGS :], text))
    return _add_line(view, event, "warning", text)


def _on_probed(view: RunView, event: Event) -> RunView:
    view = _add_usage(view, event, "probe")
    seconds = finite_number(event.get("script_s"))
    probe = ProbeView(
        attempt=clean_text(event.get("attempt"), 100),
        question=clean_text(event.get("question"), 300),
        end=clean_text(event.get("end"), 20),
        seconds=seconds,
        script=clean_text(event.get("script"), 128),
        output=clean_text(event.get("output"), 128),
    )
    view = replace(view, probes=(*view.probes[-MAX_PROBES:], probe))
    return _add_line(view, event, "probe", f"looked at the data: {probe.question}")


def _on_file_made(view: RunView, event: Event) -> RunView:
    name = clean_text(event.get("name"), 40)
    summary = clean_text(event.get("summary"), 200)
    script = str(event.get("script", ""))[:MAX_MADE_CHARS]
    view = replace(view, made=(*view.made[-MAX_MADE:], MadeView(name, summary, script)))
    return _add_line(view, event, "made", f"{name}, written by the model: {summary}")


def _on_sandbox(view: RunView, event: Event) -> RunView:
    text = clean_text(event.get("notice"), 1000).removeprefix("Sandbox: ")
    return _add_line(view, event, "sandbox", text) if text else view


def _on_embedding(view: RunView, event: Event) -> RunView:
    name, note = clean_text(event.get("name"), 100), clean_text(event.get("note"), 400)
    view = replace(view, embedding=f"{name} ({note})" if note else name)
    return _add_line(view, event, "memory", f"compares texts by {view.embedding}")


def _on_baseline(view: RunView, event: Event) -> RunView:
    view = replace(view, baseline=event)
    return _add_line(view, event, "baseline", describe_baseline(event, view.metric))


def _on_rehearsed(view: RunView, event: Event) -> RunView:
    view = _add_usage(view, event, "rehearse")
    view = replace(view, rehearsals=(*view.rehearsals[1 - MAX_REHEARSALS :], event))
    trace = whole_number(event.get("trace"), -1)
    return _add_line(view, event, "rehearsed", describe_rehearsal(event), trace)


def _on_run_ended(view: RunView, event: Event) -> RunView:
    traces = {i: replace(trace, activity="", since=None) for i, trace in view.traces.items()}
    best = _best_id(event)
    if best not in view.attempts:
        best = view.best
    view = replace(view, ended=event, traces=traces, side_jobs={}, best=best)
    text = clean_text(event.get("message")) or clean_text(event.get("reason"), 40)
    return _add_line(view, event, "ended", text)


HANDLERS: dict[str, Callable[[RunView, Event], RunView]] = {
    "run_started": _on_run_started,
    "run_resumed": _on_run_resumed,
    "profile": _on_profile,
    "budget": _on_budget,
    "baseline": _on_baseline,
    "rehearsed": _on_rehearsed,
    "sandbox": _on_sandbox,
    "embedding": _on_embedding,
    "drafted": _script_handler("draft"),
    "updated": _script_handler("update"),
    "repaired": _script_handler("repair"),
    "diagnosed": _on_diagnosed,
    "recalled": _on_recalled,
    "offered": _on_offered,
    MODEL_CALL: _on_model_call,
    "execution_started": _on_execution_started,
    "execution_progress": _on_execution_progress,
    "execution_finished": _on_execution_finished,
    "attempt": _on_attempt,
    "steps_confirmed": _on_steps_confirmed,
    "moved": _on_moved,
    "merged": _on_merged,
    "finalizing": _on_finalizing,
    "finalized": _on_finalized,
    "checked": _on_checked,
    "labels_checked": _on_labels_checked,
    "appealed": _on_appealed,
    "reviewed": _on_reviewed,
    "unanswered": _on_unanswered,
    "probed": _on_probed,
    "file_made": _on_file_made,
    "warning": _on_warning,
    "run_ended": _on_run_ended,
}
