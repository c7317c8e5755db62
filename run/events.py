"""The run's events: append-only JSON lines, which console, report and plots listen to.

An event with a key is written once however often its node runs again after a crash.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graph.state import Json, Used

PROBED = "probed"  # a look at the data
SCRIPTED = frozenset({"drafted", "updated", "repaired"})
# events whose usage counts as tokens or money
SPENDING = SCRIPTED | {
    "diagnosed",
    "reviewed",
    "unanswered",
    "checked",
    "rehearsed",
    "execution_finished",
    "labels_checked",
    PROBED,
}
ENDS = frozenset({"finalized", "run_ended"})  # the latest of each counts
MAX_AMOUNT = 1e15
Listener = Callable[[Json], None]


class Events:
    """Writer of events.jsonl, which also counts what the run has spent over all its sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners: list[Listener] = []
        self._lock = threading.RLock()
        self._keys: set[str] = set()
        self._latest: dict[str, Json] = {}  # of ENDS
        self._executions, self._tokens, self._usd = 0, 0, 0.0
        self._bytes, self._digest = 0, hashlib.sha256()
        self.probed: list[Json] = []
        self.at_least = Used()
        self.unanswered = 0  # steps in a row without a script from the reasoner, in this session
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
        """Active seconds of the run over all its sessions."""
        return time.monotonic() - self._began

    @property
    def used(self) -> Used:
        """What the run has spent over all its sessions."""
        known = self.at_least
        return Used(
            time_s=self.elapsed,
            executions=max(known.executions, self._executions),
            tokens=max(known.tokens, self._tokens),
            usd=max(known.usd, self._usd),
        )

    @property
    def extent(self) -> tuple[int, str]:
        """Bytes of the file and their sha256."""
        return self._bytes, self._digest.hexdigest()

    def raise_used(self, used: Used) -> None:
        """Count at least this much as spent: a checkpoint may know more than a damaged file."""
        self.at_least = used
        self._began = min(self._began, time.monotonic() - used.time_s)

    @contextmanager
    def pause_clock(self) -> Iterator[None]:
        """Leave the time of the block out of `elapsed`, for waiting for a person."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

    def _count(self, event: Json) -> None:
        ev, usage = str(event.get("ev")), event.get("usage")
        if event.get("key"):
            self._keys.add(f"{ev}:{event['key']}")
        if ev in ENDS:
            self._latest[ev] = event
        if ev == "execution_finished" and event.get("refit") is not True:  # it brings no score
            self._executions += 1
        if ev == PROBED:
            self.probed.append(event)
        if ev == "unanswered":
            self.unanswered += 1
        elif ev in SCRIPTED or ev == "run_resumed":
            self.unanswered = 0
        if ev in SPENDING and isinstance(usage, dict):
            tokens = [usage.get("input_tokens"), usage.get("output_tokens")]
            self._tokens += int(sum(to_amount(n) for n in tokens))
            self._usd += to_amount(usage.get("usd"))

    def emit(self, ev: str, *, key: str = "", **data: Any) -> None:
        """Append an event and send it to the listeners; a known `key` is not written again."""
        if key and f"{ev}:{key}" in self._keys:
            return
        event = {"t": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "ev": ev, **data}
        if key:
            event["key"] = key
        self._count(event)
        line = (json.dumps(event, default=str) + "\n").encode()
        with self._lock:  # warnings come from the memory's threads too
            with self.path.open("ab") as file:
                file.write(line)
            self._bytes += len(line)
            self._digest.update(line)
            for listener in self.listeners:
                listener(event)

    def emit_end(self, ev: str, said: Json, **more: Any) -> None:
        """Append one of ENDS unless the latest of its name says the same.

        A finale that runs again after a kill repeats nothing; one that decides otherwise is told.
        """
        latest = self._latest.get(ev, {})
        if any(name not in latest or latest[name] != value for name, value in said.items()):
            self.emit(ev, **said, **more)

    def emit_live(self, ev: str, **data: Any) -> None:
        """Send an event to the listeners without storing it; files of long runs stay small."""
        event = {"t": round(time.time(), 3), "elapsed": round(self.elapsed, 3), "ev": ev, **data}
        with self._lock:
            for listener in self.listeners:
                listener(event)


def iterate_events(path: Path) -> Iterator[Json]:
    """Yield the events of a file in order; skip lines that a kill cut short."""
    for line in read_lines(path):
        if (event := parse_event(line)) is not None:
            yield event


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; none if it does not exist."""
    if path.is_file():  # a FIFO would never answer
        with path.open("rb") as file:
            yield from file


def is_prefix(path: Path, size: int, sha256: str) -> bool:
    """Whether the file's first `size` bytes have this hash."""
    digest, left = hashlib.sha256(), size
    for line in read_lines(path):
        if left <= 0:
            break
        digest.update(line[:left])
        left -= len(line)
    return left <= 0 and digest.hexdigest() == sha256


def to_amount(value: object) -> float:
    """Return a stored number of seconds, tokens or dollars; 0 for one that none can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value <= MAX_AMOUNT else 0.0  # false for NaN


def close_last_line(path: Path) -> None:
    """End a line that a kill cut short, so that the next event gets its own line."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")


def parse_event(line: str | bytes) -> Json | None:
    """Return the event of a line, or None if a kill cut the line short."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
