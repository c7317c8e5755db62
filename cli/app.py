"""The commands of `gome`, each in a file of its own.

A command imports what it needs when it runs, so that `gome --help` stays fast.

Exit codes: 0 a valid submission was written (at least the baseline's); 1 the run ended without
one; 2 bad input, or something is missing on this machine (a run that had begun is paused,
`gome resume` continues it); 3 the run is waiting for a person's answer; 130 interrupted,
`gome resume` continues it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from cli import env, memory, recipes
from cli.clean import clean_command
from cli.compare import compare_command
from cli.doctor import doctor_command
from cli.example import example_command
from cli.export_run import export_command
from cli.fork import fork_command
from cli.hint import hint_command
from cli.import_run import import_command
from cli.init import init_command
from cli.ls import ls_command
from cli.predict import predict_command
from cli.report import report_command
from cli.resume import resume_command
from cli.run import run_command
from cli.score import score_command
from cli.show import show_command
from cli.studio import studio_command
from cli.ui import ui_command

app = typer.Typer(
    help="Gome writes, runs, diagnoses and improves training scripts for your task"
    " until the budget is spent.\n\n"
    "Your data:  gome init FOLDER  &&  gome run FOLDER\n\n"
    "Try it:  gome example modechoice demo  &&  gome run demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run_command,
    "resume": resume_command,
    "ls": ls_command,
    "show": show_command,
    "compare": compare_command,
    "example": example_command,
    "score": score_command,
    "init": init_command,
    "fork": fork_command,
    "export": export_command,
    "import": import_command,
    "hint": hint_command,
    "studio": studio_command,
    "report": report_command,
    "predict": predict_command,
    "ui": ui_command,
    "doctor": doctor_command,
    "clean": clean_command,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(memory.app, name="memory")
app.add_typer(recipes.app, name="recipes")
app.add_typer(env.app, name="env")


def print_version(asked: bool) -> None:
    """Print Gome's version and end, where `--version` is given."""
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"gome {version('gome')}")
        except PackageNotFoundError:
            typer.echo("gome from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def read_common_options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=print_version),
    ] = False,
) -> None:
    """Read the options that stand before a command."""


def run_command_line() -> None:
    """Run the `gome` command; what the terminal's encoding lacks is written as `?`.

    An output on a full disk ends it with one sentence and exit code 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="gome")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.stderr.write(f"gome: {error.filename or 'the output'}: the disk is full; free space\n")
        os._exit(2)  # flushing what is left would fail again
