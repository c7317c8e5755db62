"""A session: one process that drives one run, from its folder, until it ends or is interrupted.

A later session resumes it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command

from briefs.task_brief import check_script_packages, renew_environment
from graph.build import Compiled, build_graph
from graph.settings import Settings
from graph.state import Json
from policies.protocol import Policy
from reasoner.protocol import (
    CheckedReasoner,
    FileWriter,
    Reasoner,
    ReasonerDownError,
    ReasonerUnavailableError,
    Usage,
)
from report.model import AttemptView
from run.best import read_best
from run.checkpoints.open import Saver, check_checkpoint_url, thread_id
from run.events import Listener, iterate_events
from run.folder import check_regular_files, make_run_folder, new_run_folder, read_run_meta
from run.guard import NodeFailedError
from run.lock import drive_alone, hold_lock, release_lock
from run.ownership import check_own_run
from run.registry import RunContext, close_run, open_run
from run.run import Run
from run.services import reasoner_for, store_for
from run.steering import Answer, Question
from sandbox.protocol import SandboxUnavailableError
from scoring.acceptance import Acceptance
from session.disk_errors import explain_disk_errors
from session.ends import INTERRUPTED, PAUSED, WAITING, previous_end
from session.made_files import MADE_FOLDER, FileMaker, read_keys
from session.recovery import (
    read_standing,
    restore_last_round,
    settle_run,
    use_checkpoints,
)
from session.rollback import roll_back
from session.signals import handle_signals
from task.client import TaskWorker
from task.consent import is_metric_file
from task.types import TaskError

Ask = Callable[[Question], Answer | None]  # None: no answer now; the run waits for one


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    `is_baseline`: no attempt gave a valid result, so that submission and solution are the baseline
    and there is no score.
    `reason`: why the run ended, or why the session ended before it:
    `budget: time`, `budget: executions`, `budget: tokens`, `budget: money`, `budget: steps` (a
    limit is reached), `target` (the target score is reached), `converged` (no trace expects a
    further gain), `no valid script` (every trace gave up), `interrupted` (a signal) or `waiting`
    (a question has no answer yet). A run that pauses raises ReasonerUnavailableError instead.
    """

    run: str
    folder: Path
    reason: str
    metric: str
    score: float | None
    score_se: float | None
    submission: Path | None
    solution: Path | None
    is_baseline: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the session."""
        return self.reason == INTERRUPTED

    @property
    def waiting(self) -> bool:
        """Whether the run waits for a person's answer."""
        return self.reason == WAITING

    @property
    def report(self) -> Path:
        """The run's HTML report."""
        return self.folder / "report.html"

    @property
    def attempts(self) -> list[AttemptView]:
        """Every attempt, in order; `pandas.DataFrame(outcome.attempts)` makes a table of them."""
        from report.event_log import load_view

        return list(load_view(self.folder).attempts.values())

    @property
    def curve(self) -> Json | None:
        """Area under the best score so far by executions and script seconds, and its zero.

        The formula is in docs/report.md; None before the first valid attempt.
        """
        from report.score_curve import read_curve

        return read_curve(self.folder)

    def _repr_html_(self) -> str:
        from report.notebook import outcome_html

        return outcome_html(self.folder, str(self.submission or "none"), self.reason)


@dataclass(frozen=True)
class Session:
    """Listeners and options that a session drives a run with."""

    listeners: Sequence[Listener] = ()
    ask: Ask | None = None  # puts a question of the run (settings.steer) to a person
    config: Json | None = None  # callbacks, tags and metadata as LangChain takes them
    checkpoint: str = ""  # Postgres address; empty: SQLite in the run folder
    policy: Policy | None = None  # replaces the one that the settings name
    acceptance: Acceptance | None = None  # replaces the default rule


