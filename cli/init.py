"""`gome init`: task.yaml for a folder of data, with a reason for every line."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.errors import exit_on_failure


def init_command(
    folder: Annotated[
        str, typer.Argument(help="Folder with your training and test tables, whatever their names.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing task.yaml.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column to predict, if the tables do not determine it."
        ),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of a single table's rows that become the test table;"
            " their answers go to FOLDER-private.",
        ),
    ] = None,
) -> None:
    """Write task.yaml for a folder of tables.

    It says what to predict and how predictions are scored, with a reason for every line.
    """
    asyncio.run(exit_on_failure(write_task_yaml(folder, force, target, hold_out)))


async def write_task_yaml(
    folder: str, force: bool, target: str | None, hold_out: float | None
) -> None:
    """Write the file and print the reasons. Raises TaskError for unusable tables."""
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        path, reasons = await worker.init_task(
            folder, force=force, target=target, hold_out=hold_out
        )
        typer.echo(f"{path} written.")
        for reason in reasons:
            typer.echo(f"  - {reason}")
        typer.echo(f"Next: check it, then gome run {folder}")
    finally:
        await worker.close()
