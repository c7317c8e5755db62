"""The run's events: append-only JSON lines that console, report and plots listen to.

An event with a key is written once however often its node runs again after a crash.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graph.state import Used

SCRIPTED = frozenset({"drafted", "updated", "repaired"})
SPENDING = SCRIPTED | {"diagnosed", "reviewed", "unanswered", "checked", "execution_finished"}  # tokens or money
Listener = Callable[[dict[str, Any]], None]


class Events:
    """Writer of events.jsonl. `elapsed` counts the run's active seconds over all of its sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners: list[Listener] = []
        self._turn = threading.RLock()
        self._keys: set[str] = set()
        self._executions, self._tokens, self._usd = 0, 0, 0.0
        self.unanswered = 0  # steps in a row that the reasoner gave no script for, in this session
        elapsed = 0.0
        for event in read(path):
            self._count(event)
            elapsed = max(elapsed, float(event.get("elapsed", 0)))
        close_last_line(path)
        self._began = time.monotonic() - elapsed

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def used(self) -> Used:
        """What the run has spent, resumes included."""
        return Used(time_s=self.elapsed, executions=self._executions, tokens=self._tokens, usd=self._usd)

    def _count(self, event: dict[str, Any]) -> None:
        if event.get("key"):
            self._keys.add(f"{event.get('ev')}:{event['key']}")
        if event.get("ev") == "execution_finished":
            self._executions += 1
        if event.get("ev") == "unanswered":
            self.unanswered += 1
        elif event.get("ev") in SCRIPTED or event.get("ev") == "run_resumed":
            self.unanswered = 0
        if event.get("ev") in SPENDING and isinstance(usage := event.get("usage"), dict):
            self._tokens += int(usage.get("input_tokens", 0)) + int(usage.get("output_tokens", 0))
            self._usd += float(usage.get("usd") or 0)

    def emit(self, ev: str, *, key: str = "", **data: Any) -> None:
        if key and f"{ev}:{key}" in self._keys:
            return
        event = {"t": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "ev": ev, **data}
        if key:
            event["key"] = key
        self._count(event)
        with self._turn:  # warnings come from the memory's threads too
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event, default=str) + "\n")
            for listener in self.listeners:
                listener(event)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, in order; lines that a kill cut short are passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if (event := parse(line)) is not None:
                yield event


def close_last_line(path: Path) -> None:
    """A line cut by a kill gets its end, so that the next event stands alone."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")


def parse(line: str) -> dict[str, Any] | None:
    """One event, or None for a line that a kill cut short."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
