"""`gome show`: one run in the terminal."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import usage_error
from cli.options import RunName, RunsDir
from cli.run_folders import find_run


def show_command(
    name: RunName = "",
    runs_dir: RunsDir = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    calls: Annotated[
        bool, typer.Option("--calls", help="The calls of models; with --json, all their texts.")
    ] = False,
    call: Annotated[
        int | None,
        typer.Option("--call", min=1, metavar="N", help="Prompt, reasoning and answer of one."),
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Only what the run has learnt: its claims.")
    ] = False,
) -> None:
    """Show one run: attempts, verdicts, reasons and costs.

    The diff from the first script to the best follows. `--ledger` shows the ledger instead.
    """
    import time

    from rich.console import Console

    from report.event_log import load_view, run_state
    from report.ledger_rows import ledger_json
    from report.run_json import detail_run
    from report.run_tables import ledger_table, run_page
    from run.lock import is_driven

    folder = find_run(name, runs_dir)
    if calls or call is not None:
        show_calls(folder, call, json=json)
        return
    view = load_view(folder)
    if ledger:
        if json:
            typer.echo(jsonlib.dumps(ledger_json(view)))
        else:
            Console().print(ledger_table(view))
    elif json:
        state = run_state(view, time.time(), is_driven(folder))
        typer.echo(jsonlib.dumps(detail_run(folder, view, state)))
    else:
        console = Console()
        console.print(run_page(view, folder, console.width))


def show_calls(folder: Path, number: int | None, *, json: bool) -> None:
    """Show the exchanges of a run with models, or one of them."""
    from rich.console import Console

    from report.call_tables import call_json, call_page, calls_table
    from report.transcripts import load_calls

    calls = load_calls(folder)
    if not calls:
        raise usage_error(
            f"{folder.name} has no transcripts: no model was asked, `transcripts` is off, "
            "or an earlier Gome wrote it"
        )
    if number is not None and number > len(calls):
        raise usage_error(f"--call {number}: {folder.name} has {len(calls)} calls")
    chosen = calls if number is None else [calls[number - 1]]
    if json:
        whole = [call_json(folder, each) for each in chosen]
        typer.echo(jsonlib.dumps(whole if number is None else whole[0]))
    elif number is not None:
        Console().print(call_page(folder, chosen[0]), soft_wrap=True)
    else:
        Console().print(calls_table(chosen))
