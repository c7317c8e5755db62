"""What a terminal shows while a run goes on: a live table, plain lines, events as JSON, or nothing.

    with make_listener("live", run_dir=folder) as listener:
        listener.on_event({"t": ..., "ev": "run_started", ...})

Rich is imported only by the live mode.  Every listener may be called from the loop's thread.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, Self

from report.events import so_far
from report.formatting import clean, duration, score
from report.model import RunView
from report.projection import fold
from report.summary import headline, summary_lines

if TYPE_CHECKING:
    from rich.console import Console

Mode = Literal["live", "plain", "json", "quiet"]


class Listener(Protocol):
    """Told of every event, in order. `view` is what it has seen so far."""

    view: RunView

    def on_event(self, event: Mapping[str, Any]) -> None: ...

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
    """A listener of the wanted mode; `live` becomes `plain` where the output is not a terminal.

    `run_dir` lets the final summary name the submission, the report and how to resume. `out` is a text stream
    (plain, json), `console` a Rich console (live).
    """
    out = out or sys.stdout
    folder = Path(run_dir) if run_dir else None
    if mode == "live" and (console.is_terminal if console else out.isatty()):
        from report.live import LiveView

        return LiveView(folder, console, clock)
    makers: dict[str, Callable[[], Listener]] = {
        "json": lambda: JsonLines(out),
        "quiet": Quiet,
    }
    return makers.get(mode, lambda: PlainLines(folder, out))()


class Quiet:
    """Folds the events and says nothing."""

    def __init__(self, view: RunView | None = None) -> None:
        self.view = view or RunView()

    def on_event(self, event: Mapping[str, Any]) -> None:
        self.view = fold(self.view, event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class JsonLines(Quiet):
    """Each event as one line of JSON (ASCII, so that no terminal acts on its text)."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self.out = out

    def on_event(self, event: Mapping[str, Any]) -> None:
        super().on_event(event)
        print(json.dumps(event, default=str), file=self.out, flush=True)


class PlainLines(Quiet):
    """One short line for each thing worth knowing, for logs and pipes; the summary at the end."""

    def __init__(self, run_dir: Path | None, out: IO[str]) -> None:
        super().__init__(so_far(run_dir))
        self.run_dir, self.out = run_dir, out

    def on_event(self, event: Mapping[str, Any]) -> None:
        before = self.view.elapsed()
        super().on_event(event)
        for line in plain_lines(self.view, event):
            print(
                f"{duration(self.view.elapsed() or before):>7}  {line}", file=self.out, flush=True
            )
        if event.get("ev") == "run_ended":
            print(
                "\n" + "\n".join(summary_lines(self.view, self.run_dir)), file=self.out, flush=True
            )


def plain_lines(view: RunView, event: Mapping[str, Any]) -> list[str]:
    """The lines that plain mode prints for one event; most events say nothing."""
    kind = event.get("ev")
    if kind == "run_started":
        return [headline(view)]
    if kind == "diagnosed":
        return [f"{_where(event)}  diagnosed  {_first_hypothesis(event)}"]
    if kind == "execution_started":
        return (
            [
                f"{_where(event)}  running    limit {duration(view.traces[int(event['trace'])].limit_s)}"
            ]
            if _traced(view, event)
            else []
        )
    if kind == "sandbox" and not event.get("notice"):
        return []
    if kind in (
        "sandbox",
        "attempt",
        "merged",
        "warning",
        "finalizing",
        "finalized",
        "run_resumed",
    ):
        return (
            [_told(view, event, line.kind, line.text) for line in view.lines[-_n_lines(event) :]]
            if _n_lines(event)
            else []
        )
    return []


def _n_lines(event: Mapping[str, Any]) -> int:
    actions = event.get("actions")
    if event.get("ev") == "merged":
        return len(actions) if isinstance(actions, list) else 0
    return 1


def _traced(view: RunView, event: Mapping[str, Any]) -> bool:
    return event.get("trace") in view.traces


def _where(event: Mapping[str, Any]) -> str:
    if event.get("trace") == -1:
        return "all traces    "
    return f"trace {clean(event.get('trace', '-'), 6) or '0'} step {clean(event.get('step', '-'), 6) or '0'}"


def _told(view: RunView, event: Mapping[str, Any], kind: str, text: str) -> str:
    if event.get("ev") != "attempt":
        return f"{kind:<10} {text}"
    best = view.best_attempt
    standing = (
        f"   best {score(best.score, best.score_se)}"
        if best and best.id == str(event.get("id"))
        else ""
    )
    return f"{_where(event)}  {kind:<10} {text}{standing}"


def _first_hypothesis(event: Mapping[str, Any]) -> str:
    found = event.get("hypotheses")
    hypotheses = [h for h in found if isinstance(h, dict)] if isinstance(found, list) else []
    if not hypotheses:
        return "nothing is expected to help"
    more = f" (and {len(hypotheses) - 1} more)" if len(hypotheses) > 1 else ""
    return clean(hypotheses[0].get("statement"), 200) + more
