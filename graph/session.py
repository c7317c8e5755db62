"""A session: one process that drives one run, from its folder, until it ends or is interrupted.  A later session goes on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl

from graph.build import build_graph
from graph.events import Listener
from graph.publish import published
from graph.run import Run, RunError, close_run, make_folder, new_folder, open_run, read_meta
from graph.settings import Settings
from reasoner.protocol import Reasoner, ReasonerUnavailable, Usage
from task.client import TaskWorker

DRAIN_S = 2.0  # after a first interrupt: nodes may finish; then the running scripts are ended


@dataclass(frozen=True)
class Outcome:
    """What a session came to. `reason`: budget: …, converged, target, no valid script, or interrupted."""

    run: str
    folder: Path
    reason: str
    metric: str
    score: float | None
    score_se: float | None
    submission: Path | None
    solution: Path | None

    @property
    def interrupted(self) -> bool:
        return self.reason == "interrupted"

    def _repr_html_(self) -> str:
        score = "no valid script" if self.score is None else f"{self.metric} <b>{self.score:.5g}</b> ± {self.score_se or 0:.2g}"
        return f"<p>Gome run <code>{self.run}</code>: {score} ({self.reason})<br>submission: <code>{self.submission}</code></p>"


async def start(
    task: str, settings: Settings, *, folder: Path | None = None, listeners: Sequence[Listener] = (), reasoner: Reasoner | None = None
) -> Outcome:
    """A new run. Checks the task and the sandbox before anything is spent; raises TaskError, SandboxUnavailable, ReasonerUnavailable.

    `reasoner` takes the place of the one that the settings name (a resume needs it again).
    """
    worker = TaskWorker()
    folder = folder or new_folder(settings, task)
    fresh = not folder.exists()
    try:
        await worker.load_task(task)
        make_folder(folder, task, settings)
        run = open_run(folder)
        run.worker = worker
        spent = await preflight(run, reasoner)
        await run.sandbox.probe()
    except BaseException:
        await close_run(folder)
        await worker.close()
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return await drive(folder, listeners=listeners, spent=spent)


async def preflight(run: Run, reasoner: Reasoner | None = None) -> Usage:
    """Touches what the run cannot do without, so that a missing sandbox or key is told at once; what that cost."""
    if reasoner is not None:
        run.reasoner = reasoner
    _ = run.sandbox
    check = getattr(run.reasoner, "check", None)
    return await check() if check is not None else Usage()


async def resume(folder: Path, *, listeners: Sequence[Listener] = (), reasoner: Reasoner | None = None) -> Outcome:
    """Goes on with a run where its last session left it; a run that has ended just tells its outcome."""
    read_meta(folder)
    run = open_run(folder)
    try:
        spent = await preflight(run, reasoner)
    except BaseException:
        await close_run(folder)
        raise
    run.events.emit("run_resumed", run=run.id)
    return await drive(folder, listeners=listeners, spent=spent)


async def drive(folder: Path, *, listeners: Sequence[Listener] = (), spent: Usage | None = None) -> Outcome:
    """Drives the run under its lock. `spent` is what the check of the endpoint has cost."""
    run = open_run(folder)
    run.events.listeners.extend([page_writer(run), *listeners])
    try:
        with lock(folder):
            if spent and spent.calls:
                run.events.emit("checked", usage=spent.model_dump())
            async with checkpoints(folder) as saver:
                reason = await turn(run, saver)
            return outcome(run, reason)
    finally:
        await close_run(folder)


def page_writer(run: Run) -> Listener:
    """Writes report.html when a session ends, before the others hear of the end and name it."""

    def on_event(event: dict[str, Any]) -> None:
        if event["ev"] != "run_ended":
            return
        from report.html import write_report

        try:
            write_report(run.folder, alive=False)
        except OSError as error:
            text = f"report.html could not be written ({error.strerror}); make room, then `gome report {run.folder}`"
            run.events.emit("warning", message=text)

    return on_event


async def turn(run: Run, saver: AsyncSqliteSaver) -> str:
    """Invokes the graph from where its checkpoint stands."""
    graph = build_graph(saver)
    config: Any = {"configurable": {"thread_id": thread_id(run.id)}, "recursion_limit": 1_000_000}
    snapshot = await graph.aget_state(config)
    if snapshot.values and not snapshot.next:
        return str(snapshot.values.get("stop") or "converged")
    given: Any = None if snapshot.next else {"task": run.task_path, "run_dir": str(run.folder)}
    control = RunControl()
    going = asyncio.ensure_future(graph.ainvoke(given, config, context=run.settings, durability="sync", control=control))
    with interruptible(going, control):
        try:
            values = await going
        except (GraphDrained, asyncio.CancelledError):
            if not control.drain_requested:
                raise
            stopped(run, "interrupted")
            return "interrupted"
        except ReasonerUnavailable as error:
            stopped(run, "paused", message=str(error))
            raise ReasonerUnavailable(f"{error}. The run is paused; `gome resume {run.id}` goes on") from error
    return str(values.get("stop") or "converged")


def stopped(run: Run, reason: str, **more: str) -> None:
    """The last event of a session whose run can go on."""
    run.events.emit("run_ended", reason=reason, best=published(run.folder / "best"), seconds=round(run.events.elapsed, 1), **more)


@contextmanager
def interruptible(going: asyncio.Future[Any], control: RunControl) -> Iterator[None]:
    """Ctrl-C or SIGTERM: nothing new begins; after a moment the running scripts are ended. A second one ends them at once."""
    loop = asyncio.get_running_loop()

    def ask(name: str) -> None:
        if control.drain_requested:
            going.cancel()
            return
        control.request_drain(name)
        loop.call_later(DRAIN_S, going.cancel)

    signals = (signal.SIGINT, signal.SIGTERM)
    installed = []
    for number in signals:
        with suppress(ValueError, RuntimeError):  # not in the main thread: the caller's own handling stands
            loop.add_signal_handler(number, ask, number.name)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


def outcome(run: Run, reason: str) -> Outcome:
    best = published(run.folder / "best")
    folder = run.folder / "best"
    return Outcome(
        run=run.id,
        folder=run.folder,
        reason=reason,
        metric=run.prepared.task.metric if (run.folder / "setup.json").exists() else "",
        score=best["score"] if best else None,
        score_se=best["se"] if best else None,
        submission=folder / "submission.csv" if best else None,
        solution=folder / "solution.py" if best else None,
    )


def thread_id(run: str) -> str:
    """The run's thread in LangGraph: a UUID, as its server wants."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"gome:{run}"))


@asynccontextmanager
async def checkpoints(folder: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """The run's checkpoints: WAL (a kill loses nothing) and a serialiser that builds no classes from stored rows."""
    import aiosqlite

    path = folder / "checkpoints.sqlite"
    async with aiosqlite.connect(path, timeout=60) as connection:
        os.chmod(path, 0o600)
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield AsyncSqliteSaver(connection, serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))


def driven(folder: Path) -> bool:
    """Whether a process drives this run now."""
    try:
        with lock(folder):
            return False
    except RunError:
        return True


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One process drives a run at a time; the lock goes with the process."""
    with (folder / "run.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"{folder} is being driven by another process ({file.read().strip() or 'unknown'}); wait for it or end it"
            ) from error
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
        yield
