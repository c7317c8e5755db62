"""`gome example`: a bundled dataset as a task folder."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.errors import exit_on_failure


def example_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the example; empty: list them.")
    ] = "",
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="Folder of the task; the answers go to FOLDER-private."
        ),
    ] = "",
) -> None:
    """Write a bundled dataset as a task folder.

    The answers go to FOLDER-private. Without a name, list the datasets.
    """
    asyncio.run(exit_on_failure(write_example_folder(name, folder)))


async def write_example_folder(name: str, folder: str) -> None:
    """Write the example into `folder` (default tasks/NAME), or list all without a name."""
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        if not name:
            for key, line in (await worker.list_examples()).items():
                typer.echo(f"{key:14} {line}")
            typer.echo("Next: gome example NAME, which writes the task folder tasks/NAME")
            return
        target = folder or f"tasks/{name}"
        await worker.write_example(name, target)
        typer.echo(
            f"{target}: task written; {target}-private contains the answers,"
            f" which no run can reach.\nNext: gome run {target}"
        )
    finally:
        await worker.close()
