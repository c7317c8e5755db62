"""`gome init`: task.yaml for a folder of data, with a reason for every line."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.common import guarded


def init(
    folder: Annotated[
        str, typer.Argument(help="Folder with your training and test tables, whatever their names.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing task.yaml.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column to predict, where the tables do not show it."),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of a single table's rows that become the test table; the answers go into FOLDER-private.",
        ),
    ] = None,
) -> None:
    """Look at a folder of tables and write its task.yaml. It says what to predict and how it is scored, and why."""
    asyncio.run(guarded(write_task_yaml(folder, force, target, hold_out)))


async def write_task_yaml(
    folder: str, force: bool, target: str | None, hold_out: float | None
) -> None:
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        path, reasons = await worker.init_task(
            folder, force=force, target=target, hold_out=hold_out
        )
        typer.echo(f"{path} written.")
        for reason in reasons:
            typer.echo(f"  - {reason}")
        typer.echo(f"Next: look it over, then gome run {folder}")
    finally:
        await worker.close()
