"""What the overview says of a run, and of one in progress: JSON for the page's script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from report.compare_runs import (
    ComparedRun,
    comparison_notes,
    result_rows,
    scripts_diff,
    setting_rows,
)
from report.formatting import (
    clean_text,
    format_duration,
    format_improvement,
    format_usd,
)
from report.harness_work import best_text
from report.model import RunView
from report.page import activity_rows, budget_bars
from report.summary import describe_best_change, direction_arrow, format_score_change, state_word

MAX_CURVE = 80
MAX_LINES = 14


class RunRow(TypedDict):
    """A run in the list; `last` in Unix seconds, `curve` the best score so far, in order."""

    name: str
    task: str
    state: str
    metric: str
    rising: bool
    best: str
    gain: str
    attempts: int
    accepted: int
    time: str
    money: str
    last: float | None
    curve: list[float]


class LogRow(TypedDict):
    """A line of the log."""

    kind: str
    trace: int | None
    text: str


class LiveRun(TypedDict):
    """A run as it is followed."""

    run: RunRow
    change: str
    helped: str
    now: list[dict[str, object]]
    budgets: list[dict[str, object]]
    lines: list[LogRow]


class Comparison(TypedDict):
    """Runs side by side: labelled rows of cells, notes, and the diff of the first two."""

    runs: list[RunRow]
    facts: list[tuple[str, list[str]]]
    settings: list[tuple[str, list[str]]]
    notes: list[str]
    diff: str


def describe_run(folder: Path, view: RunView, state: str, now: float) -> RunRow:
    """Return a run's row; `state` of `run_state`."""
    return {
        "name": folder.name,
        "task": view.task or folder.name,
        "state": state_word(view, state),
        "metric": f"{view.metric} {direction_arrow(view)}" if view.metric else "",
        "rising": view.rising,
        "best": best_text(view),
        "gain": format_improvement(view.total_gain, rising=view.rising),
        "attempts": len(view.attempts),
        "accepted": view.n_accepted,
        "time": format_duration(view.elapsed(now if state == "running" else None)),
        "money": format_usd(view.usage.usd),
        "last": view.last,
        "curve": list(view.curve[-MAX_CURVE:]),
    }


def describe_live_run(run: ComparedRun, now: float) -> LiveRun:
    """Return what is shown of a run that is followed."""
    view = run.view
    return {
        "run": describe_run(run.folder, view, run.state, now),
        "change": format_score_change(view),
        "helped": describe_best_change(view),
        "now": [vars(row) for row in activity_rows(view, now)] if run.state == "running" else [],
        "budgets": [vars(bar) for bar in budget_bars(view, now)],
        "lines": [
            {"kind": line.kind, "trace": line.trace, "text": clean_text(line.text, 300)}
            for line in view.lines[-MAX_LINES:]
        ],
    }


def compare_rows(runs: Sequence[ComparedRun], now: float) -> Comparison:
    """Return the comparison of two or more runs."""
    return {
        "runs": [describe_run(run.folder, run.view, run.state, now) for run in runs],
        "facts": [row for row in result_rows(runs) if row[0] != "curve"],
        "settings": setting_rows(runs),
        "notes": comparison_notes(runs),
        "diff": scripts_diff(runs),
    }
