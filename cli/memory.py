"""`gome memory`: inspect, export, import and prune the success memory."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import usage_error
from cli.options import setting_default, setting_option

if TYPE_CHECKING:
    from memory.protocol import Record

app = typer.Typer(
    help="The success memory: what earlier runs measured. New runs recall it (docs/memory.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MemoryPlace = Annotated[str, setting_option("memory")]
EmbeddingName = Annotated[str, setting_option("embedding")]
AsJson = Annotated[bool, typer.Option("--json", help="Print records as JSON lines, for machines.")]
DEFAULT_MEMORY, DEFAULT_EMBEDDING = setting_default("memory"), setting_default("embedding")


@app.command("ls")
def list_records(
    run: Annotated[str, typer.Option(help="Only of this run (or of this prefix).")] = "",
    task: Annotated[
        str, typer.Option(help="Only of this data fingerprint (or of this prefix).")
    ] = "",
    kind: Annotated[str, typer.Option(help="accepted | refuted.")] = "",
    component: Annotated[
        str, typer.Option(help="data | features | model | ensemble | workflow.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """List measured hypotheses, newest first."""
    from memory.manage import select_records

    with exit_on_problem():
        records = select_records(
            where,
            run=run,
            task=task,
            kind=kind,
            component=component,
            limit=limit,
            embedding=embedding,
        )
    print_records(records, json, record_line)
    if not records and not json:
        typer.echo(f"Nothing in {where} matches.")


@app.command("show")
def show_record(
    name: Annotated[str, typer.Argument(help="The record's id, or a prefix of it.")],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """Show one record in full: conditions, gain, origin and the change itself."""
    from memory.manage import find_record

    with exit_on_problem():
        record = find_record(where, name, embedding=embedding)
    print_records([record], json, record_page)


@app.command("search")
def search_records(
    text: Annotated[str, typer.Argument(help="A problem or an idea in your words.")],
    k: Annotated[int, typer.Option(min=1, max=1000, help="How many records.")] = 10,
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """Find the records nearest to a text, by plain similarity."""
    from memory.manage import nearest_records

    with exit_on_problem():
        results = nearest_records(where, text, k=k, embedding=embedding)
    similarity = {result.record.id: result.similarity for result in results}
    print_records(
        [result.record for result in results],
        json,
        lambda record: f"{similarity[record.id]:.2f}  {record_line(record)}",
    )


@app.command("export")
def export_records(
    target: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
) -> None:
    """Write all records as JSON lines, to read or to import elsewhere."""
    from memory.manage import export_to_file

    with exit_on_problem():
        n_records = export_to_file(where, target, embedding=embedding)
    typer.echo(f"{n_records} records written to {target}")


@app.command("import")
def import_records(
    source: Annotated[
        Path, typer.Argument(help="JSON lines of an export, or a memory's journal.jsonl.")
    ],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
) -> None:
    """Add the records of a file.

    Known records are skipped; invalid ones are refused and reported.
    """
    from memory.manage import import_from_file

    with exit_on_problem():
        result = import_from_file(where, source, embedding=embedding)
    typer.echo(
        f"{result.n_added} added, {result.n_known} known already, {result.n_refused} refused"
    )
    for problem in result.problems:
        typer.echo(f"  {problem}", err=True)


@app.command("forget")
def forget_records(
    run: Annotated[str, typer.Option(help="Of this run.")] = "",
    task: Annotated[
        str, typer.Option(help="Of this data fingerprint (`gome memory show` prints it).")
    ] = "",
    older_than: Annotated[str, typer.Option(help="Older than 12h, 30d, 8w or 6m.")] = "",
    record: Annotated[
        list[str] | None, typer.Option(help="This record, by its full id; may be repeated.")
    ] = None,
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
) -> None:
    """Delete records for good. A record must meet all given conditions."""
    from memory.manage import remove_records

    with exit_on_problem():
        n_records = remove_records(
            where,
            run=run,
            task=task,
            older_than=older_than,
            ids=record or [],
            embedding=embedding,
        )
    typer.echo(f"{n_records} records forgotten")


@contextmanager
def exit_on_problem() -> Iterator[None]:
    """Turn a problem with the memory into one sentence on stderr and exit code 2."""
    from memory.manage import MemoryAccessError

    try:
        yield
    except MemoryAccessError as error:
        raise usage_error(str(error)) from None


def print_records(records: list[Record], json: bool, describe: Callable[[Record], str]) -> None:
    """Print each record as JSON or as `describe` words it."""
    for record in records:
        typer.echo(record.model_dump_json() if json else describe(record))


def record_line(record: Record) -> str:
    """Return `id  kind  gain in noise units  component  hypothesis  (metric, task)`."""
    from memory.trust import gain_z_score, trust_level

    doubt = "" if trust_level(record) == "verified" else f" [{trust_level(record)}]"
    gain = f"{gain_z_score(record):+.1f}σ"
    text = " ".join(record.hypothesis.split())[:90]
    return (
        f"{record.id[:10]}  {record.kind:8}  {gain:>6}  {record.component:8}  {text}{doubt}"
        f"  ({record.metric}, {record.task_hash[:8]})"
    )


def record_page(record: Record) -> str:
    """Return every non-empty field, the change last."""
    values = {
        key: value
        for key, value in record.model_dump().items()
        if value not in ("", None) and key != "diff"
    }
    lines = [
        f"{key:12} {value if isinstance(value, str) else jsonlib.dumps(value)}"
        for key, value in values.items()
    ]
    return "\n".join(lines + (["", record.diff] if record.diff else []))
