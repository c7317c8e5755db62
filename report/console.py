"""Listeners for a run in progress: a live table, plain lines, events as JSON, or nothing.

    with make_listener("live", run_dir=folder) as listener:
        listener.on_event({"t": ..., "ev": "run_started", ...})

Only the live mode imports Rich. The loop's thread may call any listener.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Literal, Protocol, Self

from report.event_log import load_earlier_view
from report.formatting import bounded_list, clean_text, format_duration, format_score, whole_number
from report.model import RunView
from report.projection import apply_event
from report.summary import run_headline, summary_lines

if TYPE_CHECKING:
    from rich.console import Console

Mode = Literal["live", "plain", "json", "quiet"]


class Listener(Protocol):
    """Receives every event in order; `view` is the state after the last one."""

    view: RunView

    def on_event(self, event: Mapping[str, object]) -> None:
        """Handle one event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_listener(
    mode: Mode = "live",
    *,
    run_dir: Path | str | None = None,
    out: IO[str] | None = None,
    console: Console | None = None,
    clock: Callable[[], float] = time.time,
) -> Listener:
    """Make the listener of a mode; `live` becomes `plain` where the output is not a terminal.

    `run_dir` lets the final summary name the submission, the report and how to resume. `out` is
    the text stream of plain and json, `console` the Rich console of live.
    """
    out = out or sys.stdout
    folder = Path(run_dir) if run_dir else None
    if mode == "live" and (console.is_terminal if console else out.isatty()):
        from report.live import LiveView

        return LiveView(folder, console, clock)
    if mode == "json":
        return JsonListener(out)
    return QuietListener() if mode == "quiet" else PlainListener(folder, out)


class QuietListener:
    """Keeps the view current and prints nothing."""

    def __init__(self, view: RunView | None = None) -> None:
        self.view = view or RunView()

    def on_event(self, event: Mapping[str, object]) -> None:
        """Apply the event to the view."""
        self.view = apply_event(self.view, event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class JsonListener(QuietListener):
    """Prints each event as a line of JSON, in ASCII so that no terminal acts on its text."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self.out = out

    def on_event(self, event: Mapping[str, object]) -> None:
        """Print the event."""
        super().on_event(event)
        print(json.dumps(event, default=str), file=self.out, flush=True)


class PlainListener(QuietListener):
    """Prints short lines for logs and pipes, and the summary when the run ends."""

    def __init__(self, run_dir: Path | None, out: IO[str]) -> None:
        super().__init__(load_earlier_view(run_dir))
        self.run_dir, self.out = run_dir, out

    def on_event(self, event: Mapping[str, object]) -> None:
        """Print what the event is worth: nothing, a line or several."""
        before = self.view.elapsed()
        super().on_event(event)
        elapsed = format_duration(self.view.elapsed() or before)
        for line in plain_lines(self.view, event):
            self.print_text(f"{elapsed:>7}  {line}")
        if event.get("ev") == "run_ended":
            summary = "\n".join(summary_lines(self.view, self.run_dir))
            self.print_text(f"\n{summary}")

    def print_text(self, text: str) -> None:
        """Print the text; what the encoding of `out` lacks is written as `?`."""
        encoding = getattr(self.out, "encoding", None) or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), file=self.out, flush=True)


# Kinds of events whose line of the log is printed.
PRINTED_KINDS = (
    "sandbox",
    "embedding",
    "baseline",
    "rehearsed",
    "attempt",
    "steps_confirmed",
    "moved",
    "merged",
    "warning",
    "file_made",
    "finalizing",
    "finalized",
    "run_resumed",
    "labels_checked",
    "appealed",
)


def plain_lines(view: RunView, event: Mapping[str, object]) -> list[str]:
    """Return the lines that plain mode prints for one event; none for most."""
    kind = event.get("ev")
    if kind == "run_started":
        return [run_headline(view)]
    if kind == "diagnosed":
        return [f"{_trace_and_step(event)}  diagnosed  {_first_hypothesis(event)}"]
    if kind == "execution_started":
        trace = view.traces.get(whole_number(event.get("trace"), -1))
        if trace is None:
            return []
        return [f"{_trace_and_step(event)}  running    limit {format_duration(trace.limit_s)}"]
    if kind not in PRINTED_KINDS or (kind == "sandbox" and not event.get("notice")):
        return []
    n = len(bounded_list(event.get("actions"), len(view.lines))) if kind == "merged" else 1
    lines = view.lines[-n:] if n else ()
    return [_format_line(view, event, line.kind, line.text) for line in lines]


def _trace_and_step(event: Mapping[str, object]) -> str:
    if event.get("trace") == -1:
        return "all traces    "
    trace, step = (clean_text(event.get(name, "-"), 6) or "0" for name in ("trace", "step"))
    return f"trace {trace} step {step}"


def _format_line(view: RunView, event: Mapping[str, object], kind: str, text: str) -> str:
    if event.get("ev") == "rehearsed":
        return f"{_trace_and_step(event)}  {kind:<10} {text}"
    if event.get("ev") != "attempt":
        return f"{kind:<10} {text}"
    best = view.best_attempt
    if best and best.id == str(event.get("id")):
        text += f"   best {format_score(best.score, best.score_se)}"
    return f"{_trace_and_step(event)}  {kind:<10} {text}"


def _first_hypothesis(event: Mapping[str, object]) -> str:
    hypotheses = [
        item for item in bounded_list(event.get("hypotheses"), 1000) if isinstance(item, dict)
    ]
    if not hypotheses:
        return "no change is expected to help"
    more = f" (and {len(hypotheses) - 1} more)" if len(hypotheses) > 1 else ""
    return clean_text(hypotheses[0].get("statement"), 200) + more
