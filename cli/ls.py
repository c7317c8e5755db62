"""`gome ls`: the runs."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from cli.config import configured_runs_dir
from cli.console import echo_table, open_console
from cli.options import RunsDir
from cli.run_folders import run_folders


def ls_command(
    runs_dir: RunsDir = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per run.")] = False,
) -> None:
    """List the runs, newest first, with their best scores."""
    import time

    from report.event_log import load_view, run_state
    from report.run_json import summarize_run
    from report.run_tables import runs_table
    from run.lock import is_driven

    root = Path(configured_runs_dir(runs_dir)).expanduser().resolve()
    folders = run_folders(str(root))
    alive = {folder.name: is_driven(folder) for folder in folders}
    views = [(folder, load_view(folder)) for folder in folders]
    now = time.time()
    if not json:
        console = open_console()
        echo_table(runs_table(views, now, alive, root, console.width), console)
        return
    for folder, view in views:
        state = run_state(view, now, alive[folder.name])
        typer.echo(jsonlib.dumps(summarize_run(folder, view, state)))
