"""`gome show`: one run in the terminal."""

from __future__ import annotations

from cli.options import RunName, RunsDir
from cli.run_folders import find_run


def show_command(name: RunName = "", runs_dir: RunsDir = None) -> None:
    """Show one run: attempts, verdicts, reasons and costs.

    The diff from the first script to the best follows.
    """
    from rich.console import Console

    from report.event_log import load_view
    from report.run_tables import run_page

    folder = find_run(name, runs_dir)
    Console().print(run_page(load_view(folder), folder))
