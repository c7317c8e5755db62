"""`gome predict`: the best solution of a run on new rows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import check_output, exit_on_failure, usage_error
from cli.options import RunsDir, setting_options
from cli.run_folders import find_run
from report.formatting import format_plural
from settings.parse import parse_duration


@setting_options("python", "isolation")
def predict_command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] ROWS",
            help="Run, named as for `gome show` (without it: the latest), and the table"
            " of new rows: csv, parquet or another format of a task's tables.",
            show_default=False,
        ),
    ],
    given: dict[str, Any],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where the predictions go.")
    ] = "predictions.csv",
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Wall limit of one script. [default: 5 times what it took, 10m]"
        ),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Predict new rows with the best solution of a run.

    The solution is trained again as in the run, in the sandbox, with the new rows in the place of
    the test table. They need the columns of that table; what differs is named in a sentence each.
    The predictions have the form of the run's submission.
    """
    from session.predict import predict_rows

    if len(names) > 2:
        raise usage_error("expected one table of new rows: gome predict [RUN] ROWS")
    run, rows = ("", names[0]) if len(names) == 1 else (names[0], names[1])
    if not Path(rows).expanduser().is_file():
        raise usage_error(f"{rows}: no such file; give the table of the new rows")
    check_output(Path(output).expanduser())
    predicted = asyncio.run(
        exit_on_failure(
            predict_rows(
                find_run(run, runs_dir),
                Path(rows),
                Path(output).expanduser(),
                changes=given,
                limit_s=limit_seconds(time),
                say=lambda text: typer.echo(text, err=True),
            )
        )
    )
    typer.echo(f"{predicted.path}: {format_plural(predicted.n_rows, 'row')} by {predicted.attempt}")


def limit_seconds(text: str | None) -> float | None:
    """Return the seconds of --time; None where it is not given."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0
    if seconds <= 0:
        raise usage_error(f"--time {text}: expected seconds, or a number with s, m or h")
    return seconds
