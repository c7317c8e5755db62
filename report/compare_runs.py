"""Runs side by side: scores, cost, settings that differ, curves and the best scripts' diff."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from report.artifact_texts import read_artifact
from report.formatting import (
    clean_text,
    draw_sparkline,
    format_count,
    format_duration,
    format_improvement,
    format_usd,
)
from report.harness_work import best_text
from report.model import RunView
from report.score_curve import compare_areas
from report.summary import most_helpful_attempt, state_word

MAX_DIFF_LINES = 200
OWN_SETTINGS = frozenset({"runs_dir"})  # differ without a meaning for the comparison


class ComparedRun(NamedTuple):
    """A run and its state (see `run_state`)."""

    folder: Path
    view: RunView
    state: str


def comparison_page(runs: Sequence[ComparedRun]) -> RenderableType:
    """Everything `gome compare` prints, one run a column; the diff is of the first two."""
    parts: list[RenderableType] = [comparison_table(runs)]
    if notes := comparison_notes(runs):
        parts += [Text(), *(Text(f"! {note}", "yellow") for note in notes)]
    if diff := scripts_diff(runs):
        parts += [
            Text(),
            Text(f"best script of {runs[1].folder.name} against {runs[0].folder.name}", "bold"),
            Syntax(diff, "diff", background_color="default", word_wrap=True),
        ]
    return Group(*parts)


def comparison_table(runs: Sequence[ComparedRun]) -> Table:
    """Table of facts by run; settings only where they differ."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("", style="bright_black", no_wrap=True)
    for run in runs:
        table.add_column(clean_text(run.folder.name, 60), overflow="fold", ratio=1)
    for label, cells in (*result_rows(runs), *setting_rows(runs)):
        table.add_row(label, *(Text(cell) for cell in cells))
    return table


def result_rows(runs: Sequence[ComparedRun]) -> list[tuple[str, list[str]]]:
    """Rows of (label, one cell per run) on results and costs."""
    rows: list[tuple[str, list[str]]] = []
    for label, describe in (
        ("task", lambda view: clean_text(view.task, 60)),
        ("metric", lambda view: f"{view.metric}, {'higher' if view.rising else 'lower'} is better"),
        ("best", best_text),
        ("gain", lambda view: format_improvement(view.total_gain, rising=view.rising)),
        ("curve", curve_text),
        ("helped most", helpful_text),
        ("accepted", lambda view: f"{view.n_accepted} of {len(view.attempts)} attempts"),
        ("time", lambda view: format_duration(view.elapsed())),
        ("tokens", lambda view: format_count(view.usage.tokens) if view.usage.tokens else "none"),
        ("money", lambda view: format_usd(view.usage.usd)),
        ("reasoner", lambda view: clean_text(view.reasoner, 60)),
    ):
        rows.append((label, [describe(run.view) for run in runs]))
    place = next(i for i, (label, _) in enumerate(rows) if label == "curve") + 1
    rows.insert(place, ("area", area_cells([run.view for run in runs])))
    rows.insert(0, ("state", [state_word(run.view, run.state) for run in runs]))
    return rows


def curve_text(view: RunView) -> str:
    """The best score so far, attempt by attempt."""
    return draw_sparkline(view.curve, rising=view.rising) or "–"


def area_cells(views: Sequence[RunView]) -> list[str]:
    """The area under each curve, by executions and by script seconds, on one scale.

    0 is the lowest zero of the runs (see `report.score_curve`), 1 the best gain of all; every curve
    reaches as far as the longest.
    """
    if len({(view.task, view.metric, view.direction) for view in views}) > 1:
        return ["–"] * len(views)  # no common scale
    texts = []
    for areas in compare_areas(views):
        texts.append(f"{areas[0]:.2f} by executions, {areas[1]:.2f} by time" if areas else "–")
    return texts


def helpful_text(view: RunView) -> str:
    """The change that helped most."""
    top = most_helpful_attempt(view)
    if top is None:
        return "–"
    gain = format_improvement(top.gain, rising=view.rising)
    return f"{clean_text(top.hypothesis or top.kind, 80)} ({gain})"


def setting_rows(runs: Sequence[ComparedRun]) -> list[tuple[str, list[str]]]:
    """Rows of the settings in which the runs differ."""
    names = sorted({name for run in runs for name in run.view.settings} - OWN_SETTINGS)
    rows = []
    for name in names:
        cells = [clean_text(str(run.view.settings.get(name, "–")), 60) for run in runs]
        if len(set(cells)) > 1:
            rows.append((clean_text(name, 30), cells))
    return rows


def comparison_notes(runs: Sequence[ComparedRun]) -> list[str]:
    """Say what keeps the scores from being compared."""
    views = [run.view for run in runs]
    notes = []
    if len({(view.metric, view.direction) for view in views}) > 1:
        notes.append("the metrics differ: the scores cannot be compared")
    if len({view.task for view in views}) > 1:
        notes.append("the tasks differ: the scores cannot be compared")
    folds = {(view.settings.get("seed"), view.settings.get("n_folds")) for view in views}
    if len(folds) > 1:
        notes.append("the folds differ (seed or n_folds): small differences of scores mean nothing")
    return notes


def scripts_diff(runs: Sequence[ComparedRun]) -> str:
    """Unified diff between the best scripts of the first two runs; empty where they are equal."""
    scripts = []
    for run in runs[:2]:
        best = run.view.best_attempt
        if best is None:
            return ""
        scripts.append(read_artifact(run.folder, best.script).splitlines())
    old, new = scripts
    names = [run.folder.name for run in runs[:2]]
    lines = list(difflib.unified_diff(old, new, names[0], names[1], lineterm=""))
    cut = [f"… {len(lines) - MAX_DIFF_LINES} more lines"] if len(lines) > MAX_DIFF_LINES else []
    return clean_text("\n".join(lines[:MAX_DIFF_LINES] + cut), 200_000, lines=True)
