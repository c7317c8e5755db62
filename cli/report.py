"""`gome report`: the HTML page of a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.config import configured_runs_dir
from cli.errors import usage_error
from cli.options import RunName, RunsDir
from cli.run_folders import find_run

if TYPE_CHECKING:
    from report.detail import AttemptDetails


def report_command(
    name: RunName = "",
    runs_dir: RunsDir = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Rewrite it while the run continues; the open page follows."),
    ] = False,
    every: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", min=1, max=3600, help="Seconds between updates with --watch."
        ),
    ] = 5,
    all: Annotated[
        bool,
        typer.Option("--all", help="Write the pages of all runs and RUNS/index.html over them."),
    ] = False,
) -> None:
    """Write the page of a run, RUN/report.html.

    Score curve, forest of attempts, every diagnosis and diff, in one self-contained file.
    """
    from report.detail import AttemptDetails

    if all:
        if name or watch:
            raise usage_error("--all writes every run's page once; leave RUN and --watch out")
        write_index(runs_dir, open=open)
        return
    folder = find_run(name, runs_dir)
    details = AttemptDetails(folder)
    try:
        path = write_page(folder, every if watch else 0, details)
        typer.echo(str(path))
        if open:
            typer.launch(path.as_uri())
        while watch and is_running(folder):
            time.sleep(every)
            write_page(folder, every, details)
    except OSError as error:
        raise usage_error(
            f"{folder}/report.html cannot be written ({error.strerror});"
            " free space or make the folder writable"
        ) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def write_index(runs_dir: str | None, *, open: bool) -> None:
    """Write index.html and the pages that it links to; print its path."""
    from report.overview.index_page import write_all_reports

    root = Path(configured_runs_dir(runs_dir)).expanduser().resolve()
    if not root.is_dir():
        raise usage_error(f"no runs below {root}; start one with `gome run DIR`")
    try:
        path = write_all_reports(root, is_running)
    except OSError as error:
        raise usage_error(
            f"{error.filename} cannot be written ({error.strerror}); free space or make it writable"
        ) from None
    typer.echo(str(path))
    if open:
        typer.launch(path.as_uri())


def write_page(folder: Path, every: int, details: AttemptDetails) -> Path:
    """Write report.html; with `every` the page reloads itself after so many seconds."""
    from report.html import write_report

    return write_report(folder, alive=is_running(folder), refresh_s=every, details=details)


def is_running(folder: Path) -> bool:
    """Return whether a process drives the run."""
    from run.lock import is_driven

    return is_driven(folder)
