"""Live table of a run (Rich): traces, best against first, budgets and the latest log lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from report.budget_use import estimate_remaining_s, measure_budgets
from report.event_log import load_earlier_view
from report.formatting import (
    clean_text,
    draw_sparkline,
    format_duration,
    format_improvement,
    format_score,
    parse_progress,
)
from report.model import LogLine, RunView, SideJob, TraceView
from report.projection import apply_event
from report.summary import direction_arrow, format_score_change, summary_rows

COLOURS = {
    "first": "green",
    "accepted": "green",
    "confirmed": "green",
    "tie": "yellow",
    "rejected": "bright_black",
    "failed": "red",
    "warning": "yellow",
    "unanswered": "yellow",
    "merged": "cyan",
    "moved": "cyan",
    "finalized": "green",
    "ended": "bold",
}
MARKS = {
    "first": "○",
    "accepted": "✓",
    "confirmed": "✓",
    "tie": "≈",
    "rejected": "·",
    "failed": "✗",
    "warning": "!",
    "unanswered": "?",
    "merged": "⇄",
    "moved": "⇄",
    "finalized": "★",
}
WIDE_COLUMNS = 110
MAX_SIDE_JOBS = 2


class LiveView:
    """A listener that redraws the table four times a second; leaving it prints the summary."""

    def __init__(
        self,
        run_dir: Path | None,
        console: Console | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view = load_earlier_view(run_dir)
        self.run_dir, self.clock = run_dir, clock
        self.console = console or Console()
        self.lock = threading.Lock()
        self.restore_terminal: Callable[[], None] = lambda: None
        self.live = Live(
            get_renderable=self._draw, console=self.console, refresh_per_second=4, transient=False
        )

    def on_event(self, event: Mapping[str, object]) -> None:
        """Apply the event; the next redraw shows it."""
        with self.lock:
            self.view = apply_event(self.view, event)

    def _draw(self) -> RenderableType:
        return render_screen(self.view, self.clock(), self.console.width, self.console.height)

    def __enter__(self) -> Self:
        self.restore_terminal = hide_control_characters()
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.transient = not self.view.run  # refused before it began: only the error stays
        self.live.stop()
        self.restore_terminal()
        if self.view.ended is not None:
            self.console.print(summary_panel(self.view, self.run_dir))


def hide_control_characters() -> Callable[[], None]:
    """Stop the terminal from printing ^C, which would wrap a full line and shift the table.

    Returns a function that restores the terminal.
    """
    import termios

    try:
        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
        quiet = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
        termios.tcsetattr(handle, termios.TCSANOW, quiet)
    except (OSError, ValueError, termios.error):  # stdin is no terminal
        return lambda: None
    return lambda: termios.tcsetattr(handle, termios.TCSANOW, before)


def render_screen(view: RunView, now: float, width: int, height: int = 40) -> RenderableType:
    """Draw the live view at one moment, fitted to `width` columns and `height` lines."""
    side_jobs = list(view.side_jobs.values())[:MAX_SIDE_JOBS]
    n_rows = max(1, min(len(view.traces), height - 14 - len(side_jobs)))
    n_lines = max(1, min(6, height - n_rows - 10 - len(side_jobs)))
    parts: list[RenderableType] = [
        _title_row(view, now, width),
        Text(),
        _best_line(view, width),
        Text(),
        trace_table(view, now, width, n_rows),
    ]
    parts += [_side_job_line(job, now, width - 2) for job in side_jobs]
    parts += [Text(), _budget_grid(view, now, width)]
    if view.lines:
        parts += [
            Rule(style="bright_black"),
            *(log_line_text(line, width - 2) for line in view.lines[-n_lines:]),
        ]
    return Padding(Group(*parts), (0, 1))


def _title_row(view: RunView, now: float, width: int) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    title = Text.assemble(
        ("gome", "bold"),
        "  ",
        (view.task or "…", "bold cyan"),
        "  ",
        (f"{view.metric} {direction_arrow(view)}", ""),
    )
    where = " · ".join(part for part in (view.reasoner, view.sandbox) if part)
    if where and width >= 60:
        title.append(f"  {where}", "bright_black")
    remaining_s = estimate_remaining_s(view, now)
    if remaining_s is None:
        clock = format_duration(view.elapsed(now))
    else:
        clock = f"at most {format_duration(float(int(remaining_s)))} left"
    grid.add_row(title, Text(clock, "bright_black"))
    return grid


def _best_line(view: RunView, width: int) -> Text:
    best = view.best_attempt
    if best is None:
        return Text("best  –   no valid score yet", "bright_black")
    text = Text.assemble(
        ("best  ", "bright_black"), (format_score(best.score, best.score_se), "bold green")
    )
    if view.first is not None and view.first.id != best.id:
        text.append(f"   first {format_score(view.first.score)}", "bright_black")
        gain = format_improvement(view.total_gain, rising=view.rising)
        text.append(f"   {gain}", "green")
    if len(view.curve) > 1:
        n_blocks = 32 if width >= WIDE_COLUMNS else 14
        text.append(f"   {draw_sparkline(view.curve, n_blocks, rising=view.rising)}", "cyan")
    text.truncate(width - 2, overflow="ellipsis")
    return text


def trace_table(view: RunView, now: float, width: int, n_rows: int = 256) -> Table:
    """Table of traces: step, score of the best, accepted attempts, activity and hypothesis."""
    table = Table(
        box=None, expand=True, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False
    )
    table.add_column("trace", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("score", no_wrap=True)
    table.add_column("accepted", no_wrap=True)
    table.add_column("now", no_wrap=True)
    table.add_column("hypothesis", ratio=1, no_wrap=True, overflow="ellipsis")
    for trace in list(view.traces.values())[:n_rows]:
        table.add_row(*_trace_cells(view, trace, now, width))
    hidden = len(view.traces) - n_rows
    if hidden > 0:
        table.add_row("", "", Text(f"… {hidden} more", "bright_black"))
    return table


def _trace_cells(view: RunView, trace: TraceView, now: float, width: int) -> tuple[Text, ...]:
    best = view.attempts.get(trace.best or "")
    leads = best is not None and best.id == view.best
    is_wide = width >= WIDE_COLUMNS
    score = format_score(best.score, best.score_se if is_wide else None) if best else "–"
    accepted = Text(f"{trace.n_accepted}", "green").append(f"/{trace.n_attempts}", "bright_black")
    text = trace.hypothesis
    if trace.progress and not parse_progress(trace.progress):  # no counter: show the line itself
        text = f"{clean_text(trace.progress, 60 if is_wide else 24)} · {text}"
    return (
        Text(str(trace.id)),
        Text(f"{trace.step}/{view.steps}" if view.steps else str(trace.step)),
        Text(f"{score} ★", "bold green") if leads else Text(score),
        accepted,
        _activity_text(trace, now),
        Text(text, overflow="ellipsis"),
    )


def _activity_text(trace: TraceView, now: float) -> Text:
    if not trace.activity:
        return Text(trace.status, "bright_black")
    activity = parse_progress(trace.progress) or trace.activity
    style = "cyan" if trace.activity == "executing" else ""
    clock = _format_clock(trace.since, trace.limit_s, now)
    return Text.assemble((activity, style), (f" {clock}", "bright_black"))


def _format_clock(since: float | None, limit_s: float | None, now: float) -> str:
    """Format elapsed time and limit as `12 s/1:00`."""
    elapsed = ""
    if since is not None:
        elapsed = format_duration(float(int(max(0.0, now - since)))).replace(".0 s", " s")
    return elapsed + (f"/{format_duration(limit_s)}" if limit_s else "")


def _side_job_line(job: SideJob, now: float, width: int) -> Text:
    clock = _format_clock(job.since, job.limit_s, now)
    text = Text.assemble(("also  ", "bright_black"), job.what, (f"  {clock}", "bright_black"))
    text.append(f"  {job.progress}" if job.progress else "", "cyan")
    text.truncate(width, overflow="ellipsis")
    return text


def budget_bar(share: float, width: int) -> Text:
    """Draw a used share as a bar of `width` cells, yellow above four fifths."""
    share = min(max(share, 0.0), 1.0)
    full = round(share * width)
    return Text.assemble(
        ("━" * full, "yellow" if share > 0.8 else "green"), ("━" * (width - full), "bright_black")
    )


def _budget_grid(view: RunView, now: float, width: int) -> Table:
    rows = measure_budgets(view, now)
    per_line = 4 if width >= WIDE_COLUMNS else 2
    grid = Table.grid(padding=(0, 1), expand=False)
    for start in range(0, len(rows), per_line):
        cells: list[Text] = []
        for row in rows[start : start + per_line]:
            bar = budget_bar(row.used / row.limit, 8) if row.limit else Text("")
            cells += [Text(row.name, "bright_black"), bar, Text(f"{row.text}  ", no_wrap=True)]
        grid.add_row(*cells)
    return grid


def log_line_text(line: LogLine, width: int) -> Text:
    """Draw a line of the log, marked and coloured by its kind."""
    trace = f" t{line.trace}" if line.trace is not None and line.trace >= 0 else ""
    head = f"{MARKS.get(line.kind, '·')}{trace} {line.kind}  "
    text = Text.assemble((head, COLOURS.get(line.kind, "")), line.text)
    text.truncate(max(width, 10), overflow="ellipsis")
    return text


def summary_panel(view: RunView, run_dir: Path | None) -> Panel:
    """Panel shown when a run ends: score, most helpful change, submission, how to resume."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in summary_rows(view, run_dir):
        grid.add_row(Text(label), Text(text, "bold" if label == "score" else ""))
    title = Text(f" {view.task or view.run}: {format_score_change(view)} ")
    return Panel(
        grid,
        title=title,
        title_align="left",
        border_style="green" if view.final else "yellow",
        padding=(0, 1),
    )
