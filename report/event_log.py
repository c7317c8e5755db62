"""Read events.jsonl: whole, or followed while the run is in progress.

A truncated last line is left until it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.formatting import clean_text
from report.model import RunView
from report.projection import apply_events

MAX_LINE_BYTES = 4 * 2**20


class EventTail:
    """Follows an events file; a line without its newline is left for a later poll."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.offset = 0

    def poll(self) -> Iterator[dict[str, Any]]:
        """Yield new events, oldest first. A file that shrank is read again from its start."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            if file.seek(0, 2) < self.offset:
                self.offset = 0
            file.seek(self.offset)
            while line := file.readline():
                if not line.endswith(b"\n"):
                    return
                self.offset = file.tell()
                if (event := _parse_event(line)) is not None:
                    yield event


def read_events(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yield every event of a file, including a last line of complete JSON without a newline."""
    tail = EventTail(path)
    yield from tail.poll()
    if tail.path.is_file():
        with tail.path.open("rb") as file:
            file.seek(tail.offset)
            event = _parse_event(file.read(MAX_LINE_BYTES))
        if event is not None:
            yield event


def load_view(run_dir: Path | str) -> RunView:
    """Return the view of a run folder or of an events file."""
    path = Path(run_dir)
    return apply_events(read_events(path / "events.jsonl" if path.is_dir() else path))


def load_earlier_view(run_dir: Path | None) -> RunView:
    """Return the view of a run's earlier sessions, for a listener of the next one."""
    if run_dir is None or not (run_dir / "events.jsonl").is_file():
        return RunView()
    return load_view(run_dir)


def run_state(view: RunView, now: float, alive: bool | None = None) -> str:
    """Return `running`, `lost`, or the reason why the run ended.

    `alive` tells whether the run's process exists; None decides by the age of the last event.
    """
    if view.ended is not None:
        return clean_text(view.ended.get("reason"), 20) or "ended"
    if alive is None:
        limit = max((t.limit_s or 0.0 for t in view.traces.values()), default=0.0)
        alive = view.last is not None and now - view.last < limit + 300
    return "running" if alive else "lost"


def _parse_event(line: bytes) -> dict[str, Any] | None:
    if len(line) > MAX_LINE_BYTES or not line.strip():
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
