"""The live table of a run (Rich): traces, the best against the first, budgets, and what happened last."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from report.budget import budgets, left_s
from report.events import so_far
from report.formatting import clean, duration, far, gain, score, spark
from report.model import Also, Line, RunView, Trace
from report.projection import fold
from report.summary import arrow, first_to_best, summary_rows

COLOURS = {
    "accepted": "green", "tie": "yellow", "rejected": "bright_black", "failed": "red", "warning": "yellow", "unanswered": "yellow", "merged": "cyan",
    "finalized": "green", "ended": "bold",
}  # fmt: skip
MARKS = {
    "accepted": "✓",
    "tie": "≈",
    "rejected": "·",
    "failed": "✗",
    "warning": "!",
    "unanswered": "?",
    "merged": "⇄",
    "finalized": "★",
}
WIDE = 110
MOST_ALSO = 2


class LiveView:
    """A listener that redraws the table four times a second; leaving it prints the summary."""

    def __init__(
        self,
        run_dir: Path | None,
        console: Console | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view, self.run_dir, self.clock = so_far(run_dir), run_dir, clock
        self.console = console or Console()
        self.lock = threading.Lock()
        self.keys: Callable[[], None] = lambda: None
        self.live = Live(
            get_renderable=self._draw, console=self.console, refresh_per_second=4, transient=False
        )

    def on_event(self, event: Mapping[str, Any]) -> None:
        with self.lock:
            self.view = fold(self.view, event)

    def _draw(self) -> RenderableType:
        return screen(self.view, self.clock(), self.console.width, self.console.height)

    def __enter__(self) -> Self:
        self.keys = no_control_marks()
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()
        self.keys()
        if self.view.ended is not None:
            self.console.print(summary_panel(self.view, self.run_dir))


def no_control_marks() -> Callable[[], None]:
    """The terminal writes no ^C: at the end of a full line it would wrap and shift the table. Gives what sets it back."""
    import termios

    try:
        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
        quiet = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
        termios.tcsetattr(handle, termios.TCSANOW, quiet)
    except (OSError, ValueError, termios.error):  # stdin is no terminal
        return lambda: None
    return lambda: termios.tcsetattr(handle, termios.TCSANOW, before)


def screen(view: RunView, now: float, width: int, height: int = 40) -> RenderableType:
    """Everything the live view shows at one moment, fitted to the terminal."""
    also = list(view.also.values())[:MOST_ALSO]
    n_rows = max(1, min(len(view.traces), height - 14 - len(also))) if view.traces else 1
    n_lines = max(1, min(6, height - n_rows - 10 - len(also)))
    parts: list[RenderableType] = [
        _title(view, now, width),
        Text(),
        _best(view, width),
        Text(),
        trace_table(view, now, width, n_rows),
    ]
    parts += [_beside(one, now, width - 2) for one in also]
    parts += [Text(), _budget(view, now, width)]
    if view.lines:
        parts += [
            Rule(style="bright_black"),
            *(happened(line, width - 2) for line in view.lines[-n_lines:]),
        ]
    return Padding(Group(*parts), (0, 1))


def _cut(text: str, width: int, style: str = "") -> Text:
    """Plain text (never markup) cut to a width in cells."""
    cut = Text(text, style=style, no_wrap=True, overflow="ellipsis", end="\n")
    cut.truncate(max(width, 1), overflow="ellipsis")
    return cut


def _title(view: RunView, now: float, width: int) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    title = Text.assemble(
        ("gome", "bold"),
        "  ",
        (view.task or "…", "bold cyan"),
        "  ",
        (f"{view.metric} {arrow(view)}", ""),
    )
    where = " · ".join(part for part in (view.reasoner, view.sandbox) if part)
    if where and width >= 60:
        title.append(f"  {where}", "bright_black")
    left = left_s(view, now)
    grid.add_row(
        title,
        Text(
            duration(view.elapsed(now))
            if left is None
            else f"at most {duration(float(int(left)))} left",
            "bright_black",
        ),
    )
    return grid


def _best(view: RunView, width: int) -> Text:
    best = view.best_attempt
    if best is None:
        return Text("best  –   no valid score yet", "bright_black")
    text = Text.assemble(
        ("best  ", "bright_black"), (score(best.score, best.score_se), "bold green")
    )
    if view.first is not None and view.first.id != best.id:
        text.append(f"   first {score(view.first.score)}", "bright_black")
        text.append(f"   {gain(view.total_gain)}", "green")
    if len(view.curve) > 1:
        text.append(
            "   " + spark(view.curve, 32 if width >= WIDE else 14, rising=view.rising), "cyan"
        )
    text.truncate(width - 2, overflow="ellipsis")
    return text


def trace_table(view: RunView, now: float, width: int, n_rows: int = 256) -> Table:
    """traces × step: score, activity with its seconds, and the hypothesis in words."""
    table = Table(
        box=None, expand=True, padding=(0, 1, 0, 0), header_style="bright_black", pad_edge=False
    )
    table.add_column("trace", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("score", no_wrap=True)
    table.add_column("tried", no_wrap=True)
    table.add_column("now", no_wrap=True)
    table.add_column("hypothesis", ratio=1, no_wrap=True, overflow="ellipsis")
    for trace in list(view.traces.values())[:n_rows]:
        table.add_row(*_row(view, trace, now, width))
    hidden = len(view.traces) - n_rows
    if hidden > 0:
        table.add_row("", "", Text(f"… {hidden} more", "bright_black"))
    return table


def _row(view: RunView, trace: Trace, now: float, width: int) -> tuple[Text, ...]:
    best = view.attempts.get(trace.best or "")
    leads = best is not None and best.id == view.best
    shown = score(best.score, best.score_se if width >= WIDE else None) if best else "–"
    mark = " ★" if leads else ""
    tried = Text(f"{trace.n_accepted}", "green").append(f"/{trace.n_attempts}", "bright_black")
    step = f"{trace.step}/{view.steps}" if view.steps else str(trace.step)
    said = "" if far(trace.progress) else clean(trace.progress, 60 if width >= WIDE else 24)
    what = f"{said} · {trace.hypothesis}" if said else trace.hypothesis
    style = "bold green" if leads else ""
    return (
        Text(str(trace.id)),
        Text(step),
        Text(shown + mark, style),
        tried,
        _activity(trace, now),
        Text(what, overflow="ellipsis"),
    )


def _activity(trace: Trace, now: float) -> Text:
    if not trace.activity:
        return Text(trace.status, "bright_black")
    doing = far(trace.progress) or trace.activity
    style = "cyan" if trace.activity == "executing" else ""
    return Text.assemble(
        (doing, style), (f" {_clock(trace.since, trace.limit_s, now)}", "bright_black")
    )


def _clock(since: float | None, limit_s: float | None, now: float) -> str:
    """`12 s/1:00`: how long it has been going on, and how long it may."""
    elapsed = (
        "" if since is None else duration(float(int(max(0.0, now - since)))).replace(".0 s", " s")
    )
    return elapsed + (f"/{duration(limit_s)}" if limit_s else "")


def _beside(one: Also, now: float, width: int) -> Text:
    """A line for what runs beside the attempts."""
    text = Text.assemble(
        ("also  ", "bright_black"),
        (one.what, ""),
        (f"  {_clock(one.since, one.limit_s, now)}", "bright_black"),
    )
    text.append(f"  {one.progress}" if one.progress else "", "cyan")
    text.truncate(width, overflow="ellipsis")
    return text


def bar(share: float, width: int) -> Text:
    """A budget bar; it turns yellow when four fifths are used."""
    share = min(max(share, 0.0), 1.0)
    full = round(share * width)
    return Text.assemble(
        ("━" * full, "yellow" if share > 0.8 else "green"), ("━" * (width - full), "bright_black")
    )


def _budget(view: RunView, now: float, width: int) -> Table:
    rows = budgets(view, now)
    per_line = 4 if width >= WIDE else 2
    grid = Table.grid(padding=(0, 1), expand=False)
    for start in range(0, len(rows), per_line):
        cells: list[Text] = []
        for row in rows[start : start + per_line]:
            cells += [
                Text(row.name, "bright_black"),
                bar(row.used / row.limit, 8) if row.limit else Text(""),
            ]
            cells += [Text(row.text + "  ", no_wrap=True)]
        grid.add_row(*cells)
    return grid


def happened(line: Line, width: int) -> Text:
    """A line of what happened, marked and coloured by its verdict."""
    where = f" t{line.trace}" if line.trace is not None and line.trace >= 0 else ""
    head = Text.assemble(
        (f"{MARKS.get(line.kind, '·')}{where} ", COLOURS.get(line.kind, "")),
        (f"{line.kind}  ", COLOURS.get(line.kind, "")),
    )
    head.append(line.text)
    head.truncate(max(width, 10), overflow="ellipsis")
    return head


def summary_panel(view: RunView, run_dir: Path | None) -> Panel:
    """The last word of a run: first → best, what helped, where the submission lies, how to resume."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in summary_rows(view, run_dir):
        grid.add_row(Text(label), Text(text, "bold" if label == "score" else ""))
    title = Text(f" {view.task or view.run}: {first_to_best(view)} ")
    return Panel(
        grid,
        title=title,
        title_align="left",
        border_style="green" if view.final else "yellow",
        padding=(0, 1),
    )
