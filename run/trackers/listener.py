"""A listener that passes a run's attempts and result to a tracker, in a thread of its own.

The run never waits for a tracker but at its end, for at most `CLOSE_S`, and a tracker that fails
costs one warning. RUN/track.json names the tracker's run, so that a resumed run continues it.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from graph.settings import carried_settings
from graph.state import Json
from run.artifacts import write_atomic
from run.chain import list_scripts
from run.lock import RunError
from run.trackers.mlflow_run import MlflowRun, check_mlflow
from run.trackers.protocol import (
    MAX_TEXT,
    AttemptFacts,
    EndFacts,
    RunFacts,
    Tracker,
    TrackerError,
)
from run.trackers.wandb_run import WandbRun, check_wandb

CLOSE_S = 120.0
STATE = "track.json"
HANDED_FILES = ("solution.py", "submission.csv", "best.json", "plots.json")
TEXTS = ("kind", "parent", "component", "hypothesis", "why")
NUMBERS = ("trace", "step", "score", "score_se", "gain", "gain_se", "seconds", "repairs")


class TrackListener:
    """Follows the events of one session; `close` ends it."""

    def __init__(
        self, tracker: Tracker, folder: Path, settings: Json, warn: Callable[[str], None]
    ) -> None:
        """Start nothing yet.

        Args:
            tracker: where to record.
            folder: the run folder.
            settings: of the run; what names places or services is left out.
            warn: records a warning of the run.
        """
        self._tracker, self._folder, self._warn = tracker, folder, warn
        carried = carried_settings()
        self._settings = {name: value for name, value in settings.items() if name in carried}
        self._events: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed = False
        self._started: Json = {}
        self._n_attempts = 0
        self._best: float | None = None
        self._last: Json = {}

    def recall_events(self, events: Iterable[Json]) -> None:
        """Take over the counts of earlier sessions."""
        for event in events:
            self._note_event(event)

    def on_event(self, event: Json) -> None:
        """Queue an event; the thread does the rest."""
        if event["ev"] not in ("run_started", "attempt", "merged", "run_ended") or self._failed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="gome-tracker", daemon=True)
            self._thread.start()
        self._events.put(event)

    def close(self) -> None:
        """Wait for the tracker, at most `CLOSE_S`; then the run ends without it."""
        if self._thread is None:
            return
        self._events.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self._failed = True
            self._warn(f"{self._tracker.name} does not answer; the run ended without it")

    def _work(self) -> None:
        try:
            self._record_events()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a service of others: whatever it raises is one warning
            if not self._failed:
                self._failed = True
                self._warn(f"{self._tracker.name}: {describe_error(error)}; the run continues")

    def _record_events(self) -> None:
        is_open = False
        while (event := self._events.get()) is not None:
            self._note_event(event)
            if not is_open:
                self._open_run()
                is_open = True
            if event["ev"] == "attempt":
                self._tracker.add_attempt(attempt_facts(event, self._n_attempts, self._best))
        if is_open:
            self._tracker.end(self._describe_end())

    def _note_event(self, event: Json) -> None:
        name = event.get("ev")
        if name == "run_started":
            self._started = event
        elif name == "attempt":
            self._n_attempts += 1
            self._improve_best(event)
        elif name == "run_ended":
            self._last = event

    def _improve_best(self, event: Json) -> None:
        score = event.get("score")
        leads = event.get("replaces") or event.get("kind") == "ensemble"
        if isinstance(score, float) and leads and event.get("verdict") in ("accepted", "tie"):
            sign = -1 if self._started.get("direction") == "min" else 1
            if self._best is None or sign * score > sign * self._best:
                self._best = score

    def _open_run(self) -> None:
        path = self._folder / STATE
        known = read_known_run(path, self._tracker.name)
        facts = RunFacts(
            id=str(self._started.get("run") or self._folder.name),
            task=str(self._started.get("task") or "gome")[:MAX_TEXT],
            metric=str(self._started.get("metric", "")),
            direction=str(self._started.get("direction", "max")),
            settings=self._settings,
        )
        id = self._tracker.start(facts, known)
        if id != known:
            write_atomic(path, json.dumps({"tracker": self._tracker.name, "run": id}))

    def _describe_end(self) -> EndFacts:
        best = self._last.get("best") or {}
        reason = str(self._last.get("message") or self._last.get("reason") or "interrupted")
        is_final = (self._folder / "best" / "best.json").is_file() and self._last.get(
            "reason"
        ) not in (None, "interrupted", "waiting", "paused")
        return EndFacts(
            reason=reason,
            is_final=is_final,
            best=best.get("score"),
            attempt=str(best.get("attempt", "")),
            files=list_handed_files(self._folder),
        )


def list_handed_files(folder: Path) -> dict[str, Path]:
    """Return the files of best/ by name: no links, so no input data; and the report."""
    best = folder / "best"
    paths = [best / name for name in HANDED_FILES] + list_scripts(best)
    files = {f"best/{path.relative_to(best)}": path for path in paths}
    files["report.html"] = folder / "report.html"
    return {name: path for name, path in files.items() if path.is_file() and not path.is_symlink()}


def attempt_facts(event: Json, number: int, best: float | None) -> AttemptFacts:
    """Return the facts of an attempt's event."""
    usage = event.get("usage") or {}
    numbers = {name: event.get(name) for name in NUMBERS}
    numbers |= {name: usage.get(name) for name in ("input_tokens", "output_tokens", "usd")}
    known = {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return AttemptFacts(
        id=str(event["id"]),
        number=number,
        t=float(event["t"]),
        seconds=known.get("seconds", 0.0),
        verdict=str(event.get("verdict", "")),
        texts={name: str(event[name])[:MAX_TEXT] for name in TEXTS if event.get(name)},
        numbers=known,
        best=best,
    )


def read_known_run(path: Path, tracker: str) -> str:
    """Return the id of the tracker's run of an earlier session; empty without one."""
    try:
        state = json.loads(path.read_text())
        return str(state["run"]) if state["tracker"] == tracker else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def describe_error(error: BaseException) -> str:
    """Return the first line of an error, bounded."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")


def make_track_listener(
    track: str, folder: Path, settings: Json, warn: Callable[[str], None]
) -> TrackListener:
    """Return the listener of the setting `track`.

    Raises:
        RunError: the extra is not installed.
    """
    try:
        tracker: Any
        if track == "mlflow":
            check_mlflow()
            tracker = MlflowRun()
        else:
            check_wandb()
            tracker = WandbRun(folder)
    except TrackerError as error:
        raise RunError(str(error)) from None
    return TrackListener(tracker, folder, settings, warn)
