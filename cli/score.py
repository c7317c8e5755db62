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
    """Score submissions against answers that you hold, by the task's own metric.

    The first line names the metric and its direction; a line per submission follows.
    """
    for path in (answers, *submissions):
        if not Path(path).is_file():
            raise usage_error(f"{path} does not exist; gome score TASK ANSWERS SUBMISSION...")
    asyncio.run(exit_on_failure(print_private_scores(task, answers, submissions)))


async def print_private_scores(task: str, answers: str, submissions: list[str]) -> None:
    """Print the metric, then the score and the path of each submission."""
    from report.formatting import clean_text, name_metric
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        scores = [await worker.score_private(task, answers, path) for path in submissions]
        loaded = await worker.load_task(task)
        better = "higher" if loaded.direction == "max" else "lower"
        typer.echo(f"{clean_text(name_metric(loaded.metric), 100)}, {better} is better")
        for value, path in zip(scores, submissions, strict=True):
            typer.echo(f"{value:.6g}  {path}")
    finally:
        await worker.close()