async def start_run(
    task: str,
    settings: Settings,
    *,
    folder: Path | None = None,
    listeners: Sequence[Listener] = (),
    reasoner: Reasoner | None = None,
    policy: Policy | None = None,
    acceptance: Acceptance | None = None,
    ask: Ask | None = None,
    config: Json | None = None,
) -> Outcome:
    """Start a new run. Task, sandbox and endpoint are checked before anything is spent.

    Args:
        task: the task folder.
        settings: the run's settings.
        folder: run folder; None: a new one below `runs_dir`.
        listeners: called with every event.
        reasoner: replaces the one that the settings name (a resume needs it again).
        policy: replaces the one that the settings name (stored nowhere: a resume needs it again).
        acceptance: replaces the default rule (stored nowhere: a resume needs it again).
        ask: puts a question of the run (settings.steer) to a person.
        config: callbacks, tags and metadata as LangChain takes them.

    Raises:
        TaskError: the task folder cannot be used.
        SandboxUnavailableError: scripts cannot run here.
        ReasonerUnavailableError: no model answers.
    """
    check_checkpoint_url(settings.checkpoint)
    worker = TaskWorker(isolation=settings.isolation)
    folder = folder or new_run_folder(settings, task)
    is_new = not folder.exists()
    try:
        settings, made = await load_or_make(task, settings, folder, worker, reasoner)
        make_run_folder(folder, task, settings)
        run = open_run(folder)
        worker.limit_s = run.worker_limit_s
        run.worker = worker
        spent = Usage()
        with suppress(ReasonerDownError):  # the run begins: its baseline waits for no endpoint
            spent = await check_services(run, reasoner)
        if made:
            tell_made_files(run, made)
            spent += made.usage
        check_script_packages(run, await run.sandbox.probe(), [])
    except BaseException:
        await close_run(folder)
        await worker.close()
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    session = Session(listeners, ask, config, settings.checkpoint, policy, acceptance)
    return await drive_run(folder, session, spent=spent)


async def load_or_make(
    task: str,
    settings: Settings,
    folder: Path,
    worker: TaskWorker,
    reasoner: Reasoner | None,
) -> tuple[Settings, FileMaker | None]:
    """Load the task; a model writes the read.py or metric.py that it lacks into the run folder.

    Return the settings, whose config names those files then, and their maker. Raises TaskError.
    """
    try:
        await worker.load_task(task, settings.config)
        return settings, None
    except TaskError:
        messages: list[str] = []
        writer = reasoner or (reasoner_for(settings, messages.append) if settings.model else None)
        report = await worker.describe_task(task, config=settings.config)
        if not isinstance(writer, FileWriter) or not report["needs"]:
            raise
    keys = read_keys(task, settings.config)
    maker = FileMaker(task, folder / MADE_FOLDER, keys, worker, writer, messages.append)
    await maker.make_files(report)
    return settings.model_copy(update={"config": str(maker.config)}), maker


def tell_made_files(run: Run, maker: FileMaker) -> None:
    """Record the files that a model wrote for the report."""
    for made in maker.made:
        run.events.emit(
            "file_made",
            name=made.name,
            summary=made.summary,
            tries=made.tries,
            model=getattr(maker.writer, "name", ""),
            script=made.path.read_text(errors="replace"),
        )


async def resume_run(
    folder: Path,
    *,
    listeners: Sequence[Listener] = (),
    reasoner: Reasoner | None = None,
    policy: Policy | None = None,
    acceptance: Acceptance | None = None,
    ask: Ask | None = None,
    config: Json | None = None,
    checkpoint: str = "",
    repair: bool = False,
    trust: bool = False,
) -> Outcome:
    """Resume a run where its last session ended; a finished run returns its outcome.

    Args:
        folder: the run folder.
        listeners: called with every event.
        reasoner: the one that `start_run` was given, if any.
        policy: the one that `start_run` was given, if any: the run folder does not contain it, and
            without it the policy of the settings chooses the next steps.
        acceptance: the one that `start_run` was given, if any; without it the default rule judges.
        ask: puts a question of the run to a person.
        config: callbacks, tags and metadata as LangChain takes them.
        checkpoint: the run's Postgres address again, where it needs its password.
        repair: go back to the last round whose files are whole.
        trust: accept a metric file inside the run folder, which runs with the user's rights, and
            settings in run.json that were not chosen by this account.
    """
    read_run_meta(folder)
    check_regular_files(folder)
    try:
        with explain_disk_errors(folder):
            hold_lock(folder)
            repaired = roll_back(folder) if repair else ""
            run = open_run(folder, trust=trust)
            foreign = check_own_run(run.id, run.settings, trust=trust)
            spent = await check_services(run, reasoner)
            await renew_environment(run)
    except BaseException:
        await close_run(folder)
        release_lock(folder)
        raise
    url = check_checkpoint_url(checkpoint)
    session = Session(listeners, ask, config, url, policy, acceptance)
    notes = [text for text in (repaired, foreign) if text]
    return await drive_run(folder, session, spent=spent, resumed=True, notes=notes)


