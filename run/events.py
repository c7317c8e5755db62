"""The run's events: append-only JSON lines that console, report and plots listen to.

An event with a key is written once however often its node runs again after a crash.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graph.state import Used

SCRIPTED = frozenset({"drafted", "updated", "repaired"})
SPENDING = SCRIPTED | {
    "diagnosed",
    "reviewed",
    "unanswered",
    "checked",
    "execution_finished",
}  # tokens or money
Listener = Callable[[dict[str, Any]], None]


class Events:
    """Writer of events.jsonl. `elapsed` counts the run's active seconds over all of its sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners: list[Listener] = []
        self._turn = threading.RLock()
        self._keys: set[str] = set()
        self._executions, self._tokens, self._usd = 0, 0, 0.0
        self._bytes, self._digest = 0, hashlib.sha256()
        self.at_least = Used()
        self.unanswered = 0  # steps in a row that the reasoner gave no script for, in this session
        elapsed = 0.0
        close_last_line(path)
        for line in read_lines(path):
            self._bytes += len(line)
            self._digest.update(line)
            if (event := parse_event(line)) is not None:
                self._count(event)
                elapsed = max(elapsed, to_amount(event.get("elapsed")))
        self._began = time.monotonic() - elapsed

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def used(self) -> Used:
        """What the run has spent, resumes included."""
        known = self.at_least
        return Used(
            time_s=self.elapsed,
            executions=max(known.executions, self._executions),
            tokens=max(known.tokens, self._tokens),
            usd=max(known.usd, self._usd),
        )

    @property
    def mark(self) -> tuple[int, str]:
        """How long the file is and the hash of it."""
        return self._bytes, self._digest.hexdigest()

    def spent(self, used: Used) -> None:
        """The run has spent at least this much: what a checkpoint knows of events that were lost."""
        self.at_least = used
        self._began = min(self._began, time.monotonic() - used.time_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here is not the run's: it waits for a person."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

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
            self._tokens += int(
                to_amount(usage.get("input_tokens")) + to_amount(usage.get("output_tokens"))
            )
            self._usd += to_amount(usage.get("usd"))

    def emit(self, ev: str, *, key: str = "", **data: Any) -> None:
        if key and f"{ev}:{key}" in self._keys:
            return
        event = {"t": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "ev": ev, **data}
        if key:
            event["key"] = key
        self._count(event)
        line = (json.dumps(event, default=str) + "\n").encode()
        with self._turn:  # warnings come from the memory's threads too
            with self.path.open("ab") as file:
                file.write(line)
            self._bytes += len(line)
            self._digest.update(line)
            for listener in self.listeners:
                listener(event)

    def live(self, ev: str, **data: Any) -> None:
        """Told to whoever listens now and kept nowhere: what matters only while it happens. The file of a long run does not grow by it."""
        event = {"t": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "ev": ev, **data}
        with self._turn:
            for listener in self.listeners:
                listener(event)


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, in order; lines that a kill cut short are passed over."""
    for line in read_lines(path):
        if (event := parse_event(line)) is not None:
            yield event


def read_lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def is_prefix(path: Path, size: int, sha256: str) -> bool:
    """Whether the file's first `size` bytes are still those that had this hash."""
    digest, left = hashlib.sha256(), size
    for line in read_lines(path):
        if left <= 0:
            break
        digest.update(line[:left])
        left -= len(line)
    return left <= 0 and digest.hexdigest() == sha256


def to_amount(value: object) -> float:
    """A count of seconds, tokens or dollars as a file tells it: finite and not negative, else 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
    ):
        return 0.0
    return float(value)


def close_last_line(path: Path) -> None:
    """A line cut by a kill gets its end, so that the next event stands alone."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")


def parse_event(line: str | bytes) -> dict[str, Any] | None:
    """One event, or None for a line that a kill cut short."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
