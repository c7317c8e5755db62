"""`gome compare`: runs side by side."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from cli.errors import usage_error
from cli.options import RunsDir
from cli.run_folders import find_run


def compare_command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Two or more runs, named as for `gome show`; the diff is of the first two.",
        ),
    ],
    runs_dir: RunsDir = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per run.")] = False,
) -> None:
    """Compare runs: scores, curves, cost, settings that differ, and the best scripts' diff."""
    import time

    from rich.console import Console

    from report.compare_runs import ComparedRun, comparison_page
    from report.event_log import load_view, run_state
    from report.run_json import detail_run
    from run.lock import is_driven

    if len(names) < 2:
        raise usage_error(f"compare {names[0]} with what? Name two runs; `gome ls` lists them")
    runs = []
    for folder in dict.fromkeys(find_run(name, runs_dir) for name in names):
        view = load_view(folder)
        runs.append(ComparedRun(folder, view, run_state(view, time.time(), is_driven(folder))))
    if len(runs) < 2:
        raise usage_error(f"{', '.join(names)} are one and the same run, {runs[0].folder.name}")
    if json:
        for run in runs:
            typer.echo(jsonlib.dumps(detail_run(*run)))
    else:
        Console().print(comparison_page(runs))
