"""`gome run`: solve a task folder."""

from __future__ import annotations

from typing import Any

from cli.config import make_settings
from cli.options import SetPairs, TaskFolder, setting_options
from cli.watch import AsJson, watch_session


@setting_options()
def run_command(
    task: TaskFolder, given: dict[str, Any], pairs: SetPairs = None, json: AsJson = False
) -> None:
    """Solve a task folder. Ctrl-C stops the run and prints the command that resumes it."""
    from run.folder import new_run_folder
    from session.session import start_run

    settings = make_settings(given, pairs or [], task)
    folder = new_run_folder(settings, task)
    watch_session(
        lambda listener, ask: start_run(
            task, settings, folder=folder, listeners=[listener], ask=ask
        ),
        json,
        folder,
    )
