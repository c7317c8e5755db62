"""`gome memory`: inspect, export, import and prune the success memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.errors import usage_error
from cli.options import setting_default, setting_option
from report.formatting import format_plural

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
Kind = Literal["accepted", "refuted"]
Component = Literal["data", "features", "model", "ensemble", "workflow"]
DEFAULT_MEMORY, DEFAULT_EMBEDDING = setting_default("memory"), setting_default("embedding")


@app.command("ls")
def list_records(
    run: Annotated[
        str, typer.Option(metavar="RUN", help="Only of the runs whose names begin so.")
    ] = "",
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK", help="Only of this task: its name, or its data's fingerprint."
        ),
    ] = "",
    kind: Annotated[Kind | None, typer.Option(metavar="KIND", help="accepted or refuted.")] = None,
    component: Annotated[
        Component | None,
        typer.Option(metavar="COMPONENT", help="data, features, model, ensemble or workflow."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most this many lines.")] = 50,
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """List measured hypotheses, newest first, one line for each however often it was measured.

    `helped`: in how many of its measurements it was accepted; id, date, task and gain are those of
    the latest.
    """
    from cli.memory_pages import group_claims, print_claims
    from memory.manage import select_records

    with exit_on_problem():
        records = select_records(
            where,
            run=run,
            task=task,
            kind=kind or "",
            component=component or "",
            embedding=embedding,
        )
    if json:
        print_json(records[:limit])
    elif records:
        claims = group_claims(records)
        print_claims(claims[:limit])
        if len(claims) > limit:
            typer.echo(f"{len(claims) - limit} older not shown; --limit {len(claims)} shows all.")
    else:
        typer.echo(f"Nothing in {where} matches.")


@app.command("show")
def show_record(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="The record's id, or the beginning of it.")
    ],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """Show one record in full: conditions, gain, origin and the change itself.

    Further measurements of the same hypothesis are listed.
    """
    from cli.memory_pages import record_page
    from memory.manage import find_record, select_same_claim

    with exit_on_problem():
        record = find_record(where, name, embedding=embedding)
        same = [] if json else select_same_claim(where, record, embedding=embedding)
    if json:
        print_json([record])
    else:
        typer.echo(record_page(record, same))


@app.command("search")
def search_records(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A problem or an idea in your words.")
    ],
    k: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many records.")] = 10,
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
    json: AsJson = False,
) -> None:
    """Find the records nearest to a text, by plain similarity, one line per hypothesis."""
    from cli.memory_pages import group_claims, print_claims
    from memory.manage import nearest_records

    with exit_on_problem():
        results = nearest_records(
            where, text, k=k, embedding=embedding, on_warning=partial(typer.echo, err=True)
        )
    records = [result.record for result in results]
    if json:
        print_json(records)
    elif records:
        similarity = {result.record.id: result.similarity for result in results}
        print_claims(group_claims(records), similarity)
    else:
        typer.echo(f"Nothing is in {where} yet.")


@app.command("export")
def export_records(
    target: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; it must not exist yet.")
    ],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
) -> None:
    """Write all records as JSON lines, to read or to import elsewhere."""
    from memory.manage import export_to_file

    with exit_on_problem():
        n_records = export_to_file(where, target, embedding=embedding)
    typer.echo(f"{format_plural(n_records, 'record')} written to {target}")


@app.command("import")
def import_records(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="JSON lines of an export, or a memory's journal.jsonl."
        ),
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


@app.command("distil")
def distil_recipes(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.", file_okay=False)
    ],
    where: MemoryPlace = DEFAULT_MEMORY,
    embedding: EmbeddingName = DEFAULT_EMBEDDING,
) -> None:
    """Propose recipes from what many runs measured: hypotheses that helped on several tasks.

    Each is a file to read and change; `gome recipes add FOLDER` accepts what you keep, and
    `gome recipes verify` measures it (docs/recipes.md).
    """
    from memory.manage import select_records
    from memory.recipes.distil import MIN_TASKS, propose_recipes

    if target.is_dir() and any(target.iterdir()):
        raise usage_error(f"{target} is not empty; name a new folder")
    with exit_on_problem():
        proposals = propose_recipes(select_records(where, embedding=embedding))
    if not proposals:
        typer.echo(f"No hypothesis in {where} helped on {MIN_TASKS} tasks beyond noise.")
        return
    target.mkdir(parents=True, exist_ok=True)
    for proposal in proposals:
        (target / proposal.name).write_text(proposal.text, encoding="utf-8")
        typer.echo(f"{target / proposal.name}: {proposal.evidence.describe()}")


@app.command("fetch")
def fetch_model(
    archive: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The archive, where it was downloaded elsewhere.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Fetch the weights of MiniLM (79 MB), with which memories compare texts best.

    They are checked by their hash and lie where Chroma looks for them too.
    """
    from memory.weights import MINILM, WeightsError, fetch_weights, install_weights

    try:
        folder = install_weights(MINILM, archive) if archive else fetch_weights(MINILM)
    except WeightsError as error:
        remedy = "" if archive else "; `gome memory fetch FILE` takes it from a file"
        raise usage_error(f"{error}{remedy}") from None
    typer.echo(f"MiniLM is in {folder}; new runs use it (embedding=auto)")


@app.command("forget")
def forget_records(
    run: Annotated[str, typer.Option(metavar="RUN", help="Of this run, by its whole name.")] = "",
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK",
            help="Of this task: its name, or its data's fingerprint (see `gome memory show`).",
        ),
    ] = "",
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Older than 12h, 30d, 8w or 6m.")
    ] = "",
    record: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="This record, by its full id; may be repeated."),
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
    typer.echo(f"{format_plural(n_records, 'record')} forgotten")


@contextmanager
def exit_on_problem() -> Iterator[None]:
    """Turn a problem with the memory into one sentence on stderr and exit code 2."""
    from memory.manage import MemoryAccessError

    try:
        yield
    except MemoryAccessError as error:
        raise usage_error(str(error)) from None


def print_json(records: Sequence[Record]) -> None:
    """Print each record as a line of JSON."""
    for record in records:
        typer.echo(record.model_dump_json())
