"""`gome ls`: the runs."""

from __future__ import annotations

from pathlib import Path

from cli.config import configured_runs_dir
from cli.options import RunsDir
from cli.run_folders import run_folders


def ls_command(runs_dir: RunsDir = None) -> None:
    """List the runs, newest first, with their best scores."""
    import time

    from rich.console import Console

    from report.event_log import load_view
    from report.run_tables import runs_table
    from run.lock import is_driven

    root = Path(configured_runs_dir(runs_dir)).expanduser().resolve()
    folders = run_folders(str(root))
    alive = {folder.name: is_driven(folder) for folder in folders}
    views = [(folder, load_view(folder)) for folder in folders]
    Console().print(runs_table(views, time.time(), alive, root))
