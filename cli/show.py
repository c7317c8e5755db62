"""`gome show`: one run in the terminal."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from cli.options import RunName, RunsDir
from cli.run_folders import find_run


def show_command(
    name: RunName = "",
    runs_dir: RunsDir = None,
    json: Annotated[bool, typer.Option("--json", help="The run as one JSON object.")] = False,
) -> None:
    """Show one run: attempts, verdicts, reasons and costs.

    The diff from the first script to the best follows.
    """
    import time

    from rich.console import Console

    from report.event_log import load_view, run_state
    from report.run_json import detail_run
    from report.run_tables import run_page
    from run.lock import is_driven

    folder = find_run(name, runs_dir)
    view = load_view(folder)
    if json:
        state = run_state(view, time.time(), is_driven(folder))
        typer.echo(jsonlib.dumps(detail_run(folder, view, state)))
    else:
        console = Console()
        console.print(run_page(view, folder, console.width))
