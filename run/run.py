"""An open run: its folder and the services that nodes use.

Never in the state; reopened from the folder after a kill.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel, ValidationError

from graph.settings import Settings, load_settings
from graph.state import Json
from memory.protocol import Memory
from reasoner.protocol import ProbeFinding, Reasoner, TaskBrief
from run.artifacts import Artifacts, read_regular, write_atomic
from run.attempt import Attempt, load_attempt
from run.blackboard import Blackboard
from run.events import Events, iterate_events
from run.folder import check_regular_files, read_run_meta, write_run_meta
from run.history import History
from run.ledger import LiveLedger
from run.lock import RunError
from run.pace import Pace
from run.probes import read_probes
from run.services import count_slots, memory_for, reasoner_for, sandbox_for, shelf_for, stream_event
from run.setup import Setup, read_setup
from run.telemetry import RunSpans, make_spans
from run.trackers.listener import TrackListener, make_track_listener
from run.transcripts import keep_transcripts
from sandbox.protocol import Sandbox
from task.client import TaskWorker
from task.types import Prepared

if TYPE_CHECKING:
    from memory.recipes.shelf import RecipeShelf

Value = TypeVar("Value", bound=BaseModel)
REMADE_FOLDERS = ("artifacts", "best", "work")  # where one was removed
MIN_WORKER_S, WORKER_SHARE = 60.0, 0.1  # of the run's time, for a worker call after its end


def name_done(verb: str, parts: list[str]) -> str:
    """Return the name of the file in done/ in which `Run.once` stores a step."""
    digest = hashlib.sha256(json.dumps([verb, *parts]).encode()).hexdigest()[:24]
    return f"{verb}-{digest}.json"


def _stored_settings(folder: Path, stored: Json) -> Settings:
    """The settings in run.json. Raises RunError."""
    try:
        return load_settings(stored)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{folder}/run.json: the setting {where[:60]!r} cannot be used ({first['msg']}); "
            "correct it there"
        ) from None


class Run:
    """Services of one run folder, bound to one event loop."""

    def __init__(self, folder: Path, *, trust: bool = False) -> None:
        """Open the run; `trust`: the user accepts a metric file that came with it.

        Raises:
            RunError: a file of the run cannot be used.
        """
        self.folder = folder
        check_regular_files(folder)
        for name in REMADE_FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        meta = read_run_meta(folder)
        self.id: str = meta["run"]
        self.task_path: str = meta["task"]
        self.settings = _stored_settings(folder, meta["settings"])
        self.artifacts = Artifacts(folder / "artifacts")
        self.events = Events(folder / "events.jsonl")
        self.worker = TaskWorker(folder, trust=trust, isolation=self.settings.isolation)
        self.worker.limit_s = self.worker_limit_s
        self.history = History(self.attempt)
        self.loop = asyncio.get_running_loop()
        self.slots = asyncio.Semaphore(count_slots(self.settings))
        self.failed_places: set[str] = set()  # nodes that failed last by a fault of ours
        self.pace = Pace()
        self.publishing = asyncio.Lock()
        self.drafting = asyncio.Lock()
        self.auditing = asyncio.Lock()
        self._being_made: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        known = iterate_events(self.events.path)
        self.ledger = LiveLedger(known, sharing=self.settings.sharing)
        self.events.listeners.append(self.ledger.on_event)
        self.events.listeners.append(stream_event)
        self.spans: RunSpans | None = None
        if self.settings.otel:
            self.spans = make_spans(self.id, self.warn)
            self.events.listeners.append(self.spans.on_event)
        self.tracking: TrackListener | None = None
        if self.settings.track:
            stored = self.settings.model_dump()
            self.tracking = make_track_listener(self.settings.track, folder, stored, self.warn)
            self.tracking.recall_events(iterate_events(self.events.path))
            self.events.listeners.append(self.tracking.on_event)

    def warn(self, message: str) -> None:
        """Record a warning in the run's events."""
        self.events.emit("warning", message=message)

    def note_embedding(self, name: str, note: str) -> None:
        """Record with which embedding the memory compares texts, from any thread."""
        self.events.emit("embedding", key=name, name=name, note=note)
        used = {"name": name, "note": note}
        self.loop.call_soon_threadsafe(self._change_meta, {"embedding": used})

    def _change_meta(self, values: Json) -> None:
        write_run_meta(self.folder, read_run_meta(self.folder) | values)

    # services, made when first used

    @cached_property
    def sandbox(self) -> Sandbox:
        """The sandbox that scripts run in."""
        return sandbox_for(self.settings, self.folder)

    @cached_property
    def reasoner(self) -> Reasoner:
        """The reasoner."""
        return reasoner_for(self.settings, self.warn)

    @cached_property
    def memory(self) -> Memory:
        """The success memory."""
        return memory_for(self.settings, self.id, self.warn, self.note_embedding)

    @cached_property
    def shelf(self) -> RecipeShelf:
        """The recipes that prompts may offer."""
        return shelf_for(self.settings, self.memory, self.warn)

    @cached_property
    def board(self) -> Blackboard:
        """What the traces know of each other now; directions survive a resume."""
        board = Blackboard()
        for event in iterate_events(self.events.path):
            if event.get("ev") == "drafted" and isinstance(event.get("trace"), int):
                board.set_direction(event["trace"], str(event.get("summary")))
        return board

    @property
    def probes(self) -> list[ProbeFinding]:
        """What looks at the data printed, oldest first; bounded."""
        return read_probes(self.folder, self.events)

    async def close(self) -> None:
        """End the worker, the sandbox and whatever else was opened."""
        made = vars(self)
        await self.worker.close()
        if "sandbox" in made:
            await self.sandbox.close()
        if "reasoner" in made:
            await self.reasoner.close()
        if "memory" in made:
            await asyncio.to_thread(self.memory.close)
        if self.spans:
            await asyncio.to_thread(self.spans.close)
        if self.tracking:
            await asyncio.to_thread(self.tracking.close)

    def change_settings(self, **values: Any) -> None:
        """Set new values and store them in run.json for every later session."""
        self.settings = Settings.model_validate(self.settings.model_dump() | values)
        self._change_meta({"settings": self.settings.model_dump()})

    # what the profile node found out

    @cached_property
    def setup(self) -> Setup:
        """Written once, by the profile node."""
        return read_setup(self.folder)

    @property
    def prepared(self) -> Prepared:
        """The prepared task."""
        return self.setup.prepared

    @property
    def task_brief(self) -> TaskBrief:
        """The task as a reasoner sees it."""
        return self.setup.brief

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.prepared.task.direction == "max" else -1

    # records

    def attempt(self, ref: str) -> Attempt:
        """Return the attempt of this hash."""
        return load_attempt(self.artifacts.root, ref)

    def chain(
        self, head: str | None, *, until: str | None = None, limit: int | None = None
    ) -> list[Attempt]:
        """Return a trace's attempts from `head` back to (not including) `until`, oldest first.

        `limit`: at most so many, the latest.
        """
        attempts: list[Attempt] = []
        while head and head != until and (limit is None or len(attempts) < limit):
            attempts.append(self.attempt(head))
            head = attempts[-1].prev
        return attempts[::-1]

    def keeping_calls(self, verb: str, name: str = "") -> AbstractContextManager[None]:
        """Keep the exchanges with models in the block; `name`: of the attempt, or its script."""
        wanted = self.settings.transcripts
        return keep_transcripts(self.folder, self.events, verb, name, wanted=wanted)

    async def once(
        self, verb: str, parts: list[str], make: Callable[[], Awaitable[Value]], model: type[Value]
    ) -> Value:
        """Return the value of `make()`, stored on disk.

        A node that runs again after a kill finds it and repeats nothing, and a trace that needs
        what another one makes at this moment waits for it. `parts` identify the step within its run
        (attempt, script, diagnosis, …); they do not list all inputs of an answer, such as history,
        hints and settings. So a fork that changes a setting gets no `done/` but the answers of the
        audit.
        """
        path = self._done_path(verb, parts)
        async with self._being_made.setdefault(path, asyncio.Lock()):
            if path.is_file():
                try:
                    return model.model_validate_json(path.read_bytes())
                except ValidationError:
                    self.warn(f"{path} was damaged; its work is done again")
            value = await make()
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, value.model_dump_json())
        return value

    def read_done(self, verb: str, model: type[Value]) -> list[Value | None]:
        """Return what `once` has stored of a verb; None for a value that is damaged."""
        values = list[Value | None]()
        for path in sorted((self.folder / "done").glob(f"{verb}-*.json")):
            try:
                values.append(model.model_validate_json(read_regular(path)))
            except (OSError, ValidationError):
                values.append(None)
        return values

    def read_stored(self, verb: str, parts: list[str], model: type[Value]) -> Value | None:
        """Return what `once` has stored of a step; None: nothing, or it is damaged."""
        try:
            return model.model_validate_json(read_regular(self._done_path(verb, parts)))
        except (OSError, ValidationError):
            return None

    def is_done(self, verb: str, parts: list[str]) -> bool:
        """Whether `once` has a stored value for this step."""
        return self._done_path(verb, parts).is_file()

    def _done_path(self, verb: str, parts: list[str]) -> Path:
        return self.folder / "done" / name_done(verb, parts)

    def worker_limit_s(self) -> float:
        """Return how long a call of the task worker may take: the run's own time limit holds.

        Some time is always left for the last steps, which hand over the submission.
        """
        return max(self.time_left_s, MIN_WORKER_S, WORKER_SHARE * self.settings.time_s)

    @property
    def time_left_s(self) -> float:
        """Seconds of the run's time that are left."""
        return max(0.0, self.settings.time_s - self.events.elapsed)
