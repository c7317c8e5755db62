"""A session: one process that drives one run, from its folder, until it ends or is interrupted.  A later session goes on."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command

from graph.build import build_graph
from graph.settings import Settings
from reasoner.protocol import Reasoner, ReasonerUnavailable, Usage
from report.model import Attempt
from run.best import published
from run.checkpoints.open import Saver, check_url, open_checkpoints, thread_id
from run.events import Listener, read
from run.lock import hold, lock, release
from run.run import Json, Run, close_run, make_folder, new_folder, open_run, read_meta
from run.steering import Answer, Question
from session.disk_errors import corrupt, saving
from session.recovery import Damaged, from_last_round, set_aside, settle, standing, warn
from session.rollback import repair as repaired
from session.signals import interruptible
from task.client import TaskWorker

Ask = Callable[[Question], Answer | None]  # None: no answer now; the run waits for one


@dataclass(frozen=True)
class Outcome:
    """What a session came to. `reason`: budget: …, converged, target, no valid script, interrupted, or waiting for an answer."""

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

    @property
    def waiting(self) -> bool:
        return self.reason == "waiting"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.folder / "report.html"

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt, in order: verdict, score, gain, hypothesis; `pandas.DataFrame(outcome.attempts)` makes a table of them."""
        from report.events import load

        return list(load(self.folder).attempts.values())

    def _repr_html_(self) -> str:
        from report.notebook import outcome_html

        return outcome_html(self.folder, str(self.submission or "none"), self.reason)


async def start(
    task: str,
    settings: Settings,
    *,
    folder: Path | None = None,
    listeners: Sequence[Listener] = (),
    reasoner: Reasoner | None = None,
    ask: Ask | None = None,
    config: Json | None = None,
) -> Outcome:
    """A new run. Checks the task and the sandbox before anything is spent; raises TaskError, SandboxUnavailable, ReasonerUnavailable.

    `reasoner` takes the place of the one that the settings name (a resume needs it again). `ask` puts a question of the
    run (settings.steer) to a person. `config`: callbacks, tags and metadata as LangChain takes them.
    """
    check_url(settings.checkpoint)
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
    return await drive(
        folder,
        listeners=listeners,
        ask=ask,
        config=config,
        checkpoint=settings.checkpoint,
        spent=spent,
    )


async def preflight(run: Run, reasoner: Reasoner | None = None) -> Usage:
    """Touches what the run cannot do without, so that a missing sandbox or key is told at once; what that cost."""
    if reasoner is not None:
        run.reasoner = reasoner
    _ = run.sandbox
    check = getattr(run.reasoner, "check", None)
    return await check() if check is not None else Usage()


async def resume(
    folder: Path,
    *,
    listeners: Sequence[Listener] = (),
    reasoner: Reasoner | None = None,
    ask: Ask | None = None,
    config: Json | None = None,
    checkpoint: str = "",
    repair: bool = False,
) -> Outcome:
    """Goes on with a run where its last session left it; a run that has ended just tells its outcome.

    `checkpoint`: the run's Postgres address again where it needs its password. `repair`: back to the last round whose files are whole.
    """
    read_meta(folder)
    try:
        with saving(folder):
            hold(folder)
            done = repaired(folder) if repair else ""
            run = open_run(folder)
            spent = await preflight(run, reasoner)
    except BaseException:
        await close_run(folder)
        release(folder)
        raise
    return await drive(
        folder,
        listeners=listeners,
        ask=ask,
        config=config,
        checkpoint=check_url(checkpoint),
        spent=spent,
        again=done,
    )


def last_word(run: Run) -> str:
    """How the session before this one ended."""
    latest = ""
    for event in read(run.events.path):
        latest = str(event.get("reason", "")) if event.get("ev") == "run_ended" else ""
    return (
        latest
        or "killed: the last session ended without a word (kill -9, no memory left, or power); nothing finished is run again"
    )


