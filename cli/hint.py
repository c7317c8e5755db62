"""gome hint: a person's word to a run, without stopping it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import RunName, RunsDir, complain, find_run


def hint(
    name: RunName,
    text: Annotated[str, typer.Argument(help="What to try or to avoid, in a sentence or two.")],
    trace: Annotated[int | None, typer.Option(help="Only for this trace; else for all.")] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Tell a running run something. The next diagnosis and update quote it as your words. The run does not stop."""
    from run.hints import HintError, add_hint
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors

    folder = find_run(name, runs_dir)
    try:
        with explain_disk_errors(folder):
            said = add_hint(folder, text, trace=trace)
    except (HintError, RunError) as error:
        raise typer.Exit(complain(str(error))) from None
    typer.echo(f"{folder.name}: from its next step on the run reads: {said}")
