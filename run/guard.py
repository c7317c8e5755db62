"""What happens when our own code fails in a node: the attempt fails once, the run continues.

This is the one place in the loop that catches every exception. Errors that say what is wrong
(a task, a disk, an endpoint, a sandbox) pass through to the session, which pauses the run.
"""

from __future__ import annotations

import functools
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable
from errno import EACCES, EDQUOT, EIO, ENOSPC, EPERM, EROFS
from pathlib import Path
from typing import Any

from langgraph.errors import GraphBubbleUp

from graph.state import Input, Json, RunState, TraceState, Work
from reasoner.protocol import ReasonerUnavailableError
from run.artifacts import ArtifactError
from run.attempt import HARNESS
from run.lock import RunError
from run.registry import NodeRuntime, current_run
from run.run import Run
from sandbox.protocol import SandboxUnavailableError
from task.client import WorkerTimeoutError
from task.types import TaskError

Node = Callable[..., Awaitable[Json]]
ERROR_LOG = "errors.log"
MAX_LOG_BYTES = 2**20
KNOWN = (  # they name the remedy themselves
    GraphBubbleUp,
    ReasonerUnavailableError,
    SandboxUnavailableError,
    TaskError,
    RunError,
    ArtifactError,
)
DISK_ERRNOS = frozenset({ENOSPC, EDQUOT, EROFS, EACCES, EPERM, EIO})  # session.disk_errors has them


class NodeFailedError(RunError):
    """The same place of our own code failed twice in a row; the run pauses."""


def guard_step(node: Node) -> Node:
    """Return a node of a trace whose failure fails the attempt, and which skips a failed one."""

    @functools.wraps(node)
    async def guarded(state: TraceState, runtime: NodeRuntime, **more: Any) -> Json:
        name, run = node.__name__, current_run(state.run_dir, runtime)
        if state.work and HARNESS in state.work.codes and name not in ("select", "record"):
            return {}
        run.pace.begin_step(state.row.trace)
        check_present(run.folder)
        try:
            update = await node(state, runtime, **more)
        except WorkerTimeoutError as error:  # by what the script wrote
            return fail_step(state, name, str(error))
        except KNOWN:
            raise
        except Exception as error:
            if is_of_disk(error):
                raise
            check_present(run.folder)
            log_failure(run, name, error, state.row.trace)
            return fail_step(state, name, f"{name} failed: {describe(error)}")
        run.failed_places.discard(name)
        return update

    return guarded


def guard_round(node: Node) -> Node:
    """Return a node of the whole run that is tried once more when it fails."""

    @functools.wraps(node)
    async def guarded(state: RunState | Input, runtime: NodeRuntime, **more: Any) -> Json:
        while True:
            if isinstance(state, RunState):
                check_present(Path(state.run_dir))
            try:
                update = await node(state, runtime, **more)
            except KNOWN:
                raise
            except Exception as error:
                is_run = bool(state.run_dir) and (Path(state.run_dir) / "run.json").is_file()
                if not is_run or is_of_disk(error):
                    raise
                log_failure(current_run(state.run_dir, runtime), node.__name__, error)
                continue
            return update

    return guarded


def check_present(folder: Path) -> None:
    """Refuse to go on in a folder that is gone, rather than make a part of it anew.

    Raises:
        RunError: the run folder was removed or moved.
    """
    if not (folder / "run.json").exists():
        raise RunError(
            f"{folder} was removed, or moved, while the run went on; start a new run, or "
            "`gome resume` the folder where it is now"
        )


def about_node(node: Node) -> dict[str, str]:
    """Return the metadata of a node: what it does, for drawings, traces and clients over HTTP."""
    return {"description": (node.__doc__ or "").partition("\n")[0]}


def is_of_disk(error: Exception) -> bool:
    """Whether it is the disk's failure, and not one of our own code."""
    is_system = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    return is_system and getattr(error, "errno", None) in DISK_ERRNOS


def log_failure(run: Run, name: str, error: Exception, trace: int | None = None) -> None:
    """Record a failure of our own code.

    Raises:
        NodeFailedError: the same node failed before and has not succeeded since.
    """
    where = name if trace is None else f"{name} of trace {trace}"
    write_traceback(run.folder / ERROR_LOG, where, error)
    is_second, place = name in run.failed_places, run.folder / ERROR_LOG
    run.failed_places.add(name)
    run.warn(f"{where} failed by a fault of Gome ({describe(error)}); {place} has its traceback")
    if is_second:
        raise NodeFailedError(
            f"{where} failed twice in a row by a fault of Gome ({describe(error)}); please report "
            f"{place}. The run is paused; `gome resume {run.folder.name}` continues it"
        ) from error


def write_traceback(path: Path, where: str, error: Exception) -> None:
    """Append the traceback to the run's log of errors, which stays bounded."""
    text = "".join(traceback.format_exception(error))[-16_000:]
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return
    with path.open("ab") as file:
        if file.tell() < MAX_LOG_BYTES:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"{stamp} {where}\n{text}\n".encode(errors="replace"))


def describe(error: Exception) -> str:
    """Return the error on one line, bounded; of a worker's traceback, its last line."""
    text = str(error).strip()
    if "Traceback (most recent call last)" in text:
        text = text.partition(":")[0] + ": " + text.splitlines()[-1]
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__


def fail_step(state: TraceState, name: str, message: str) -> Json:
    """Return the update that fails the attempt in progress; the way to `record` is then open."""
    if name == "record":
        return {}  # the step is taken again, and finds its finished work
    work = state.work
    if work is None or name == "select":
        attempt = f"t{state.row.trace}s{state.row.step}"
        work = Work(attempt=attempt, kind="draft", mode="draft")
    failed = work.evolve(
        error=message[:500],
        codes=[HARNESS],
        verdict="failed",
        replaces=False,
        validity=False,
        failed={},
        review=False,
    )
    return {"work": failed.dump()}
