"""`gome hint`: advice to a run, without stopping it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.errors import usage_error
from cli.options import RunsDir
from cli.run_folders import find_run


def hint_command(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Run, named as for `gome show`.")],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What to try or to avoid, in a sentence or two.")
    ],
    trace: Annotated[
        int | None, typer.Option(metavar="N", help="Only for this trace; else for all.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Send a hint to a run in progress.

    The next diagnosis and update quote it as your words. The run does not stop.
    """
    from report.event_log import load_view
    from run.folder import check_regular_files
    from run.hints import HintError, add_hint
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors

    folder = find_run(name, runs_dir)
    if load_view(folder).reasoner == "expert":
        raise usage_error(
            f"{folder.name} is run by the expert, which reads no words; start a run with --model to"
            " be read, or choose the expert's next move with --set steer=each"
        )
    try:
        with explain_disk_errors(folder):
            check_regular_files(folder)
            stored = add_hint(folder, text, trace=trace)
    except (HintError, RunError) as error:
        raise usage_error(str(error)) from None
    typer.echo(f"{folder.name}: from its next step the run reads: {stored}")