async def check_services(run: Run, reasoner: Reasoner | None = None) -> Usage:
    """Check sandbox and reasoner, so that a missing one fails at once; return the usage."""
    if reasoner is not None:
        run.reasoner = reasoner
    _ = run.sandbox
    if not isinstance(run.reasoner, CheckedReasoner):
        return Usage()
    with run.keeping_calls("check"):
        return await run.reasoner.check()


async def drive_run(
    folder: Path,
    session: Session,
    *,
    spent: Usage | None = None,
    resumed: bool = False,
    notes: Sequence[str] = (),
) -> Outcome:
    """Drive the run under its lock.

    Args:
        folder: the run folder.
        session: what to drive it with.
        spent: what the check of the endpoint has cost.
        resumed: whether an earlier session is continued.
        notes: what to warn of, such as what a repair did.
    """
    run = open_run(folder)
    run.events.listeners.extend([_report_writer(run), *session.listeners])
    try:
        with drive_alone(folder), explain_disk_errors(folder):
            if resumed:
                run.events.emit("run_resumed", run=run.id, after=previous_end(run))
                _warn_of_metric(run)
            for note in notes:
                run.warn(note)
            if spent and spent.calls:
                run.events.emit("checked", usage=spent.model_dump())
            reason = await _drive_with_recovery(run, session)
            if resumed:
                _repeat_end(run, reason)
            return _outcome_of(run, reason)
    finally:
        await close_run(folder)


def _repeat_end(run: Run, reason: str) -> None:
    """Emit the end again where the run had ended before it was resumed.

    The last event says the state of a run, and a listener shows its summary at the end.
    """
    ended: Json = {}
    is_open = False
    for event in iterate_events(run.events.path):
        is_open = event.get("ev") == "run_resumed" or (is_open and event.get("ev") != "run_ended")
        ended = event if event.get("ev") == "run_ended" else ended
    if not is_open:
        return
    if ended.get("reason") in (None, WAITING, INTERRUPTED, PAUSED):
        _end_session(run, reason.partition(":")[0])
        return
    names = ("reason", "best", "seconds", "message")
    run.events.emit("run_ended", **{name: ended[name] for name in names if name in ended})


def _warn_of_metric(run: Run) -> None:
    """Say that this run's metric is code, before it runs: the folder may come from elsewhere."""
    metric = run.prepared.task.metric if (run.folder / "setup.json").exists() else ""
    if metric and is_metric_file(metric):
        run.warn(
            f"the metric of this run is {metric}, which sees the labels; "
            "with --isolation none it runs with your rights"
        )


def _report_writer(run: Run) -> Listener:
    """Return a listener that writes report.html before others receive the end of a session."""

    def on_event(event: Json) -> None:
        if event["ev"] != "run_ended":
            return
        from report.html import write_report

        try:
            write_report(run.folder, alive=False)
        except OSError as error:
            run.warn(
                f"report.html could not be written ({error.strerror}); "
                f"make room, then `gome report {run.folder}`"
            )

    return on_event


async def prepare_thread(folder: Path) -> None:
    """Make the run's thread ready for another driver of the graph (a server).

    Check it, and restore it from the last round if it was lost.
    """
    read_run_meta(folder)
    try:
        with drive_alone(folder), explain_disk_errors(folder):
            run = open_run(folder)
            check_own_run(run.id, run.settings)
            config: Any = {"configurable": {"thread_id": thread_id(run.id)}}

            async def restore_thread(saver: Saver) -> None:
                graph = build_graph(saver)
                if not await read_standing(run, graph, config):
                    await restore_last_round(run, graph, config)

            await renew_environment(run)
            await use_checkpoints(run, "", restore_thread)
    finally:
        await close_run(folder)


