"""gome fork, export and import: a run goes on elsewhere, or otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.common import RunName, RunsDir, complain, find_run


def fork(
    name: RunName = "",
    at: Annotated[
        int | None,
        typer.Option(help="After so many attempts of each trace; else after the latest round."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting that is to differ, as name=value.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option(help="Think and run again what the original did after that step.")
    ] = False,
    runs_dir: RunsDir = "runs",
) -> None:
    """A new run that begins where another stood after some step. With nothing changed it repeats the original exactly."""
    from cli.config import changes_of
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors
    from session.fork import fork as make

    folder = find_run(name, runs_dir)
    try:
        with explain_disk_errors(folder):
            new = make(folder, at, changes_of(settings or []), fresh=fresh)
    except RunError as error:
        raise typer.Exit(complain(str(error))) from None
    typer.echo(f"{new.name}: forked from {folder.name}.\nNext: gome resume {new}")


def export(
    name: RunName = "",
    to: Annotated[
        Path | None, typer.Option(help="File to write; else RUN.zip, or RUN.json, here.")
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only",
            help="Without data, labels and predictions: to look at, not to go on with.",
        ),
    ] = False,
    format: Annotated[
        str,
        typer.Option(
            help="zip | gome-traces (JSON in the layout of the traces that the paper's authors published)."
        ),
    ] = "zip",
    runs_dir: RunsDir = "runs",
) -> None:
    """A run as one file. A zip that another machine can resume or only read, or its steps as JSON."""
    import json

    from run.lock import RunError
    from session import export_run as exports
    from session.disk_errors import explain_disk_errors

    if format not in ("zip", "gome-traces"):
        raise typer.BadParameter(f"--format {format}: expected zip or gome-traces")
    folder = find_run(name, runs_dir)
    target = to or Path(f"{folder.name}.{'zip' if format == 'zip' else 'json'}")
    try:
        with explain_disk_errors(folder):
            if format == "zip":
                n = len(exports.export(folder, target, read_only=read_only)["files"])
            else:
                found = exports.traces(folder)
                n = sum(len(each) - 1 for each in found.values())
                target.write_text(json.dumps(found, indent=1))
    except RunError as error:
        raise typer.Exit(complain(str(error))) from None
    typer.echo(
        f"{target}: {n} {'files' if format == 'zip' else 'steps'}, {target.stat().st_size / 1e6:.1f} MB"
    )


def import_(
    source: Annotated[Path, typer.Argument(help="A zip of `gome export`.")],
    trust: Annotated[
        bool, typer.Option(help="Accept a metric that is a Python file; it runs with your rights.")
    ] = False,
    runs_dir: RunsDir = "runs",
) -> None:
    """Make a run folder of an exported run. Settings that concern the machine are this machine's."""
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors
    from session.import_run import import_run

    try:
        with explain_disk_errors(Path(runs_dir)):
            folder, notes = import_run(source, Path(runs_dir).expanduser(), trust=trust)
    except RunError as error:
        raise typer.Exit(complain(str(error))) from None
    typer.echo(f"{folder}: imported.")
    for note in notes:
        typer.echo(f"  - {note}")
