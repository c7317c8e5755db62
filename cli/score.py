"""`gome score`: submissions against answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import exit_on_failure, usage_error
from cli.options import TaskFolder


def score_command(
    task: TaskFolder,
    answers: Annotated[
        str, typer.Argument(metavar="ANSWERS", help="CSV with the true labels of the test rows.")
    ],
    submissions: Annotated[
        list[str], typer.Argument(metavar="SUBMISSIONS", help="Submission files to score.")
    ],
) -> None:
    """Score submissions against answers that you hold. The metric is that of the task."""
    for path in (answers, *submissions):
        if not Path(path).is_file():
            raise usage_error(f"{path} does not exist; gome score TASK ANSWERS SUBMISSION...")
    asyncio.run(exit_on_failure(print_private_scores(task, answers, submissions)))


async def print_private_scores(task: str, answers: str, submissions: list[str]) -> None:
    """Print the score and the path of each submission."""
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        for path in submissions:
            value = await worker.score_private(task, answers, path)
            typer.echo(f"{value:.6g}  {path}")
    finally:
        await worker.close()
