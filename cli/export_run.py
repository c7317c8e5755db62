"""`gome export`: a run as one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import check_output, usage_error
from cli.options import RunName, RunsDir
from cli.run_folders import find_run
from report.formatting import format_plural


def export_command(
    name: RunName = "",
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File to write; else RUN.zip or RUN.json in the current folder."
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only",
            help="Leave out data, labels and predictions: the run can be read, not resumed.",
        ),
    ] = False,
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="zip, or gome-traces: JSON in the layout of the traces published with the paper.",
        ),
    ] = "zip",
    runs_dir: RunsDir = None,
) -> None:
    """Pack a run into a single file.

    A zip that another machine can resume or only read, or the run's steps as JSON.
    """
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors

    if format not in ("zip", "gome-traces"):
        raise typer.BadParameter(f"--format {format}: expected zip or gome-traces")
    folder = find_run(name, runs_dir)
    target = to or Path(f"{folder.name}.{'zip' if format == 'zip' else 'json'}")
    check_output(target)
    try:
        with explain_disk_errors(folder):
            written = (
                _write_zip(folder, target, read_only)
                if format == "zip"
                else _write_traces(folder, target)
            )
    except RunError as error:
        raise usage_error(str(error)) from None
    typer.echo(f"{target}: {written}, {target.stat().st_size / 1e6:.1f} MB")


def _write_zip(folder: Path, target: Path, read_only: bool) -> str:
    from session import export_run

    n_files = len(export_run.export_run(folder, target, read_only=read_only).files)
    return format_plural(n_files, "file")


def _write_traces(folder: Path, target: Path) -> str:
    from session import export_run

    traces = export_run.published_traces(folder)
    target.write_text(json.dumps(traces, indent=1))
    return f"{sum(len(trace) - 1 for trace in traces.values())} steps"
