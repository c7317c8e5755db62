"""How the best attempt came about: first and best score, the changes between them, their diff."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from report.artifact_texts import read_artifact
from report.detail import diff_scripts
from report.formatting import clean_text, format_improvement, format_score
from report.model import AttemptView, RunView

MAX_CHANGES = 60
MAX_SCRIPT_CHARS = 64_000
MAX_DIFF_CHARS = 40_000


@dataclass(frozen=True)
class ChangeRow:
    """A change on the way from the first draft to the best attempt."""

    id: str
    text: str
    verdict: str
    score: str
    gain: str


@dataclass(frozen=True)
class BestStory:
    """Best against first: `base` is the draft that the best descends from."""

    first: str
    first_score: str
    best: str
    best_score: str
    gain: str
    base: str
    changes: list[ChangeRow]
    n_hidden: int


def tell_story(view: RunView) -> BestStory | None:
    """Return how the best came about; None while the first draft is the best."""
    first, best = view.first, view.best_attempt
    if first is None or best is None or first.id == best.id:
        return None
    path = trace_back(view)
    return BestStory(
        first=first.id,
        first_score=format_score(first.score, first.score_se),
        best=best.id,
        best_score=format_score(best.score, best.score_se),
        gain=format_improvement(view.total_gain, rising=view.rising),
        base=path[0].id,
        changes=[change_row(view, attempt) for attempt in path[1:][-MAX_CHANGES:]],
        n_hidden=max(0, len(path) - 1 - MAX_CHANGES),
    )


def trace_back(view: RunView) -> list[AttemptView]:
    """Return the best attempt and its ancestors, the oldest first."""
    path: list[AttemptView] = []
    attempt = view.best_attempt
    while attempt is not None and attempt not in path:
        path.append(attempt)
        attempt = view.attempts.get(attempt.parent or "")
    return path[::-1]


def change_row(view: RunView, attempt: AttemptView) -> ChangeRow:
    """Format a change."""
    return ChangeRow(
        id=attempt.id,
        text=clean_text(attempt.words, 240),
        verdict=attempt.verdict,
        score=format_score(attempt.score),
        gain=format_improvement(attempt.gain, attempt.gain_se, rising=view.rising),
    )


def diff_best(view: RunView, run_dir: Path) -> str:
    """Return the diff of the best script against the draft that it descends from.

    A best without a parent (a blend, a later draft) is compared with the first draft.
    """
    path, first = trace_back(view), view.first
    if not path or first is None:
        return ""
    base = path[0] if len(path) > 1 else first
    old, new = (
        clean_text(
            read_artifact(run_dir, one.script, MAX_SCRIPT_CHARS), MAX_SCRIPT_CHARS, lines=True
        )
        for one in (base, path[-1])
    )
    return diff_scripts(old, new, MAX_DIFF_CHARS)
