"""events.jsonl as it lies on disk: read whole, or followed while the run goes on. A truncated last line is left for later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.formatting import clean
from report.model import RunView
from report.projection import fold_all

MAX_LINE_BYTES = 4 * 2**20


class Tail:
    """Reads what was appended to an events file since the last poll; a line without its newline waits."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.offset = 0

    def poll(self) -> Iterator[dict[str, Any]]:
        """New events, oldest first. No file yet: none. A file that shrank is read anew from its start."""
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
                if (event := _parse(line)) is not None:
                    yield event


def read_events(path: Path | str) -> Iterator[dict[str, Any]]:
    """Every complete event of a file, the last line also where its newline is missing but its JSON is whole."""
    tail = Tail(path)
    yield from tail.poll()
    if tail.path.is_file():
        with tail.path.open("rb") as file:
            file.seek(tail.offset)
            event = _parse(file.read(MAX_LINE_BYTES))
        if event is not None:
            yield event


def load(run_dir: Path | str) -> RunView:
    """The view of a run folder (or of an events file)."""
    path = Path(run_dir)
    return fold_all(read_events(path / "events.jsonl" if path.is_dir() else path))


def so_far(run_dir: Path | None) -> RunView:
    """What earlier sessions of a run told, for a listener of its next one; nothing for a new run."""
    return (
        load(run_dir) if run_dir is not None and (run_dir / "events.jsonl").is_file() else RunView()
    )


def state(view: RunView, now: float, alive: bool | None = None) -> str:
    """running | ended's reason | lost. `alive`: whether the run's process is known to live; None: judged by the last event's age."""
    if view.ended is not None:
        return clean(view.ended.get("reason"), 20) or "ended"
    if alive is None:
        limit = max((t.limit_s or 0.0 for t in view.traces.values()), default=0.0)
        alive = view.last is not None and now - view.last < limit + 300
    return "running" if alive else "lost"


def _parse(line: bytes) -> dict[str, Any] | None:
    if len(line) > MAX_LINE_BYTES or not line.strip():
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
