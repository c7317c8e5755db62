"""An open run: its folder and the services that nodes use.  Never in state; reopened from the folder after a kill."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import secrets
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from graph.settings import Settings
from memory.protocol import Memory
from reasoner.chat.endpoint.address import public_url
from reasoner.protocol import Reasoner, TaskBrief
from run.artifacts import Artifacts, cached_json, write_atomic
from run.events import Events, read
from run.history import Gists
from run.lock import RunError as RunError
from run.lock import hold, release
from run.telemetry import Spans, spans
from sandbox.protocol import Sandbox
from task.client import TaskWorker
from task.types import Prepared, TaskError

Json = dict[str, Any]


class Run:
    """Services of one run folder, bound to one event loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        meta = read_meta(folder)
        self.id: str = meta["run"]
        self.task_path: str = meta["task"]
        self.settings = Settings.model_validate(meta["settings"])
        self.artifacts = Artifacts(folder / "artifacts")
        self.events = Events(folder / "events.jsonl")
        self.worker = TaskWorker()
        self.slots = asyncio.Semaphore(n_slots(self.settings))
        self.publishing = asyncio.Lock()
        self.drafting = asyncio.Lock()
        self.loop = asyncio.get_running_loop()
        self.events.listeners.append(stream)
        self.spans: Spans | None = None
        if self.settings.otel:
            self.spans = spans(self.id, lambda text: self.events.emit("warning", message=text))
            self.events.listeners.append(self.spans.on_event)
        self.auditing = asyncio.Lock()
        self.finishing = False  # the finale may spend its reserve
        self.busy: Counter[str] = Counter()  # verbs at work now
        self.flying: dict[int, str] = {}  # by trace: the hypothesis that it runs at this moment
        self.judge: Callable[..., Any] | None = (
            None  # a study may put another rule of acceptance here (scoring.acceptance.judge) ...
        )
        self.policy: Callable[..., Any] | None = (
            None  # ... and another policy than the settings' (policies.protocol.Policy)
        )
        self.gists = Gists(self.attempt)

    # services, made when first used

    @cached_property
    def sandbox(self) -> Sandbox:
        return make_sandbox(self.settings, self.folder)

    @cached_property
    def reasoner(self) -> Reasoner:
        return make_reasoner(self.settings, lambda text: self.events.emit("warning", message=text))

    @cached_property
    def memory(self) -> Memory:
        from memory.open import open_memory

        settings = self.settings
        return open_memory(
            settings.memory,
            run=self.id,
            embedding=settings.embedding,
            ranking=settings.ranking,
            evaluation=settings.evaluation,
            on_warning=lambda text: self.events.emit("warning", message=text),
        )

    async def close(self) -> None:
        """Ends the worker, the sandbox and whatever else was opened."""
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

    def change(self, **values: Any) -> None:
        """New values of settings, kept in run.json for every later session."""
        self.settings = Settings.model_validate(self.settings.model_dump() | values)
        write_meta(self.folder, read_meta(self.folder) | {"settings": self.settings.model_dump()})

    @cached_property
    def directions(self) -> dict[int, str]:
        """One line per trace: what it drafted last; later drafts are told to differ."""
        return {
            event["trace"]: str(event.get("summary"))
            for event in read(self.events.path)
            if event.get("ev") == "drafted"
        }

    # what the profile node found out

    @cached_property
    def setup(self) -> Json:
        """{prepared, profile, brief, packages, tier}, written once by the profile node."""
        try:
            value: Json = json.loads((self.folder / "setup.json").read_text())
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder}/setup.json cannot be read ({error}); start the run anew"
            ) from error
        root = value.get("root")
        return (
            value if root in (None, str(self.folder)) else rerooted(value, {root: str(self.folder)})
        )

    @cached_property
    def prepared(self) -> Prepared:
        return Prepared.model_validate(self.setup["prepared"])

    @cached_property
    def task_brief(self) -> TaskBrief:
        return TaskBrief.model_validate(self.setup["brief"])

    # records

    def attempt(self, ref: str) -> Json:
        """An attempt's record; read-only."""
        value: Json = cached_json(self.artifacts.root, ref)
        return value

    def chain(
        self, head: str | None, *, until: str | None = None, limit: int | None = None
    ) -> list[Json]:
        """A trace's attempts from `head` back to (not including) `until`, oldest first, at most the latest `limit`."""
        found: list[Json] = []
        while head and head != until and (limit is None or len(found) < limit):
            found.append(self.attempt(head) | {"ref": head})
            head = found[-1]["prev"]
        return found[::-1]

    async def once(self, verb: str, parts: list[str], make: Callable[[], Awaitable[Json]]) -> Json:
        """The value of `make()`, kept on disk: a node that runs again after a kill finds it and repeats nothing.

        `parts` must name everything that the value depends on, so that a fork with other inputs is computed anew.
        """
        digest = hashlib.sha256(json.dumps([verb, *parts]).encode()).hexdigest()[:24]
        path = self.folder / "done" / f"{verb}-{digest}.json"
        if path.exists():
            return self.kept(path)
        self.busy[verb] += 1
        try:
            value = await make()
        finally:
            self.busy[verb] -= 1
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, json.dumps(value, default=str))
        return value

    def kept(self, path: Path) -> Json:
        """A value that `once` kept."""
        value: Json = json.loads(path.read_text())
        return value

    @property
    def time_left_s(self) -> float:
        return max(0.0, self.settings.time_s - self.events.elapsed)


