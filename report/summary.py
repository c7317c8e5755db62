"""Summary of a run: headline, most helpful change, and what a person needs when it ends."""

from __future__ import annotations

import shlex
from pathlib import Path

from report.formatting import (
    clean_text,
    format_count,
    format_duration,
    format_improvement,
    format_plural,
    format_score,
    format_usd,
)
from report.harness_work import (
    describe_average,
    describe_baseline,
    rehearsal_sentence,
    unbeaten_sentence,
)
from report.model import AttemptView, RunView
from report.score_curve import describe_curve
from report.slot_use import describe_slot_use

ENDINGS = {
    "budget": "The budget is used up.",
    "converged": "No trace expects further gains.",
    "target": "The target score was reached.",
    "stopped": "Stopped; the run can be resumed.",
    "interrupted": "Interrupted; the run can be resumed.",
    "paused": "Paused: the reasoner is unavailable. Resume once it works again.",
    "waiting": "Waiting for an answer; the run can be resumed.",
    "error": "No script gave a valid result.",
}
RESUMABLE = ("stopped", "interrupted", "paused", "waiting")  # a run that ended has no work left
STATE_WORDS = {
    "running": "running",
    "waiting": "waiting",
    "paused": "paused",
    "interrupted": "interrupted",
    "stopped": "interrupted",
    "lost": "interrupted",
}


def direction_arrow(view: RunView) -> str:
    """Arrow in the direction of better scores."""
    return "↑" if view.rising else "↓"


def state_word(view: RunView, state: str) -> str:
    """Return running, waiting, paused, interrupted, finished or failed (see `run_state`).

    A run that ended by itself is finished if it handed something over: an attempt or the baseline.
    """
    return STATE_WORDS.get(state) or (
        "finished" if view.best_attempt or view.baseline is not None else "failed"
    )


def run_headline(view: RunView) -> str:
    """Headline: `run … · task · auc, higher is better · 4 traces · expert · bubblewrap`."""
    better = "higher is better" if view.rising else "lower is better"
    parts = [
        f"run {view.run}",
        view.task,
        f"{view.metric}, {better}",
        format_plural(view.n_traces, "trace"),
        view.reasoner,
        view.sandbox,
    ]
    return " · ".join(part for part in parts if part)


def most_helpful_attempt(view: RunView) -> AttemptView | None:
    """Find the accepted change with the largest gain on the way to the run's best; None without.

    A gain over a trace's own best that never came into the run's best helped nothing.
    """
    way = best_lineage(view)
    changes = [a for a in view.attempts.values() if a.id in way and _is_gainful_change(a)]
    return max(changes, key=lambda a: a.gain or 0.0, default=None)


def _is_gainful_change(attempt: AttemptView) -> bool:
    is_change = attempt.parent is not None and attempt.kind != "refit"
    return is_change and attempt.verdict == "accepted" and (attempt.gain or 0) > 0


def best_lineage(view: RunView) -> set[str]:
    """Ids of the best attempt and its ancestors; of a blend, those of its members too."""
    lineage: set[str] = set()
    waiting = [view.best or ""]
    while waiting:
        attempt = view.attempts.get(waiting.pop())
        if attempt is not None and attempt.id not in lineage:
            lineage.add(attempt.id)
            waiting += attempt.members or [attempt.parent or ""]
    return lineage


def describe_best_change(view: RunView) -> str:
    """Say in one sentence which change helped most."""
    if not view.attempts:
        return "No script has run yet."
    if view.first is None:
        return "No attempt has a valid score yet."
    top = most_helpful_attempt(view)
    if top is None:
        return describe_quiet_gain(view)
    text = top.hypothesis.rstrip(".") or top.kind
    gain = format_improvement(top.gain, top.gain_se, rising=view.rising)
    return f"What helped most: {text} ({gain} in trace {top.trace}, step {top.step})."


