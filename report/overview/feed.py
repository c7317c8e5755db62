"""The runs below a folder, read again as their events grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from report.compare_runs import ComparedRun
from report.event_log import EventTail, run_state
from report.model import RunView
from report.overview.rows import RunRow, describe_run
from report.projection import apply_events

MIN_INTERVAL_S = 0.5  # between two looks at the folder
IsAlive = Callable[[Path], bool]


class RunsFeed:
    """Current views of all runs; threads may share it.

    `is_alive` tells whether a process drives a run folder.
    """

    def __init__(self, runs_dir: Path, is_alive: IsAlive) -> None:
        self.runs_dir, self.is_alive = runs_dir, is_alive
        self._lock = threading.Lock()
        self._tails: dict[str, EventTail] = {}
        self._runs: dict[str, ComparedRun] = {}
        self._looked = 0.0

    def list_runs(self) -> list[ComparedRun]:
        """Return all runs, the newest first."""
        with self._lock:
            self._look_again()
            return sorted(self._runs.values(), key=lambda run: run.folder.name, reverse=True)

    def find_run(self, name: str) -> ComparedRun | None:
        """Return the run whose folder has exactly this name; a name is never made a path."""
        with self._lock:
            self._look_again()
            return self._runs.get(name)

    def list_rows(self) -> list[RunRow]:
        """Return a row per run, the newest first."""
        now = time.time()
        return [describe_run(run.folder, run.view, run.state, now) for run in self.list_runs()]

    def _look_again(self) -> None:
        if time.monotonic() - self._looked < MIN_INTERVAL_S and self._looked:
            return
        folders = {path.parent.name: path.parent for path in self.runs_dir.glob("*/run.json")}
        self._runs = {name: self._read_run(folder) for name, folder in folders.items()}
        self._tails = {name: tail for name, tail in self._tails.items() if name in folders}
        self._looked = time.monotonic()

    def _read_run(self, folder: Path) -> ComparedRun:
        """Apply the new events of a run; a file that was replaced is read from its start."""
        tail = self._tails.setdefault(folder.name, EventTail(folder / "events.jsonl"))
        known = self._runs.get(folder.name)
        before = tail.offset
        events = list(tail.poll())
        is_new = known is None or tail.offset < before
        view = apply_events(events, RunView() if is_new or known is None else known.view)
        alive = view.ended is None and self.is_alive(folder)
        return ComparedRun(folder, view, run_state(view, time.time(), alive))
