"""The forward pass: run one script in the sandbox, store its output and files as artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from run.attempt import ExecutionRecord
from run.run import Run
from sandbox.inside.progress import ProgressCallback
from sandbox.inside.walk import free_place, make_fresh_folder
from sandbox.local.gpus import needs_gpu
from sandbox.protocol import Execution, Job, Limits, SandboxLostError, SandboxUnavailableError

TRIES, PAUSE_S = 3, 1.0


class Place(TypedDict, total=False):
    """Where an execution belongs, for live listeners: an attempt, or another purpose (`what`)."""

    attempt: str
    trace: int
    step: int
    what: str


class ScriptRun(NamedTuple):
    """One script to execute."""

    name: str  # of its workspace
    script: str  # artifact
    inputs: dict[str, str]
    limit_s: float
    place: Place
    env: dict[str, str] = {}


async def execute_script(run: Run, task: ScriptRun) -> ExecutionRecord:
    """Execute a script once.

    A broken sandbox is no failure of the script: the script runs again.

    Raises:
        SandboxUnavailableError: the sandbox broke `TRIES` times in a row.
    """
    for count in range(1, TRIES + 1):
        try:
            return await _execute_once(run, task)
        except SandboxLostError as error:
            if count == TRIES:
                raise SandboxUnavailableError(
                    f"the sandbox broke {TRIES} times in a row ({error}); "
                    "`gome resume` continues from here"
                ) from error
            run.warn(f"{task.name}: {error}; the script runs again")
        await asyncio.sleep(PAUSE_S * count)
    raise AssertionError("unreachable")


async def _execute_once(run: Run, task: ScriptRun) -> ExecutionRecord:
    # a new folder: a leftover of a killed run may hold planted links
    workspace, left = await asyncio.to_thread(make_fresh_folder, run.folder / "work" / task.name)
    if left:
        run.warn(f"{task.name}: {left}")
    text = run.artifacts.get(task.script)
    limits = Limits(
        wall_s=task.limit_s,
        memory_bytes=run.settings.run_memory_bytes,
        cpus=run.setup.cpus,
        gpus=1 if run.setup.gpus and needs_gpu(text) else 0,
        network=run.settings.network,
    )
    job = Job(
        id=task.name,
        script=text,
        workspace=workspace,
        inputs=task.inputs,
        limits=limits,
        env=task.env,
    )
    try:
        with run.board.running_script(), _report_progress(run, task) as tell:
            execution = await run.sandbox.run(job, tell)
        return await asyncio.to_thread(store_execution, run, execution)
    finally:
        if left := await asyncio.to_thread(free_place, workspace):
            run.warn(f"{task.name}: {left}")


@contextmanager
def _report_progress(run: Run, task: ScriptRun) -> Iterator[ProgressCallback]:
    """Send live listeners its start, the last line it printed, and its end."""

    def tell(text: str = "", **more: Any) -> None:
        place = {"name": task.name, **task.place}
        with suppress(OSError):  # a listener that is gone fails again at the next stored event
            run.events.emit_live("execution_progress", **place, text=text, **more)

    tell(limit_s=round(task.limit_s, 1))
    try:
        yield tell
    finally:
        tell(over=True)


def store_execution(run: Run, execution: Execution) -> ExecutionRecord:
    """Store log and files as artifacts."""
    paths = {name: Path(path) for name, path in execution.files.items()}
    files = {name: run.artifacts.put_file(path) for name, path in paths.items()}
    account = execution.model_dump(exclude={"output", "files"})
    log = run.artifacts.put(execution.output)
    return ExecutionRecord.model_validate({**account, "log": log, "files": files})


def announce_execution(run: Run, key: str, execution: ExecutionRecord, **place: Any) -> None:
    """Emit the event of an execution that ended; a rented sandbox's cost counts as usage."""
    run.events.emit(
        "execution_finished",
        key=key,
        **place,
        seconds=round(execution.wall_s, 3),
        end=execution.end,
        exit_code=execution.exit_code,
        cpu_s=execution.cpu_s,
        peak_bytes=execution.peak_bytes,
        tier=execution.tier,
        usage={"usd": execution.usd} if execution.usd else {},
    )
