"""`gome init`: task.yaml for a folder of data, with a reason for every line."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.config import make_settings
from cli.console import echo_table, echo_wrapped, open_console
from cli.errors import exit_on_failure, usage_error
from cli.options import require_name, setting_options
from report.formatting import clean_text, name_metric

if TYPE_CHECKING:
    from rich.table import Table

    from graph.settings import Settings
    from task.client import TaskWorker
    from task.types import TaskReport


@setting_options("model", "base_url", "isolation")
def init_command(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            callback=require_name,
            help="Folder with your training and test tables, whatever their names.",
        ),
    ],
    given: dict[str, Any],
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
    settings = make_settings(given, [])
    if dry_run and hold_out is not None:
        raise usage_error("--hold-out moves rows, so it does not go with --dry-run")
    if dry_run:
        work = print_description(folder, target, config, force, as_json, settings)
    else:
        wanted = InitOptions(force, target, hold_out, config)
        work = write_task_yaml(folder, wanted, as_json, settings)
    asyncio.run(exit_on_failure(work))


async def print_description(
    folder: str,
    target: str | None,
    config: str | None,
    fresh: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """Print what is read of the folder, or why it is refused; write nothing there.

    What a model writes goes to a folder that is removed.
    """
    from session.made_files import read_keys
    from task.client import TaskWorker

    worker = TaskWorker(isolation=settings.isolation)
    try:
        report = await worker.describe_task(folder, target=target, config=config, fresh=fresh)
        if report["needs"] and settings.model:
            with tempfile.TemporaryDirectory(prefix="gome-made-") as made:
                keys = {} if fresh else read_keys(folder, config)
                keys |= {"target": target} if target else {}
                await make_missing_files(folder, Path(made), keys, worker, settings, report)
                report = await worker.describe_task(folder, config=str(Path(made) / "task.yaml"))
    finally:
        await worker.close()
    if as_json:
        typer.echo(json.dumps(report))
        return
    if report["refusal"]:
        raise usage_error(report["refusal"])
    shown: dict[str, Any] = dict(report)
    for key in ("train", "test", "sample", "id", "target", "kind", "metric", "split"):
        typer.echo(f"  - {key}: {shown[key]}")
    print_report(shown)


@dataclass(frozen=True)
class InitOptions:
    """What was asked for besides the folder."""

    force: bool
    target: str | None
    hold_out: float | None
    config: str | None


async def write_task_yaml(
    folder: str, wanted: InitOptions, as_json: bool, settings: Settings
) -> None:
    """Write the file and print the reasons. Raises TaskError for unusable tables.

    With a model, read.py and metric.py are written where they are needed, beside task.yaml.
    """
    from task.client import TaskWorker
    from task.types import TaskError

    worker = TaskWorker(isolation=settings.isolation)
    config = wanted.config
    try:
        try:
            path, reasons, notice, report = await worker.init_task(folder, **asdict(wanted))
        except TaskError:
            if not settings.model:
                raise
            described = await worker.describe_task(folder, target=wanted.target, fresh=True)
            if not described["needs"]:
                raise
            place = Path(config).expanduser().parent if config else Path(folder).expanduser()
            keys = await make_missing_files(
                folder,
                place,
                {"target": wanted.target} if wanted.target else {},
                worker,
                settings,
                described,
            )
            path, reasons, notice, report = await worker.init_task(
                folder, force=True, config=config, keys=keys
            )
    finally:
        await worker.close()
    if as_json:
        typer.echo(json.dumps(report))
        return
    console = open_console()
    echo_wrapped(shorten_paths(notice or f"{path} written."), console)
    for reason in reasons:
        echo_wrapped(shorten_paths(reason), console, mark="  - ")
    print_report(report)
    with_config = f" --config {config}" if config else ""
    typer.echo(f"Next: check it, then gome run {folder}{with_config}")


async def make_missing_files(
    folder: str,
    place: Path,
    keys: dict[str, Any],
    worker: TaskWorker,
    settings: Settings,
    report: TaskReport,
) -> dict[str, Any]:
    """Let the model write what the task lacks into `place`; return the keys of task.yaml.

    Raises TaskError, ReasonerError, ReasonerUnavailableError.
    """
    from reasoner.protocol import FileWriter
    from run.services import reasoner_for
    from session.made_files import FileMaker

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    writer = reasoner_for(settings, tell)
    assert isinstance(writer, FileWriter)
    maker = FileMaker(folder, place, keys, worker, writer, tell)
    await maker.make_files(report)
    spent = maker.usage
    tell(f"{spent.calls} answers, {spent.input_tokens + spent.output_tokens:,} tokens")
    return maker.keys


def shorten_paths(text: str) -> str:
    """Return the text with paths below the current folder relative to it."""
    return text.replace(f"{Path.cwd()}/", "")


MAX_COLUMNS = 60  # that are printed


def print_report(report: dict[str, Any]) -> None:
    """Print the repairs, the rehearsal and the table of columns."""
    console = open_console()
    for title, key in (("Decided", "decided"), ("Files", "files"), ("Repaired", "repairs")):
        if report[key]:
            typer.echo(f"{title}:")
        for sentence in report[key]:
            echo_wrapped(sentence, console, mark="  * ")
    if found := report["rehearsal"]:
        echo_wrapped(
            f"Rehearsal on {found['rows']} rows: the true labels score "
            f"{round(found['truth'], 6):g} by {name_metric(found['metric'])}, shuffled ones "
            f"{found['shuffled']:.6g}.",
            console,
        )
    echo_table(columns_table(report["columns"][:MAX_COLUMNS]), console, indent=2)
    if (n_more := len(report["columns"]) - MAX_COLUMNS) > 0:
        typer.echo(f"  … and {n_more} more (--dry-run --json lists all)")
    if report["positive"]:
        typer.echo(f"Positive class of {report['target'][0]}: {report['positive']}")


def columns_table(columns: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table that says how each column is read."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    for title in ("column", "kind", "what happens to it", "why"):
        table.add_column(title, overflow="fold")
    for column in columns:
        cells = [column[key] for key in ("name", "kind", "fate", "why")]
        table.add_row(*(Text(clean_text(*cell)) for cell in zip(cells, WIDTHS, strict=True)))
    return table


WIDTHS = (40, 12, 60, 80)
