"""`gome memory`: look at the success memory, carry it elsewhere, take things out of it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memory.protocol import Record

app = typer.Typer(
    help="The success memory: what was measured in earlier runs. New runs recall it (docs/memory.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Where = Annotated[str, typer.Option("--memory", help="Folder or http://host:port of the memory.")]
Embedded = Annotated[
    str,
    typer.Option(
        "--embedding",
        help="lexical | openai:MODEL[@BASE_URL]; matters for search and for a server.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Records as JSON lines, for machines.")]
DEFAULT = "~/.gome/memory"


@app.command("ls")
def list_records(
    run: Annotated[str, typer.Option(help="Only of this run (or what begins so).")] = "",
    task: Annotated[
        str, typer.Option(help="Only of this data fingerprint (or what begins so).")
    ] = "",
    kind: Annotated[str, typer.Option(help="accepted | refuted.")] = "",
    component: Annotated[
        str, typer.Option(help="data | features | model | ensemble | workflow.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
    json: AsJson = False,
) -> None:
    """Measured hypotheses, newest first."""
    from memory.manage import ls

    with told():
        records = ls(
            where,
            run=run,
            task=task,
            kind=kind,
            component=component,
            limit=limit,
            embedding=embedding,
        )
    print_records(records, json, line)
    if not records and not json:
        typer.echo(f"Nothing in {where} matches.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The record's id, or how it begins.")],
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
    json: AsJson = False,
) -> None:
    """One record in full: conditions, gain, origin and the change itself."""
    from memory.manage import show as find

    with told():
        record = find(where, name, embedding=embedding)
    print_records([record], json, page)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="A problem or an idea in your words.")],
    k: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 10,
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
    json: AsJson = False,
) -> None:
    """The records nearest to a text, by plain similarity."""
    from memory.manage import search as find

    with told():
        found = find(where, text, k=k, embedding=embedding)
    near = {item.record.id: item.similarity for item in found}
    print_records(
        [item.record for item in found],
        json,
        lambda record: f"{near[record.id]:.2f}  {line(record)}",
    )


@app.command("export")
def export_records(
    target: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
) -> None:
    """Write all records as JSON lines, to read or to import elsewhere."""
    from memory.manage import export

    with told():
        typer.echo(f"{export(where, target, embedding=embedding)} records written to {target}")


@app.command("import")
def import_records(
    source: Annotated[
        Path, typer.Argument(help="JSON lines of an export, or a memory's journal.jsonl.")
    ],
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
) -> None:
    """Add the records of a file; what is known already is passed over, what is not valid is refused and said."""
    from memory.manage import import_

    with told():
        done = import_(where, source, embedding=embedding)
    typer.echo(f"{done.n_added} added, {done.n_known} known already, {done.n_refused} refused")
    for problem in done.problems:
        typer.echo(f"  {problem}", err=True)


@app.command()
def forget(
    run: Annotated[str, typer.Option(help="Of this run.")] = "",
    task: Annotated[
        str, typer.Option(help="Of this data fingerprint (`gome memory show` tells it).")
    ] = "",
    older_than: Annotated[str, typer.Option(help="Older than 12h, 30d, 8w or 6m.")] = "",
    record: Annotated[
        list[str] | None, typer.Option(help="This record, by its full id; may be given again.")
    ] = None,
    where: Where = DEFAULT,
    embedding: Embedded = "lexical",
) -> None:
    """Take records out for good. Conditions given together must all hold."""
    from memory.manage import forget as drop

    with told():
        typer.echo(
            f"{drop(where, run=run, task=task, older_than=older_than, ids=record or [], embedding=embedding)} records forgotten"
        )


@contextmanager
def told() -> Iterator[None]:
    """A memory that cannot be managed as asked is one sentence on stderr and exit code 2."""
    from memory.manage import MemoryProblem

    try:
        yield
    except MemoryProblem as error:
        typer.echo(f"gome: {error}", err=True)
        raise typer.Exit(2) from None


def print_records(records: list[Record], json: bool, form: Callable[[Record], str]) -> None:
    for record in records:
        typer.echo(record.model_dump_json() if json else form(record))


def line(record: Record) -> str:
    """`id  kind  gain in noise units  component  hypothesis  (metric, task)`."""
    from memory.trust import noise, trust

    doubt = "" if trust(record) == "verified" else f" [{trust(record)}]"
    gain = f"{noise(record):+.1f}σ"
    text = " ".join(record.hypothesis.split())[:90]
    return f"{record.id[:10]}  {record.kind:8}  {gain:>6}  {record.component:8}  {text}{doubt}  ({record.metric}, {record.task_hash[:8]})"


def page(record: Record) -> str:
    """Every field that is filled, the change last."""
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
