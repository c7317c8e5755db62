"""Rich tables of `gome ls` and `gome show`; importing this module imports Rich."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from report.artifact_texts import read_artifact
from report.costs import costs_table
from report.event_log import run_state
from report.formatting import (
    clean_text,
    format_age,
    format_count,
    format_duration,
    format_improvement,
    format_score,
)
from report.harness_work import best_text
from report.ledger_rows import ledger_facts
from report.live import COLOURS, MARKS, summary_panel
from report.model import AttemptView, RunView
from report.reliability import ReliabilityRow, calibrate_run, describe_confidence
from report.score_curve import describe_curve
from report.slot_use import describe_slot_use
from report.summary import describe_best_change, run_headline, state_word
from report.variants import describe_line

WIDE_COLUMNS = 100
MAX_DIFF_LINES = 400
MAX_ATTEMPTS = 50
N_LEAST = 3  # columns of `gome ls` on the narrowest terminal
SHORTEST_NAME = "20260101-120000…"  # the beginning of a name is enough for every command
STATE_COLOURS = {
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "paused": "yellow",
    "waiting": "yellow",
}
CLAIM_COLOURS = {"supported": "green", "refuted": "red", "open": "yellow"}


def runs_table(
    runs: Iterable[tuple[Path, RunView]],
    now: float,
    alive: dict[str, bool] | None = None,
    runs_dir: str | Path = "runs",
    width: int = WIDE_COLUMNS,
) -> RenderableType:
    """Table of runs in the given order: state, best score, gain, accepted attempts and age.

    `alive` maps the name of a run folder to whether its process exists; `runs_dir` is the folder
    that was searched. Below WIDE_COLUMNS errors and age are left out, then the ends of names (a
    name begins with its time), then the last columns.
    """
    is_wide = width >= WIDE_COLUMNS
    titles = ("run", "state", "best", "gain", "accepted", "age")[: 6 if is_wide else 5]
    rows = [
        run_cells(folder, view, now, (alive or {}).get(folder.name), is_wide)
        for folder, view in runs
    ]
    if not rows:
        return Text(f"No runs yet in {runs_dir}. `gome run DIR` starts one.")
    widths = [max(map(len, cells)) + 2 for cells in zip(titles, *rows, strict=False)]
    while len(titles) > N_LEAST and width - sum(widths[1:]) < len(SHORTEST_NAME):
        titles, widths = titles[:-1], widths[:-1]
    name_limit = max(len(SHORTEST_NAME), width - sum(widths[1:]))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for title in titles:
        table.add_column(
            title,
            justify="right" if title in ("accepted", "gain") else "left",
            no_wrap=title != "best",  # a very narrow terminal folds it
            overflow="fold",
        )
    for name, state, *cells in rows:
        style = STATE_COLOURS.get(state, "")
        shown = map(Text, cells[: len(titles) - 2])
        table.add_row(Text(clean_text(name, name_limit)), Text(state, style), *shown)
    return table


def run_cells(
    folder: Path, view: RunView, now: float, is_alive: bool | None, is_wide: bool
) -> tuple[str, ...]:
    """Return name, state, best score, gain, accepted attempts and age of a run."""
    score = best_text(view, with_se=is_wide)
    if any(map(str.isdigit, score)):
        score += f" {view.metric}"
    return (
        clean_text(folder.name, 60),
        state_word(view, run_state(view, now, is_alive)),
        score,
        format_improvement(view.total_gain, rising=view.rising),
        f"{view.n_accepted} of {len(view.attempts)}",
        format_age(now - view.last) if view.last else "–",
    )


def run_page(view: RunView, run_dir: Path, width: int = WIDE_COLUMNS) -> RenderableType:
    """Everything `gome show` prints: headline, attempts, summary and diff of best against first."""
    parts: list[RenderableType] = [
        Text(run_headline(view), "bold"),
        Text(describe_best_change(view)),
        Text(),
        attempts_table(view, width),
    ]
    if calibration := calibration_text(view):
        parts += [Text(), Text(calibration)]
    if (costs := costs_table(view)) is not None:
        parts += [Text(), costs]
    if view.ended is not None:
        parts += [Text(), summary_panel(view, run_dir)]
    else:
        told = {"Best so far": describe_curve(view), "Slots": describe_slot_use(view)}
        parts += [Text(f"{name}: {text}") for name, text in told.items() if text]
    if diff := best_diff(view, run_dir):
        parts += [
            Text(),
            Text("best against first", "bold"),
            Syntax(diff, "diff", background_color="default", word_wrap=True),
        ]
    return Group(*parts)


def calibration_text(view: RunView) -> str:
    """Lines on predictions against outcomes; empty before the first measured hypothesis."""
    found = calibrate_run(view)
    if found is None:
        return ""
    return "\n  ".join(
        (
            f"Predictions: {found.helped} of {found.n} measured hypotheses helped",
            describe_confidence(found),
            f"Brier score {found.brier:.2f} (0 is perfect, 0.25 is guessing)",
            f"by component: {_hit_counts(found.by_component)}",
            f"by stated confidence: {_hit_counts(found.by_confidence)}",
        )
    )


def _hit_counts(rows: Iterable[ReliabilityRow]) -> str:
    return ", ".join(f"{clean_text(row.key, 40)} {row.helped} of {row.n}" for row in rows)


def attempts_table(view: RunView, width: int = WIDE_COLUMNS) -> Table:
    """Table of the last attempts, one a line; a gain is that over the trace's best.

    Below WIDE_COLUMNS the kind and the errors of gains are left out.
    """
    table = Table(
        box=None, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False, expand=True
    )
    is_wide = width >= WIDE_COLUMNS
    kind, tokens = ["kind"] * is_wide, ["tokens"] * bool(view.usage.tokens)
    for name in ("trace", "step", *kind, "verdict", "score", "gain", "time", *tokens):
        table.add_column(
            name,
            justify="right" if name in ("trace", "step", "time", "tokens") else "left",
            no_wrap=True,
        )
    table.add_column("hypothesis", ratio=1, overflow="fold")
    for attempt in list(view.attempts.values())[-MAX_ATTEMPTS:]:
        table.add_row(*_attempt_row(view, attempt, is_wide))
    return table


def _attempt_row(view: RunView, attempt: AttemptView, is_wide: bool) -> tuple[Text, ...]:
    star = " ★" if attempt.id == view.best else ""
    verdict = f"{MARKS.get(attempt.verdict, '')} {attempt.verdict}{star}"
    text = clean_text(attempt.words, 160)
    if line := describe_line(attempt.variants):
        text = f"{text.rstrip('.')} [{line}]"
    reason = (attempt.problems or attempt.reasons or ("",))[0]
    if reason and attempt.verdict == "failed":
        text = f"{text.rstrip('.')}: {clean_text(reason, 160)}"
    tokens = (format_count(attempt.usage.tokens),) if view.usage.tokens else ()
    gain_se = attempt.gain_se if is_wide else None
    return (
        Text(str(attempt.trace) if attempt.trace >= 0 else "–"),
        Text(str(attempt.step)),
        *[Text(attempt.kind)] * is_wide,
        Text(verdict, COLOURS.get(attempt.verdict, "")),
        Text(format_score(attempt.score)),
        Text(format_improvement(attempt.gain, gain_se, rising=view.rising)),
        Text(format_duration(attempt.seconds)),
        *map(Text, tokens),
        Text(text),
    )


def best_diff(view: RunView, run_dir: Path) -> str:
    """Unified diff from the first scored script to the best one; empty where they are equal."""
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
    return clean_text("\n".join(lines[:MAX_DIFF_LINES] + cut), 200_000, lines=True)


def ledger_table(view: RunView) -> RenderableType:
    """Return the table of `gome show --ledger`."""
    facts = ledger_facts(view)
    if not facts.rows:
        return Text("The ledger is empty: nothing has been claimed or measured yet.")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for name in ("claim", "state", "gain", "noise units", "measured by", "what it says"):
        table.add_column(name, overflow="fold", no_wrap=name in ("claim", "state"))
    for row in facts.rows:
        said = Text(f"{row.kind}: {row.text}")
        if row.note:
            said.append(f" ({row.note})", "bright_black")
        state = Text(row.state, CLAIM_COLOURS.get(row.state, ""))
        cells = (Text(row.gain), Text(row.z), Text(", ".join(row.attempts)), said)
        table.add_row(Text(row.id), state, *cells)
    unit = f"Gains over the best of the trace at that time, in {view.metric or 'the metric'}."
    return Group(table, Text(), Text(f"{unit} {facts.folded}".strip(), "bright_black"))