def describe_quiet_gain(view: RunView) -> str:
    """Say where the best comes from if no accepted change led to it."""
    best, first = view.best_attempt, view.first
    if best is None or first is None or best.id == first.id or not view.total_gain:
        yet = "beat" if view.ended is not None else "has beaten"
        end = "" if view.ended is not None else " yet"
        return f"No attempt {yet} the first draft by more than noise{end}."
    way = best_lineage(view)
    steps = [attempt for attempt in view.attempts.values() if attempt.id in way and attempt.is_step]
    if best.kind == "ensemble":
        return f"The best is a {best.hypothesis.rstrip('.')}; no change by itself was accepted."
    if not steps:
        return f"The best is a draft of its own ({best.id}); no change of it was accepted."
    top = max(steps, key=lambda step: step.gain or 0.0)
    largest = format_improvement(top.gain, top.gain_se, rising=view.rising)
    count = format_plural(len(steps), "step")
    text = top.hypothesis.rstrip(".") or top.kind
    return (
        f"No change by itself was accepted; {count} within noise, likely better or cheaper, "
        f"led to the best, the largest: {text} ({largest})."
    )


def format_score_change(view: RunView) -> str:
    """Format first and best score: `0.7811 → 0.8123 ± 0.0041  (+0.0312)`."""
    first, best = view.first, view.best_attempt
    if first is None or best is None:
        return "no valid score"
    last = format_score(best.score, best.score_se)
    if first.id == best.id:
        return last
    gain = format_improvement(view.total_gain, rising=view.rising)
    return f"{format_score(first.score)} → {last}  ({gain})"


def describe_usage(view: RunView) -> str:
    """Say what the run used: `12 attempts (5 accepted) in 2:31, 12.3k tokens, $0.12`."""
    stepped = f", {format_plural(view.n_steps, 'tie')} stepped on" if view.n_steps else ""
    counts = f"{view.n_accepted} accepted{stepped}"
    attempts = f"{format_plural(len(view.attempts), 'attempt')} ({counts})"
    parts = [f"{attempts} in {format_duration(view.elapsed())}"]
    if view.usage.tokens:
        cached = view.usage.cached_tokens
        note = f" ({format_count(cached)} of them from a cache)" if cached else ""
        parts.append(f"{format_count(view.usage.tokens)} tokens{note}")
    if view.usage.usd is not None:
        parts.append(format_usd(view.usage.usd))
    return ", ".join(parts)


def summary_rows(view: RunView, run_dir: Path | None) -> list[tuple[str, str]]:
    """Rows of (label, text) that are shown when a run ends; empty ones are left out."""
    ended = view.ended or {}
    reason = clean_text(ended.get("reason"), 20)
    rows = [
        ("score", f"{format_score_change(view)}  {view.metric} {direction_arrow(view)}"),
        ("", describe_best_change(view)),
        ("baseline", describe_baseline(view.baseline, view.metric)),
        ("", unbeaten_sentence(view)),
        ("used", describe_usage(view)),
        ("rehearsed", rehearsal_sentence(view)),
        ("average", describe_curve(view)),
        ("seeds", describe_average(view)),
        ("slots", describe_slot_use(view)),
    ]
    if view.final is not None:
        rows.append(("submission", _handed_path(view, run_dir, "submission", "submission.csv")))
        rows.append(("solution", _handed_path(view, run_dir, "solution", "solution.py")))
    elif run_dir is not None and (run_dir / "best" / "submission.csv").is_file():
        status = "not final" if view.best_attempt else "the baseline"
        path = relative_path(run_dir / "best" / "submission.csv")
        rows.append(("submission", f"{path} ({status})"))
    if run_dir is not None and (run_dir / "report.html").is_file():
        rows.append(("report", relative_path(run_dir / "report.html")))
    rows.append(("ended", clean_text(ended.get("message"), 1000) or ENDINGS.get(reason, reason)))
    if reason in RESUMABLE:
        name = run_dir.name if run_dir is not None else view.run  # an import may be named anew
        rows.append(("resume", f"gome resume {shlex.quote(name)}"))
    return [(label, text) for label, text in rows if text]


def summary_lines(view: RunView, run_dir: Path | None) -> list[str]:
    """Rows of the summary as lines of plain text."""
    return [f"{label:<11}{text}" for label, text in summary_rows(view, run_dir)]


def _handed_path(view: RunView, run_dir: Path | None, name: str, file: str) -> str:
    """Return the path of a file that was handed over; empty where it is not there.

    It is that of the folder which is shown: the event has that of the folder which it began in.
    """
    if run_dir is None:
        return clean_text((view.final or {}).get(name), 1000)
    path = run_dir / "best" / file
    return relative_path(path) if path.is_file() else ""


def relative_path(path: Path) -> str:
    """Return the path relative to the current folder where it lies below it, else as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