async def drive(
    folder: Path,
    *,
    listeners: Sequence[Listener] = (),
    ask: Ask | None = None,
    config: Json | None = None,
    checkpoint: str = "",
    spent: Usage | None = None,
    again: str | None = None,
) -> Outcome:
    """Drives the run under its lock. `spent` is what the check of the endpoint has cost; `again`: it is resumed, and what was repaired."""
    run = open_run(folder)
    run.events.listeners.extend([page_writer(run), *listeners])
    try:
        with lock(folder), saving(folder):
            if again is not None:
                run.events.emit("run_resumed", run=run.id, after=last_word(run))
            if again:
                warn(run, again)
            if spent and spent.calls:
                run.events.emit("checked", usage=spent.model_dump())
            reason = await recovered(run, ask, config or {}, checkpoint or run.settings.checkpoint)
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


async def seat(folder: Path) -> None:
    """The run's thread made ready for another driver of the graph (a server): checked, and back in its place where that was lost."""
    read_meta(folder)
    try:
        with lock(folder), saving(folder):
            run = open_run(folder)
            async with open_checkpoints(folder) as saver:
                graph, config = (
                    build_graph(saver),
                    {"configurable": {"thread_id": thread_id(run.id)}},
                )
                if not await standing(run, graph, config):
                    await from_last_round(run, graph, config)
    finally:
        await close_run(folder)


async def recovered(run: Run, ask: Ask | None, config: Json, url: str) -> str:
    """A turn from the checkpoints, or where they cannot be used from the last whole round."""
    try:
        async with open_checkpoints(run.folder, url) as saver:
            return await turn(run, saver, ask, config)
    except (Damaged, sqlite3.DatabaseError) as error:
        if url or not isinstance(error, Damaged) and not corrupt(error):
            raise
        kept = set_aside(run.folder / "checkpoints.sqlite")
        warn(
            run,
            f"{error}; kept as {kept.name if kept else 'nothing'}, the run goes on from its last merge and runs nothing finished again",
        )
    async with open_checkpoints(run.folder, url) as saver:
        return await turn(run, saver, ask, config)


async def turn(run: Run, saver: Saver, ask: Ask | None, extra: Json) -> str:
    """Invokes the graph from where its checkpoint stands."""
    graph = build_graph(saver)
    config: Any = {**extra, "configurable": {"thread_id": thread_id(run.id)}}
    stand = await standing(run, graph, config)
    if stand and not stand.unfinished:
        return str(stand.state.get("stop") or "converged")
    given: Any = None
    if not stand and not await from_last_round(run, graph, config):
        given = {"task": run.task_path, "run_dir": str(run.folder)}
    if given is None:
        state: Any = (await graph.aget_state(config)).values
        await settle(run, state)
    return await conversation(run, graph, config, given, ask)


async def conversation(run: Run, graph: Any, config: Any, given: Any, ask: Ask | None) -> str:
    """The graph until its end, with a person's answers where it asks."""
    while True:
        values = await invoked(run, graph, config, given)
        if values is None:
            return stopped(run, "interrupted")
        asked = values.get("__interrupt__")
        if not asked:
            return str(values.get("stop") or "converged")
        if ask is None:
            return stopped(run, "waiting")
        with run.events.paused():
            answer = ask(Question.model_validate(asked[0].value))
        if answer is None:
            return stopped(run, "waiting")
        given = Command(resume=answer.model_dump())


async def invoked(run: Run, graph: Any, config: Any, given: Any) -> Json | None:
    """The graph's values, or None when a signal ended it."""
    control = RunControl()
    going = asyncio.ensure_future(
        graph.ainvoke(given, config, context=run.settings, durability="sync", control=control)
    )
    with interruptible(going, control):
        try:
            values: Json = await going
        except (GraphDrained, asyncio.CancelledError):
            if not control.drain_requested:
                raise
            return None
        except ReasonerUnavailable as error:
            stopped(run, "paused", message=str(error))
            raise ReasonerUnavailable(
                f"{error}. The run is paused; `gome resume {run.id}` goes on"
            ) from error
    return values


def stopped(run: Run, reason: str, **more: str) -> str:
    """The last event of a session whose run can go on."""
    run.events.emit(
        "run_ended",
        reason=reason,
        best=published(run.folder / "best"),
        seconds=round(run.events.elapsed, 1),
        **more,
    )
    return reason


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
