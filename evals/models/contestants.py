"""Run one cell: a contestant on a task, from its beginning to its grade."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.models.aide_run import run_aide
from evals.models.bare import SYSTEM, BareRun, describe_task
from evals.models.conversation import Conversation
from evals.models.endpoint import (
    EndpointStoppedError,
    check_endpoint,
    find_address,
    open_endpoint,
)
from evals.models.gome_run import run_gome
from evals.models.grading import Snapshots
from evals.models.shell import Shell
from evals.models.study import Budget, Cell, CellResult, StudyError, free_name
from evals.models.tasks import StudyTask
from evals.models.transcript import Transcript
from evals.suite.contest import read_commit
from graph.settings import Settings
from sandbox.factory import create_sandbox
from sandbox.inside.walk import free_place
from sandbox.local.backend import usable_memory_bytes

TIME_IS_UP = "budget: time"
ALIVE_S = 120.0
GOES_ON = ("gome",)  # contestants that resume an interrupted cell


@dataclass(frozen=True)
class CellJob:
    """A cell with everything that it takes."""

    cell: Cell
    task: StudyTask
    place: Path
    budget: Budget
    settings: Settings
    is_scripted: bool
    say: Callable[[str], None]
    aide: str = ""  # environment or Python of AIDE

    async def result(self, *, was_waiting: bool, **measured: Any) -> CellResult:
        """Return the result of what was measured.

        Raises EndpointStoppedError where the time was up while an answer was waited for
        (`was_waiting`), and the endpoint does not answer now either.
        """
        if was_waiting and measured["end"] == TIME_IS_UP:
            await check_alive(self)
        return CellResult(
            task=self.cell.task,
            contestant=self.cell.contestant,
            seed=self.cell.seed,
            metric=self.task.task.metric,
            direction=self.task.task.direction,
            sample=self.task.sample,
            is_scripted=self.is_scripted,
            commit=read_commit(),
            date=time.strftime("%Y-%m-%d"),
            **measured,
        )


async def run_cell(job: CellJob) -> CellResult:
    """Run a cell to its end. Raises StudyError, SandboxUnavailableError."""
    runners = {"bare": run_bare, "gome": run_gome_cell, "aide": run_aide_cell}
    return await runners[job.cell.agent](job)


async def check_alive(job: CellJob) -> None:
    """Refuse a cell whose time may have passed in waiting for an endpoint that had stopped.

    Raises EndpointStoppedError; the cell is set aside.
    """
    try:
        async with asyncio.timeout(ALIVE_S):
            await check_endpoint(job.settings, job.say)
    except (StudyError, TimeoutError) as error:
        job.place.rename(free_name(job.place))
        why = str(error) or f"no answer within {ALIVE_S:.0f} s"
        raise EndpointStoppedError(f"the endpoint does not answer any more ({why})") from error


async def run_bare(job: CellJob) -> CellResult:
    """Run the bare coding agent."""
    settings = job.settings
    sandbox = create_sandbox(
        "local",
        isolation=settings.isolation,
        gpus=settings.gpus,
        run_dir=job.place,
        python=settings.python,
    )
    host = await sandbox.probe()
    workspace, memory = job.place / "workspace", usable_memory_bytes()
    n_gpus = min(1, len(host.gpus))  # as many as one of Gome's scripts gets
    shell = Shell(sandbox, workspace, job.task.inputs(), memory, host.cpus, n_gpus)
    talk = Conversation(SYSTEM, "")
    run = BareRun(
        task=job.task,
        budget=job.budget,
        endpoint=open_endpoint(settings),
        shell=shell,
        talk=talk,
        transcript=Transcript(job.place, find_address(settings).secrets),
        snapshots=Snapshots(job.place / "submissions"),
        say=job.say,
    )
    talk.task = describe_task(job.task, host, job.budget, run.command_s)
    try:
        end = await run.talk_to_end()
    finally:
        await run.endpoint.close()
        await sandbox.close()
    seconds = run.seconds
    grade, curve = await run.snapshots.grade(job.task.folder)
    free_place(workspace)
    return await job.result(
        was_waiting=run.was_waiting,
        private=grade.private,
        failure=grade.failure,
        end=end,
        seconds=round(seconds, 1),
        script_s=round(run.script_s, 1),
        executions=shell.n_commands,
        usage=run.usage,
        curve=curve,
        notes=[f"form of its commands: {talk.form}"],
    )


async def run_gome_cell(job: CellJob) -> CellResult:
    """Run Gome with its defaults or a preset."""
    measured = await run_gome(job.cell, job.task, job.place, job.budget, job.settings, job.say)
    return await job.result(**measured)


async def run_aide_cell(job: CellJob) -> CellResult:
    """Run AIDE."""
    measured = await run_aide(job.task, job.place, job.budget, job.settings, job.aide, job.say)
    return await job.result(**measured)
