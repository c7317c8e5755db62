"""Rich renderables of `gome ls` and `gome show`; importing this module imports Rich."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from report.artifacts import read_artifact
from report.calibration import calibrate
from report.costs import costs_table
from report.events import state
from report.formatting import ago, clean, count, duration, gain, score
from report.live import COLOURS, MARKS, summary_panel
from report.model import Attempt, RunView
from report.summary import headline, helped_most

MAX_DIFF_LINES = 400


def runs_table(
    runs: Iterable[tuple[Path, RunView]], now: float, alive: dict[str, bool] | None = None
) -> RenderableType:
    """Runs (their names hold the task) with state, best score and age, in the given order; a narrow terminal folds the names.

    `alive`: run folder's name -> whether its process lives.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for name in ("run", "state", "best", "gain", "tries", "age"):
        table.add_column(
            name,
            justify="right" if name in ("tries", "gain") else "left",
            no_wrap=name != "run",
            overflow="fold",
        )
    for folder, view in runs:
        best = view.best_attempt
        where = state(view, now, (alive or {}).get(folder.name))
        shown = f"{score(best.score, best.score_se)} {view.metric}" if best else "–"
        colour = {"running": "cyan", "error": "red", "lost": "yellow"}.get(where, "")
        age = ago(now - view.last) if view.last else "–"
        cells = (
            clean(folder.name, 60),
            Text(where, colour),
            shown,
            gain(view.total_gain),
            str(len(view.attempts)),
            age,
        )
        table.add_row(*(c if isinstance(c, Text) else Text(c) for c in cells))
    return table if table.row_count else Text("No runs yet. `gome run DIR` starts one.")


def run_page(view: RunView, run_dir: Path, *, diff: bool = True, last: int = 50) -> RenderableType:
    """Everything `gome show` prints: headline, attempts, best, and the diff of the best against the first."""
    parts: list[RenderableType] = [
        Text(headline(view), "bold"),
        Text(helped_most(view)),
        Text(),
        attempts_table(view, last),
    ]
    if told := predictions(view):
        parts += [Text(), Text(told)]
    if (costs := costs_table(view)) is not None:
        parts += [Text(), costs]
    if view.ended is not None:
        parts += [Text(), summary_panel(view, run_dir)]
    if diff and (changed := best_diff(view, run_dir)):
        parts += [
            Text(),
            Text("best against first", "bold"),
            Syntax(changed, "diff", background_color="default", word_wrap=True),
        ]
    return Group(*parts)


def predictions(view: RunView) -> str:
    """`Predictions: 5 of 12 hypotheses helped, Brier score 0.21; by component: …; by stated confidence: …`; empty before the first."""
    found = calibrate(view)
    if found is None:
        return ""
    parts = [
        f"Predictions: {found.helped} of {found.n} measured hypotheses helped, Brier score {found.brier:.2f} (0 is perfect, .25 is guessing)"
    ]
    for name, rows in (
        ("component", found.by_component),
        ("stated confidence", found.by_confidence),
    ):
        parts.append(
            f"by {name}: "
            + ", ".join(f"{clean(row.key, 40)} {row.helped} of {row.n}" for row in rows)
        )
    return "\n  ".join(parts)


def attempts_table(view: RunView, last: int = 50) -> Table:
    """The last attempts, one a row: where, verdict, score, gain over the parent, seconds, hypothesis."""
    table = Table(
        box=None, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False, expand=True
    )
    tokens = ("tokens",) if view.usage.tokens else ()
    for name in ("t", "step", "kind", "verdict", "score", "gain", "time", *tokens):
        table.add_column(
            name,
            justify="right" if name in ("t", "step", "time", "tokens") else "left",
            no_wrap=True,
        )
    table.add_column("hypothesis", ratio=1, overflow="fold")
    for attempt in list(view.attempts.values())[-last:]:
        table.add_row(*_cells(view, attempt))
    return table


def _cells(view: RunView, attempt: Attempt) -> tuple[Text, ...]:
    colour = COLOURS.get(attempt.verdict, "")
    best = " ★" if attempt.id == view.best else ""
    why = (attempt.problems or attempt.reasons or ("",))[0] if attempt.verdict == "failed" else ""
    text = clean(attempt.hypothesis or attempt.kind, 160) + (f": {clean(why, 160)}" if why else "")
    verdict = Text(f"{MARKS.get(attempt.verdict, '')} {attempt.verdict}{best}", colour)
    trace = str(attempt.trace) if attempt.trace >= 0 else "–"
    result = Text(score(attempt.score)), Text(gain(attempt.gain, attempt.gain_se))
    tokens = (Text(count(attempt.usage.tokens)),) if view.usage.tokens else ()
    return (
        Text(trace),
        Text(str(attempt.step)),
        Text(attempt.kind),
        verdict,
        *result,
        Text(duration(attempt.seconds)),
        *tokens,
        Text(text),
    )


def best_diff(view: RunView, run_dir: Path) -> str:
    """Unified diff of the first scored script to the best one; empty where they are the same or gone."""
    first, best = view.first, view.best_attempt
    if first is None or best is None or first.script == best.script:
        return ""
    old, new = (read_artifact(run_dir, a.script) for a in (first, best))
    lines = list(
        difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            f"first ({first.id})",
            f"best ({best.id})",
            lineterm="",
        )
    )
    cut = [f"… {len(lines) - MAX_DIFF_LINES} more lines"] if len(lines) > MAX_DIFF_LINES else []
    return clean("\n".join(lines[:MAX_DIFF_LINES] + cut), 200_000, lines=True)
