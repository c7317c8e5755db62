"""`gome init`: task.yaml for a folder of data, with a reason for every line."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from cli.errors import exit_on_failure, usage_error


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
    config: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Write task.yaml there, for a folder that cannot be written; `gome run FOLDER"
            " --config PATH` reads it.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what was read.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say what was read as one JSON object.")
    ] = False,
) -> None:
    """Write task.yaml for a folder of tables.

    It says what to predict and how predictions are scored, with a reason for every line, and how
    every column is read.
    """
    if dry_run and hold_out is not None:
        raise usage_error("--hold-out moves rows, so it does not go with --dry-run")
    if dry_run:
        work = print_description(folder, target, config, force, as_json)
    else:
        work = write_task_yaml(folder, force, target, hold_out, config, as_json)
    asyncio.run(exit_on_failure(work))


async def print_description(
    folder: str, target: str | None, config: str | None, fresh: bool, as_json: bool
) -> None:
    """Print what is read of the folder, or why it is refused; write nothing."""
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        report: dict[str, Any] = dict(
            await worker.describe_task(folder, target=target, config=config, fresh=fresh)
        )
    finally:
        await worker.close()
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
        return
    if report["refusal"]:
        raise usage_error(report["refusal"])
    for key in ("train", "test", "sample", "id", "target", "kind", "metric", "split"):
        typer.echo(f"  - {key}: {report[key]}")
    print_report(report)


async def write_task_yaml(
    folder: str,
    force: bool,
    target: str | None,
    hold_out: float | None,
    config: str | None,
    as_json: bool,
) -> None:
    """Write the file and print the reasons. Raises TaskError for unusable tables."""
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        path, reasons, notice, report = await worker.init_task(
            folder, force=force, target=target, hold_out=hold_out, config=config
        )
    finally:
        await worker.close()
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
        return
    typer.echo(notice or f"{path} written.")
    for reason in reasons:
        typer.echo(f"  - {reason}")
    print_report(report)
    with_config = f" --config {config}" if config else ""
    typer.echo(f"Next: check it, then gome run {folder}{with_config}")


MAX_COLUMNS = 60  # that are printed


def print_report(report: dict[str, Any]) -> None:
    """Print the repairs, the rehearsal and the table of columns."""
    for title, key in (("Decided", "decided"), ("Repaired", "repairs")):
        if report[key]:
            typer.echo(f"{title}:")
        for sentence in report[key]:
            typer.echo(f"  * {sentence}")
    if found := report["rehearsal"]:
        typer.echo(
            f"Rehearsal on {found['rows']} rows: the true labels score "
            f"{round(found['truth'], 6):g} by {found['metric']}, shuffled ones "
            f"{found['shuffled']:.6g}."
        )
    rows = [[item[key] for key in ("name", "kind", "fate", "why")] for item in report["columns"]]
    shown = [["column", "kind", "what happens to it", "why"], *rows[:MAX_COLUMNS]]
    cells = [list(map(shorten, row, WIDTHS)) for row in shown]
    widths = [max(len(row[index]) for row in cells) for index in range(len(WIDTHS))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(f"  {line.rstrip()}")
    if len(rows) > MAX_COLUMNS:
        typer.echo(f"  … and {len(rows) - MAX_COLUMNS} more (--dry-run --json lists all)")
    if report["positive"]:
        typer.echo(f"Positive class of {report['target'][0]}: {report['positive']}")


WIDTHS = (40, 12, 60, 80)


def shorten(text: str, limit: int) -> str:
    """Return a cell on one line, at most `limit` characters."""
    text = " ".join(str(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
