"""The forward pass: one script in the sandbox, its output and files moved into the artifact store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

from run.run import Json, Run
from sandbox.inside.progress import Tell
from sandbox.local.gpus import wants_gpu
from sandbox.protocol import Execution, Job, Limits, SandboxLost, SandboxUnavailable

TRIES, PAUSE_S = 3, 1.0


class Place(TypedDict, total=False):
    """Where an execution belongs, for whoever watches: an attempt's own, or what else is run."""

    attempt: str
    trace: int
    step: int
    what: str


async def forward(
    run: Run,
    name: str,
    script: str,
    inputs: dict[str, str],
    limit_s: float,
    place: Place,
    *,
    env: dict[str, str] | None = None,
) -> Json:
    """One execution as JSON: the sandbox's account, with `log` and `files` as artifacts.

    A sandbox that broke is no failure of the script: it runs again. Raises SandboxUnavailable when that happens `TRIES` times.
    """
    for count in range(1, TRIES + 1):
        try:
            return await run_once(run, name, script, inputs, limit_s, place, env or {})
        except SandboxLost as error:
            if count == TRIES:
                raise SandboxUnavailable(
                    f"the sandbox broke {TRIES} times in a row ({error}); `gome resume` goes on from here"
                ) from error
            run.events.emit("warning", message=f"{name}: {error}; the script runs again")
        await asyncio.sleep(PAUSE_S * count)
    raise AssertionError("unreachable")


async def run_once(
    run: Run,
    name: str,
    script: str,
    inputs: dict[str, str],
    limit_s: float,
    place: Place,
    env: dict[str, str],
) -> Json:
    workspace = run.folder / "work" / name
    await asyncio.to_thread(fresh, workspace)
    settings = run.settings
    text = run.artifacts.get(script)
    limits = Limits(
        wall_s=limit_s,
        memory_bytes=settings.run_memory_bytes,
        cpus=run.setup["cpus"],
        gpus=1 if run.setup.get("gpus") and wants_gpu(text) else 0,
        network=settings.network,
    )
    job = Job(
        id=name,
        script=text,
        workspace=workspace,
        inputs=inputs,
        limits=limits,
        env=env,
        warm=name.partition("s")[0],
    )
    try:
        with watched(run, name, limit_s, place) as told:
            execution = await run.sandbox.run(job, told)
        return await asyncio.to_thread(keep, run, execution)
    finally:
        await asyncio.to_thread(shutil.rmtree, workspace, True)


@contextmanager
def watched(run: Run, name: str, limit_s: float, place: Place) -> Iterator[Tell]:
    """Live listeners hear that it runs, the last line that it printed, and that it is over."""

    def told(text: str = "", **more: Any) -> None:
        with suppress(OSError):  # a listener that is gone shows at the next event that counts
            run.events.live("execution_progress", name=name, **place, text=text, **more)

    told(limit_s=round(limit_s, 1))
    try:
        yield told
    finally:
        told(over=True)


def fresh(workspace: Path) -> None:
    """A new empty folder: a leftover of a killed run may hold planted links."""
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)


def keep(run: Run, execution: Execution) -> Json:
    files = {name: run.artifacts.put_file(Path(path)) for name, path in execution.files.items()}
    return execution.model_dump(exclude={"output", "files"}) | {
        "log": run.artifacts.put(execution.output),
        "files": files,
    }


def tell(run: Run, key: str, kept: Json, **place: Any) -> None:
    """The event of an execution that ended; a rented sandbox's cost counts as usage."""
    shown = {name: kept[name] for name in ("end", "exit_code", "cpu_s", "peak_bytes", "tier")}
    usage = {"usd": kept["usd"]} if kept.get("usd") else {}
    run.events.emit(
        "execution_finished",
        key=key,
        **place,
        seconds=round(kept["wall_s"], 3),
        **shown,
        usage=usage,
    )
