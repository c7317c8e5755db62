"""What several commands share: arguments, finding a run, one sentence for an error."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

TaskFolder = Annotated[
    str,
    typer.Argument(
        help="Task folder: task.yaml, or train/test/sample_submission tables as they are."
    ),
]
RunName = Annotated[
    str, typer.Argument(help="Run folder or its name below --runs-dir; empty: the latest.")
]
RunsDir = Annotated[
    str, typer.Option("--runs-dir", metavar="FOLDER", help="Where run folders are.")
]


def run_folders(runs_dir: str) -> list[Path]:
    """Run folders, newest first."""
    root = Path(runs_dir).expanduser()
    return sorted(
        (path.parent for path in root.glob("*/run.json")),
        key=lambda folder: folder.name,
        reverse=True,
    )


def find_run(name: str, runs_dir: str) -> Path:
    """A folder, a name below runs_dir, or the latest run."""
    if not name:
        folders = run_folders(runs_dir)
        if not folders:
            raise typer.Exit(complain(f"no runs below {runs_dir}; start one with `gome run DIR`"))
        return folders[0].resolve()
    for folder in (Path(name).expanduser(), Path(runs_dir).expanduser() / name):
        if (folder / "run.json").exists():
            return folder.resolve()
    raise typer.Exit(complain(f"no run named {name} below {runs_dir}; `gome ls` lists them"))


def complain(message: str) -> int:
    """One sentence on stderr; gives the exit code of bad input."""
    typer.echo(f"gome: {message}", err=True)
    return 2


async def guarded(going: Coroutine[Any, Any, Any]) -> Any:
    """Known failures end with one sentence on stderr and exit code 2; anything else is a bug and keeps its traceback."""
    from reasoner.protocol import ReasonerUnavailable
    from run.lock import RunError
    from sandbox.protocol import SandboxUnavailable
    from task.types import TaskError

    try:
        return await going
    except (TaskError, RunError, SandboxUnavailable, ReasonerUnavailable) as error:
        raise typer.Exit(complain(str(error))) from None
