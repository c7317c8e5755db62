"""Gome as a contestant: a run in the cell's folder, resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evals.harness.common import read_attempts, score_attempt
from evals.models.endpoint import EndpointStoppedError, check_endpoint
from evals.models.grading import grade_file
from evals.models.study import Budget, Cell, Point, StudyError
from evals.models.tasks import StudyTask
from graph.settings import Settings
from graph.state import Json
from reasoner.protocol import ReasonerUnavailableError, Usage
from report.event_log import load_view
from report.formatting import clean_text
from report.model import RunView
from run.events import SPENDING, iterate_events, to_amount
from session.session import Outcome, resume_run, start_run
from task.client import TaskWorker
from task.types import TaskError

FOLDER = "run"
NO_ANSWERS = {"execution_finished", "rehearsed", "labels_checked"}  # events that cost otherwise


class SignalledError(StudyError):
    """A signal ended the study."""


def gome_settings(cell: Cell, budget: Budget, settings: Settings, place: Path) -> Settings:
    """Return the run's settings: what was given beside, and what the protocol fixes."""
    given = settings.model_dump(exclude_unset=True)
    fixed: dict[str, Any] = {
        "time_s": budget.seconds,
        "max_tokens": budget.tokens,
        "steps": budget.steps,
        "seed": cell.seed,
        "memory": "off",
        "runs_dir": str(place),
    }
    return Settings(**given | fixed | ({"preset": cell.preset} if cell.preset else {}))


async def run_gome(
    cell: Cell,
    task: StudyTask,
    place: Path,
    budget: Budget,
    settings: Settings,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run Gome; return what was measured.

    Raises:
        EndpointStoppedError: the endpoint does not answer any more.
        SignalledError: a signal ended the session; the next one goes on with it.
    """
    folder, end, outcome = place / FOLDER, "", None
    listeners = (lambda event: tell_event(event, say),)
    try:
        if (folder / "run.json").exists():
            outcome = await resume_run(folder, listeners=listeners)
        else:
            own = gome_settings(cell, budget, settings, place)
            outcome = await start_run(str(task.folder), own, folder=folder, listeners=listeners)
        end = outcome.reason
    except ReasonerUnavailableError as error:
        try:
            await check_endpoint(settings, say)
        except StudyError as down:
            raise EndpointStoppedError(str(down)) from error
        end = f"paused: {clean_text(error, 300)}"  # the endpoint answers, but not as Gome needs it
    if outcome and outcome.interrupted:
        raise SignalledError("interrupted")
    return await measure_run(task, folder, outcome, end)


def tell_event(event: Json, say: Callable[[str], None]) -> None:
    """Say what an attempt brought."""
    if event.get("ev") == "attempt":
        score = event.get("score")
        told = "no valid result" if score is None else f"score {score:.5g}"
        say(f"{event.get('id')}: {told}, {event.get('verdict')}")


async def measure_run(
    task: StudyTask, folder: Path, outcome: Outcome | None, end: str
) -> dict[str, Any]:
    """Return the measurements of a run that has ended."""
    view = load_view(folder)
    submission = folder / "best" / "submission.csv"
    grade = await grade_file(task.folder, submission)
    curve = await trace_curve(task, folder, view)
    seconds = last_elapsed(folder)
    curve.append(
        Point(
            executions=view.n_executions,
            script_s=round(view.script_s, 3),
            seconds=round(seconds, 3),
            private=grade.private,
        )
    )
    used = view.usage
    is_baseline = outcome.is_baseline if outcome else False
    return {
        "private": grade.private,
        "failure": grade.failure,
        "end": end,
        "seconds": round(seconds, 1),
        "script_s": round(view.script_s, 1),
        "executions": view.n_executions,
        "usage": Usage(
            calls=used.calls,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cached_tokens=used.cached_tokens,
            usd=used.usd,
        ),
        "curve": curve,
        "was_waiting": was_unanswered(folder),
        "notes": ["handed over its baseline: no attempt was valid"] if is_baseline else [],
    }


def was_unanswered(folder: Path) -> bool:
    """Whether the last question to the model had no usable answer."""
    asked = [e.get("ev") for e in iterate_events(folder / "events.jsonl")]
    answers = [ev for ev in asked if ev in SPENDING - NO_ANSWERS]
    return answers[-1:] == ["unanswered"]


def last_elapsed(folder: Path) -> float:
    """Return the seconds of a run over all its sessions."""
    events = iterate_events(folder / "events.jsonl")
    return max((to_amount(event.get("elapsed")) for event in events), default=0.0)


async def trace_curve(task: StudyTask, folder: Path, view: RunView) -> list[Point]:
    """Return the private score of every attempt that became the run's best."""
    attempts = {event["id"]: event for event in read_attempts(folder)}
    worker, points = TaskWorker(), []
    try:
        for lead in view.leads:
            event = attempts.get(lead.attempt)
            if event is None:
                continue
            try:
                private = await score_attempt(worker, task.folder, folder, event)
            except TaskError:
                private = None
            points.append(
                Point(
                    executions=lead.executions,
                    script_s=round(lead.seconds, 3),
                    seconds=float(event["elapsed"]),
                    private=private,
                )
            )
    finally:
        await worker.close()
    return points
