"""Commands of `gome`. Each imports what it needs when it runs, so that `gome --help` stays fast.

Exit codes: 0 a valid submission was written; 1 the run ended without one; 2 bad input or something missing here (a run that had
begun is paused, `gome resume` goes on); 3 the run waits for a person's answer; 130 interrupted, `gome resume` goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import memory as memory_commands
from cli.clean import clean
from cli.common import RunName, RunsDir, TaskFolder, find_run, guarded, run_folders
from cli.config import make_settings
from cli.doctor import doctor
from cli.fork import export, fork, import_
from cli.hint import hint
from cli.init import init
from cli.report import report
from cli.studio import studio

if TYPE_CHECKING:
    from session.session import Outcome

app = typer.Typer(
    help="Gome writes, runs, diagnoses and improves training scripts for your task until the budget is spent.\n\n"
    "Your data:  gome init FOLDER  &&  gome run FOLDER\n\n"
    "Try it:  gome example modechoice demo  &&  gome run demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(memory_commands.app, name="memory")

AsJson = Annotated[
    bool, typer.Option("--json", help="Events as JSON lines on stdout, for machines.")
]


@app.command()
def run(
    task: TaskFolder,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="gome (as published) | adaptive | tree | mcts | random: several settings at once; others win over it.",
        ),
    ] = None,
    traces: Annotated[
        int | None, typer.Option(metavar="N", help="Parallel traces. [default: 2]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Attempts per trace. [default: 8]")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Wall time of the run: seconds, or 30m, 12h. [default: 1h]"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of folds, audit rows and tie-breaks. [default: 0]"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model of the OpenAI-compatible endpoint, or verb=model; none: the expert.",
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Endpoint; else OPENAI_BASE_URL.")
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model to ask where the one of a verb fails.")
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(metavar="USD", help="Stop when the models have cost this much.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after this many tokens.")
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option(metavar="KIND", help="local | e2b | ray. [default: local]")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Ray cluster for --sandbox ray; else RAY_ADDRESS."),
    ] = None,
    isolation: Annotated[
        str | None,
        typer.Option(
            metavar="TIER",
            help="Tier of the local sandbox: auto | bubblewrap | userns | landlock | none.",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="GPUs that scripts may lease: auto | none | indices such as 0,1. [default: auto]",
        ),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Let scripts reach the network.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Folder of the success memory, http://host:port, or off. [default: ~/.gome/memory]",
        ),
    ] = None,
    steer: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Ask you after a merge: each | stuck | never. [default: never]"
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="postgresql://user@host/database; else SQLite in the run folder."
        ),
    ] = None,
    otel: Annotated[
        bool,
        typer.Option(
            "--otel", help="Send OpenTelemetry spans to OTEL_EXPORTER_OTLP_ENDPOINT (extra otel)."
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other setting; docs/settings.md lists them."
        ),
    ] = None,
    runs_dir: RunsDir = "runs",
    json: AsJson = False,
) -> None:
    """Solve a task folder. Ctrl-C once stops and says how to go on."""
    given = {
        "preset": preset,
        "traces": traces,
        "steps": steps,
        "time_s": time,
        "seed": seed,
        "model": model,
        "base_url": base_url,
        "fallback": fallback,
        "max_usd": max_usd,
        "max_tokens": max_tokens,
        "sandbox": sandbox,
        "ray_address": ray_address,
        "isolation": isolation,
        "gpus": gpus,
        "network": network or None,
        "memory": memory,
        "steer": steer,
        "checkpoint": checkpoint,
        "otel": otel or None,
        "runs_dir": runs_dir,
    }
    from run.folder import new_run_folder
    from session.session import start_run

    chosen = make_settings(
        {key: value for key, value in given.items() if value is not None}, settings or [], task
    )
    folder = new_run_folder(chosen, task)
    watch(
        lambda listener, ask: start_run(task, chosen, folder=folder, listeners=[listener], ask=ask),
        json,
        folder,
    )


@app.command()
def resume(
    name: RunName = "",
    answer: Annotated[
        str | None,
        typer.Option(
            help="Answer to a waiting run as JSON (docs/long-runs.md), where no terminal asks."
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option(help="Go back to the last round whose files are whole.")
    ] = False,
    checkpoint: Annotated[
        str, typer.Option(help="The run's Postgres address again, where it needs its password.")
    ] = "",
    runs_dir: RunsDir = "runs",
    json: AsJson = False,
) -> None:
    """Go on with a run that was interrupted, killed or waits. It goes on where it stood; what was finished is not run again."""
    from cli.steer import once
    from session.session import resume_run as again

    folder = find_run(name, runs_dir)
    given = once(answer) if answer else None
    watch(
        lambda listener, ask: again(
            folder, listeners=[listener], ask=given or ask, checkpoint=checkpoint, repair=repair
        ),
        json,
        folder,
    )


@app.command("ls")
def list_runs(runs_dir: RunsDir = "runs") -> None:
    """The runs, newest first, with their best scores."""
    import time

    from rich.console import Console

    from report.events import load
    from report.tables import runs_table
    from run.lock import is_driven

    folders = run_folders(runs_dir)
    alive = {folder.name: is_driven(folder) for folder in folders}
    Console().print(runs_table([(folder, load(folder)) for folder in folders], time.time(), alive))


@app.command()
def show(name: RunName = "", runs_dir: RunsDir = "runs") -> None:
    """One run: attempts, verdicts, reasons, costs. And how the best script differs from the first."""
    from rich.console import Console

    from report.events import load
    from report.tables import run_page

    folder = find_run(name, runs_dir)
    Console().print(run_page(load(folder), folder))


@app.command()
def example(
    name: Annotated[str, typer.Argument(help="Name of the example; empty: list them.")] = "",
    folder: Annotated[
        str,
        typer.Argument(
            help="Where to write the task; the answers go beside it, into FOLDER-private."
        ),
    ] = "",
) -> None:
    """Write a real data set out as a task folder. Its answers are held back beside it; without a name: list them."""
    asyncio.run(guarded(write_example(name, folder)))


async def write_example(name: str, folder: str) -> None:
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        if not name:
            for key, line in (await worker.list_examples()).items():
                typer.echo(f"{key:14} {line}")
            return
        place = folder or f"tasks/{name}"
        await worker.write_example(name, place)
        typer.echo(
            f"{place}: task written; {place}-private holds the answers, which no run can reach.\nNext: gome run {place}"
        )
    finally:
        await worker.close()


@app.command()
def score(
    task: TaskFolder,
    answers: Annotated[str, typer.Argument(help="CSV with the true labels of the test rows.")],
    submissions: Annotated[list[str], typer.Argument(help="Submission files to score.")],
) -> None:
    """Score submissions against answers that you hold. By the task's own metric."""
    asyncio.run(guarded(print_scores(task, answers, submissions)))


async def print_scores(task: str, answers: str, submissions: list[str]) -> None:
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        for path in submissions:
            value = await worker.score_private(task, answers, path)
            typer.echo(f"{value:.6g}  {path}")
    finally:
        await worker.close()


# commands with a file of their own
app.command()(init)
app.command()(fork)
app.command()(export)
app.command("import")(import_)
app.command()(hint)
app.command()(studio)
app.command()(report)
app.command()(doctor)
app.command()(clean)


# plumbing


def watch(
    make: Callable[[Any, Any], Coroutine[Any, Any, Outcome]], json: bool, folder: Path
) -> None:
    """Runs a session under a live view and ends with its exit code."""
    from cli.steer import make_ask
    from report.console import make_listener

    with make_listener("json" if json else "live", run_dir=folder) as listener:
        outcome = asyncio.run(guarded(make(listener.on_event, make_ask(listener))))
    if outcome.waiting:
        typer.echo(
            f"The run waits for your answer: gome resume {folder} (in a terminal, or with --answer JSON)",
            err=True,
        )
        raise typer.Exit(3)
    raise typer.Exit(130 if outcome.interrupted else 0 if outcome.submission else 1)