def n_slots(settings: Settings) -> int:
    """Scripts that run at one time: the cores of this machine bound only what runs on it."""
    here = os.cpu_count() or 1 if settings.sandbox == "local" else settings.traces
    return settings.slots or max(1, min(settings.traces, here))


def make_sandbox(settings: Settings, folder: Path) -> Sandbox:
    from sandbox.factory import make_sandbox as make

    return make(
        settings.sandbox,
        isolation=settings.isolation,
        network=settings.network,
        gpus=settings.gpus,
        warm=settings.warm_start,
        run_dir=folder,
        e2b_template=settings.e2b_template,
        e2b_usd_per_hour=settings.e2b_usd_per_hour,
        e2b_life_s=settings.e2b_life_s,
        ray_address=settings.ray_address,
    )


def make_reasoner(settings: Settings, tell: Callable[[str], None]) -> Reasoner:
    if not settings.model:
        from reasoner.expert.engine import Expert

        return Expert(seed=settings.seed)
    from reasoner.chat.endpoint.options import Options
    from reasoner.chat.engine import make

    return make(
        Options.model_validate(settings.model_dump(include=set(Options.model_fields))), tell
    )


def stream(event: Json) -> None:
    """Every event also flows into the graph's `custom` stream, for Studio and for whoever embeds the graph."""
    from langgraph.config import get_stream_writer

    try:
        writer = get_stream_writer()
    except (
        RuntimeError,
        KeyError,
    ):  # not inside a node: a warning from a thread, or the session itself
        return
    writer(event)


# opening and making run folders

_open: dict[tuple[str, int], Run] = {}


def open_run(folder: str | Path) -> Run:
    """The run of this folder in this event loop; opened at first use. This process then holds the run's lock."""
    key = (str(Path(folder).resolve()), id(asyncio.get_running_loop()))
    for other in [
        other for other, run in _open.items() if run.loop.is_closed()
    ]:  # its services died with their loop
        del _open[other]
    if key not in _open:
        hold(Path(key[0]))
        _open[key] = Run(Path(key[0]))
    return _open[key]


async def close_run(folder: str | Path) -> None:
    key = (str(Path(folder).resolve()), id(asyncio.get_running_loop()))
    if run := _open.pop(key, None):
        await run.close()
        if not any(path == key[0] for path, _ in _open):
            release(Path(key[0]))


def new_folder(settings: Settings, task: str) -> Path:
    """A fresh name for a run folder: time, task, four random letters."""
    name = "".join(c if c.isalnum() else "-" for c in Path(task).resolve().name)[:40] or "task"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path(settings.runs_dir).expanduser().resolve() / f"{stamp}-{name}-{secrets.token_hex(2)}"


def make_folder(folder: Path, task: str, settings: Settings) -> None:
    """run.json and the folders of a new run. A folder that is already a run is left as it is."""
    if (folder / "run.json").exists():
        return
    try:
        for name in ("artifacts", "public", "private", "work", "best"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "private").chmod(0o700)
        settings = settings.model_copy(update={"base_url": public_url(settings.base_url)})
        meta = {
            "schema": 1,
            "run": folder.name,
            "task": str(Path(task).expanduser().resolve()),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "settings": settings.model_dump(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": versions(),
            "prompts": prompts(settings),
            "argv": sys.argv[:1],
        }
        write_meta(folder, meta)
    except OSError as error:
        raise TaskError(
            f"{folder}: the run folder cannot be written ({error.strerror}); choose another place with --runs-dir"
        ) from error


def prompts(settings: Settings) -> str | None:
    """Version of the prompts that a model is asked with."""
    if not settings.model:
        return None
    from reasoner.chat.prompt.render import prompt_hash

    return prompt_hash()


def write_meta(folder: Path, meta: Json) -> None:
    write_atomic(folder / "run.json", json.dumps(meta, indent=2))


def rerooted(value: Any, moved: dict[str, str]) -> Any:
    """The same JSON with every path below an old folder put below the new one."""
    if isinstance(value, dict):
        return {key: rerooted(each, moved) for key, each in value.items()}
    if isinstance(value, list):
        return [rerooted(each, moved) for each in value]
    if isinstance(value, str):
        for old, new in moved.items():
            if value == old or value.startswith(old + "/"):
                return new + value[len(old) :]
    return value


def read_meta(folder: Path) -> Json:
    try:
        meta: Json = json.loads((folder / "run.json").read_text())
    except OSError as error:
        raise RunError(
            f"{folder} is not a run folder (no run.json); `gome ls` lists the runs"
        ) from error
    except ValueError as error:
        raise RunError(
            f"{folder}/run.json is damaged ({error}); the run cannot be resumed"
        ) from error
    return meta


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in (
        "gome",
        "langgraph",
        "langchain-core",
        "langchain-openai",
        "chromadb",
        "scikit-learn",
        "lightgbm",
        "pandas",
        "numpy",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
