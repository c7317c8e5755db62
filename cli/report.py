"""`gome report`: the HTML page of a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import RunName, RunsDir, complain, find_run

if TYPE_CHECKING:
    from report.detail import Details


def report(
    name: RunName = "",
    runs_dir: RunsDir = "runs",
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write it anew while the run goes on; the open page follows."),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds between two writings with --watch.")
    ] = 5,
) -> None:
    """Write the page of a run, RUN/report.html. Score curve, forest of attempts, every diagnosis and diff, in one file that needs nothing else."""
    from report.detail import Details

    folder = find_run(name, runs_dir)
    details = Details(folder)
    try:
        path = write(folder, every if watch else 0, details)
        typer.echo(str(path))
        if open:
            typer.launch(path.as_uri())
        while watch and going(folder):
            time.sleep(every)
            write(folder, every, details)
    except OSError as error:
        raise typer.Exit(
            complain(
                f"{folder}/report.html cannot be written ({error.strerror}); make room or allow writing there"
            )
        ) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def write(folder: Path, every: int, details: Details) -> Path:
    from report.html import write_report

    return write_report(folder, alive=going(folder), refresh_s=every, details=details)


def going(folder: Path) -> bool:
    from run.lock import is_driven

    return is_driven(folder)
