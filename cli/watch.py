"""Run a session under a live view; its exit code is the command's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import exit_on_failure

if TYPE_CHECKING:
    from session.session import Outcome

AsJson = Annotated[
    bool, typer.Option("--json", help="Print events as JSON lines on stdout, for machines.")
]


def watch_session(
    start_session: Callable[[Any, Any], Coroutine[Any, Any, Outcome]], json: bool, folder: Path
) -> None:
    """Run a session and raise typer.Exit with its code.

    Args:
        start_session: Called with a listener for events and a function that asks a person
            (None where nobody is at the terminal).
        json: Whether to print events instead of the live view.
        folder: The run folder.
    """
    from cli.steer import make_ask
    from report.console import make_listener

    with make_listener("json" if json else "live", run_dir=folder) as listener:
        outcome = asyncio.run(exit_on_failure(start_session(listener.on_event, make_ask(listener))))
    if outcome.waiting:
        typer.echo(
            f"The run is waiting for your answer: gome resume {folder}"
            " (in a terminal, or with --answer JSON)",
            err=True,
        )
        raise typer.Exit(3)
    raise typer.Exit(130 if outcome.interrupted else 0 if outcome.submission else 1)
