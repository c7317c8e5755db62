"""`gome resume`: continue a run."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import RunName, RunsDir
from cli.run_folders import find_run
from cli.watch import AsJson, watch_session


def resume_command(
    name: RunName = "",
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Answer to a waiting run (docs/long-runs.md), where no terminal asks.",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option(help="Go back to the last round whose files are intact.")
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            help="Accept a metric file inside the run folder; it sees the labels. Also accept "
            "settings that were not chosen by this account."
        ),
    ] = False,
    checkpoint: Annotated[
        str, typer.Option(metavar="URL", help="The run's Postgres address, if it needs a password.")
    ] = "",
    runs_dir: RunsDir = None,
    json: AsJson = False,
) -> None:
    """Resume a run that was interrupted, killed, or is waiting for an answer.

    Finished work is not repeated.
    """
    from cli.steer import answer_once
    from session import session

    folder = find_run(name, runs_dir)
    given = answer_once(answer) if answer else None
    watch_session(
        lambda listener, ask: session.resume_run(
            folder,
            listeners=[listener],
            ask=given or ask,
            checkpoint=checkpoint,
            repair=repair,
            trust=trust,
        ),
        json,
        folder,
    )
