"""Open runs of this process, and how a node gets its run.

A session passes the open run through LangGraph's runtime context. A server that restores a thread
has no session: there the run is opened from the folder named in the state, once per event loop.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from langgraph.runtime import Runtime
from pydantic import PrivateAttr

from graph.settings import Settings
from run.lock import hold_lock, release_lock
from run.run import Run

NodeRuntime = Runtime[
    Settings
]  # what LangGraph passes to a node; a session's context is RunContext
_open: dict[tuple[str, int], Run] = {}


class RunContext(Settings):
    """The graph's context in a session: the run's settings, and the open run itself."""

    _run: Run | None = PrivateAttr(None)

    @classmethod
    def of(cls, run: Run) -> RunContext:
        """Return the context of an open run."""
        context = RunContext.model_construct(**dict(run.settings))
        context._run = run
        return context

    @property
    def run(self) -> Run | None:
        """The open run."""
        return self._run


def current_run(run_dir: str, runtime: NodeRuntime | None) -> Run:
    """Return the run that a node works on."""
    context = runtime.context if runtime else None
    if isinstance(context, RunContext) and context.run and str(context.run.folder) == run_dir:
        return context.run
    return open_run(run_dir)


def settings_from_context(context: object) -> Settings:
    """Return the graph's context, or what the context of an embedding graph holds as `gome`."""
    if context is None or isinstance(context, Settings):
        return context or Settings()
    if isinstance(context, dict):
        return Settings.model_validate(context.get("gome", context))
    given = getattr(context, "gome", None)
    return given if isinstance(given, Settings) else Settings.model_validate(given or {})


def open_run(folder: str | Path, *, trust: bool = False) -> Run:
    """Return the run of this folder in this event loop; its first use takes the run's lock.

    `trust`: the user accepts a metric file that came with the run.
    """
    path = Path(folder).resolve()
    key = (str(path), id(asyncio.get_running_loop()))
    for other in [other for other, run in _open.items() if run.loop.is_closed()]:
        del _open[other]  # its services ended with their loop
    if key not in _open:
        hold_lock(path)
        try:
            _open[key] = Run(path, trust=trust)
        except BaseException:
            release_unused_lock(path)
            raise
    return _open[key]


async def close_run(folder: str | Path) -> None:
    """Close the run's services; release its lock when no other loop uses it."""
    path = Path(folder).resolve()
    if run := _open.pop((str(path), id(asyncio.get_running_loop())), None):
        await run.close()
        release_unused_lock(path)


def release_unused_lock(path: Path) -> None:
    """Release the lock of a run folder that no loop of this process has open."""
    if not any(other == str(path) for other, _ in _open):
        release_lock(path)
