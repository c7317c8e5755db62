"""A run in a few sentences: its headline, what helped most, and what a person needs when it ends."""

from __future__ import annotations

import shlex
from pathlib import Path

from report.formatting import clean, count, duration, gain, money, plural, score
from report.model import Attempt, RunView

ENDINGS = {
    "budget": "The budget is used up.",
    "converged": "No trace expects to gain more.",
    "target": "The target score is reached.",
    "stopped": "Stopped; it can go on where it was.",
    "interrupted": "Interrupted; it can go on where it was.",
    "paused": "Paused: the reasoner cannot work; the run can go on once that is remedied.",
    "error": "Stopped by an error; it can go on once that is remedied.",
}
RESUMABLE = ("stopped", "interrupted", "paused", "error")


def arrow(view: RunView) -> str:
    return "↑" if view.rising else "↓"


def headline(view: RunView) -> str:
    """`run … · task … · auc, higher is better · 4 traces · expert · bubblewrap`."""
    better = "higher is better" if view.rising else "lower is better"
    parts = [
        f"run {view.run}",
        view.task,
        f"{view.metric}, {better}",
        plural(view.n_traces, "trace"),
        view.reasoner,
        view.sandbox,
    ]
    return " · ".join(part for part in parts if part)


def most_helpful(view: RunView) -> Attempt | None:
    """The accepted change with the largest gain over its parent, on the way to the best where there is one; None: nothing improved."""
    gains = [
        a
        for a in view.attempts.values()
        if a.verdict == "accepted" and a.parent and a.kind != "refit" and (a.gain or 0) > 0
    ]
    way = lineage(view)
    return max(
        [a for a in gains if a.id in way] or gains, key=lambda a: a.gain or 0.0, default=None
    )


def lineage(view: RunView) -> set[str]:
    """The best attempt and those that it came from."""
    way: set[str] = set()
    attempt = view.best_attempt
    while attempt is not None and attempt.id not in way:
        way.add(attempt.id)
        attempt = view.attempts.get(attempt.parent or "")
    return way


def helped_most(view: RunView) -> str:
    """One sentence on what helped most."""
    if not view.attempts:
        return "No script has been run yet."
    if view.first is None:
        return "No script has got a valid score yet."
    top = most_helpful(view)
    if top is None:
        return "Nothing has improved on a first draft beyond noise yet."
    text = top.hypothesis.rstrip(".") or top.kind
    return f"What helped most: {text} ({gain(top.gain, top.gain_se)}, trace {top.trace}, step {top.step})."


def first_to_best(view: RunView) -> str:
    """`0.7811 → 0.8123 ± 0.0041  (+0.0312)`."""
    first, best = view.first, view.best_attempt
    if first is None or best is None:
        return "no valid score"
    if first.id == best.id:
        return score(best.score, best.score_se)
    return f"{score(first.score)} → {score(best.score, best.score_se)}  ({gain(view.total_gain)})"


def used(view: RunView) -> str:
    """`12 attempts (5 accepted) in 2:31, 12.3k tokens, $0.12`."""
    text = f"{plural(len(view.attempts), 'attempt')} ({view.n_accepted} accepted) in {duration(view.elapsed())}"
    if view.usage.tokens:
        text += f", {count(view.usage.tokens)} tokens"
    return text + (f", {money(view.usage.usd)}" if view.usage.usd is not None else "")


def summary_rows(view: RunView, run_dir: Path | None) -> list[tuple[str, str]]:
    """What the end of a run says: (label, text) rows, a missing one left out."""
    ended = view.ended or {}
    reason = clean(ended.get("reason"), 20)
    rows = [
        ("score", f"{first_to_best(view)}  {view.metric} {arrow(view)}"),
        ("", helped_most(view)),
        ("used", used(view)),
    ]
    if view.final is not None:
        rows.append(("submission", _path(run_dir, clean(view.final.get("submission"), 1000))))
        rows.append(("solution", _path(run_dir, clean(view.final.get("solution"), 1000))))
    elif run_dir is not None and (run_dir / "best" / "submission.csv").is_file():
        rows.append(("submission", f"{here(run_dir / 'best' / 'submission.csv')} (not final)"))
    if run_dir is not None and (run_dir / "report.html").is_file():
        rows.append(("report", here(run_dir / "report.html")))
    rows.append(("ended", clean(ended.get("message"), 1000) or ENDINGS.get(reason, reason)))
    if reason in RESUMABLE:
        rows.append(("resume", f"gome resume {shlex.quote(view.run)}"))
    return [(label, text) for label, text in rows if text]


def summary_lines(view: RunView, run_dir: Path | None) -> list[str]:
    return [f"{label:<11}{text}" for label, text in summary_rows(view, run_dir)]


def _path(run_dir: Path | None, path: str) -> str:
    return here(run_dir / path) if path and run_dir is not None else path


def here(path: Path) -> str:
    """The path as one would type it: from the current folder where it lies below that."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
