"""`gome fork`: a variant of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.config import parse_changes
from cli.errors import usage_error
from cli.options import RunName, RunsDir
from cli.run_folders import find_run


def fork_command(
    name: RunName = "",
    at: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Begin after N attempts of each trace; else after the latest round."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting to change in the fork."),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(help="Ask and execute again instead of reusing the original's later results."),
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Start a new run from an earlier step of another.

    With nothing changed it repeats the original exactly.
    """
    from run.lock import RunError
    from session import fork
    from session.disk_errors import explain_disk_errors

    folder = find_run(name, runs_dir)
    try:
        with explain_disk_errors(folder):
            new = fork.fork_run(folder, at, parse_changes(settings or []), fresh=fresh)
    except RunError as error:
        raise usage_error(str(error)) from None
    typer.echo(f"{new.name}: forked from {folder.name}.\nNext: gome resume {new}")