async def _drive_with_recovery(run: Run, session: Session) -> str:
    """Drive from the checkpoints, or from the last whole round if they are unusable."""
    url = session.checkpoint or run.settings.checkpoint
    return await use_checkpoints(run, url, lambda saver: _drive_graph(run, saver, session))


async def _drive_graph(run: Run, saver: Saver, session: Session) -> str:
    """Invoke the graph from its checkpoint until it ends; return why it ended."""
    graph = build_graph(saver, session.policy, session.acceptance, store_for(run.settings))
    thread = {"configurable": {"thread_id": thread_id(run.id)}}
    config: Any = {**(session.config or {}), **thread}
    standing = await read_standing(run, graph, config)
    if standing and not standing.unfinished:
        return standing.state.stop or "converged"
    if not standing and not await restore_last_round(run, graph, config):
        given: Any = {"task": run.task_path, "run_dir": str(run.folder)}
    else:
        given = None
        standing = standing or await read_standing(run, graph, config, just_restored=True)
        if standing and not standing.unfinished:  # an ended run, restored
            return standing.state.stop or "converged"
        if standing:
            await settle_run(run, standing.state)
    return await _run_with_answers(run, graph, config, given, session.ask)


async def _run_with_answers(
    run: Run, graph: Compiled, config: Any, given: Any, ask: Ask | None
) -> str:
    """Run the graph to its end, passing its questions to a person."""
    while True:
        values = await _invoke_graph(run, graph, config, given)
        if values is None:
            return _end_session(run, INTERRUPTED)
        interrupts = values.get("__interrupt__")
        if not interrupts:
            return str(values.get("stop") or "converged")
        answer = None
        if ask is not None:
            with run.events.pause_clock():
                answer = ask(Question.model_validate(interrupts[0].value))
        if answer is None:
            return _end_session(run, WAITING)
        given = Command(resume=answer.model_dump())


async def _invoke_graph(run: Run, graph: Compiled, config: Any, given: Any) -> Json | None:
    """The graph's values, or None when a signal ended it."""
    control = RunControl()
    context = RunContext.of(run)
    invocation = graph.ainvoke(given, config, context=context, durability="sync", control=control)
    task = asyncio.ensure_future(invocation)
    with handle_signals(task, control):
        try:
            values: Json = await task
        except (GraphDrained, asyncio.CancelledError):
            if not control.drain_requested:
                raise
            return None
        except (NodeFailedError, SandboxUnavailableError, TaskError) as error:
            _end_session(run, PAUSED, message=str(error))
            raise
        except ReasonerUnavailableError as error:
            _end_session(run, PAUSED, message=str(error))
            end = "" if str(error).endswith("?") else "."
            raise ReasonerUnavailableError(
                f"{error}{end} The run is paused; `gome resume {run.folder.name}` continues it"
            ) from error
    return values


def _end_session(run: Run, reason: str, **more: str) -> str:
    """Emit the last event of a session whose run can be resumed."""
    best = read_best(run.folder / "best")
    run.events.emit(
        "run_ended",
        reason=reason,
        best=best.model_dump() if best else None,
        seconds=round(run.events.elapsed, 1),
        **more,
    )
    return reason


def _outcome_of(run: Run, reason: str) -> Outcome:
    folder = run.folder / "best"
    best = read_best(folder)
    return Outcome(
        run=run.id,
        folder=run.folder,
        reason=reason,
        metric=run.prepared.task.metric if (run.folder / "setup.json").exists() else "",
        score=best.score if best and not best.baseline else None,
        score_se=best.se if best and not best.baseline else None,
        submission=folder / "submission.csv" if best else None,
        solution=folder / "solution.py" if best else None,
        is_baseline=best is not None and best.baseline,
    )
