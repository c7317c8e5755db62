"""Known failures end a command with one sentence on stderr and exit code 2."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def usage_error(message: str) -> typer.Exit:
    """Print the sentence on stderr; raise what is returned to end the command with code 2."""
    typer.echo(f"gome: {message}", err=True)
    return typer.Exit(2)


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it. Raises typer.Exit."""
    if path.is_dir():
        raise usage_error(f"{path} is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise usage_error(f"{path}: there is no folder {path.parent}; make it, or name another")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise usage_error(f"{path} cannot be written; name another file")


async def exit_on_failure(work: Coroutine[Any, Any, T]) -> T:
    """Turn known failures into `usage_error`; anything else is a bug and keeps its traceback."""
    from reasoner.protocol import ReasonerUnavailableError
    from run.lock import RunError
    from sandbox.protocol import SandboxUnavailableError
    from task.types import TaskError

    try:
        return await work
    except (TaskError, RunError, SandboxUnavailableError, ReasonerUnavailableError) as error:
        raise usage_error(str(error)) from None
