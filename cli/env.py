"""`gome env`: environments for scripts, made in one command."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import usage_error

if TYPE_CHECKING:
    from sandbox.env.registry import Environment, Hardware

app = typer.Typer(
    help="Environments for scripts: their own Python with the packages that a task wants.\n\n"
    "Make one:  gome env create tab --preset tabular\n\n"
    "Use it:  gome run FOLDER --python tab",
    no_args_is_help=True,
    rich_markup_mode=None,
)
EnvironmentName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the environment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command("create")
def create_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name to use with --python, for example tab.")
    ],
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRESET",
            help="Packages that are known to import together: tabular, vision, text, audio or all."
            " May be repeated.",
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="A,B", help="Further packages, for example timm>=1.0,sktime."
        ),
    ] = None,
    cuda: Annotated[
        bool | None,
        typer.Option(
            "--cuda/--cpu",
            help="Builds of torch and xgboost for GPUs, or without them."
            " [default: by the GPUs of this machine]",
            show_default=False,
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Version of Python, or a path. [default: Gome's]"),
    ] = None,
) -> None:
    """Make an environment with uv in ~/.gome/envs/NAME.

    The versions are resolved together, locked, installed with bytecode, and imported once. Needs
    the network; torch takes gigabytes.
    """
    from sandbox.env.create import create_environment
    from sandbox.env.registry import environment_bytes, environment_path

    hardware: Hardware | None = None if cuda is None else "cuda" if cuda else "cpu"
    with exit_on_problem():
        made = create_environment(
            name, preset or [], with_ or [], hardware, python, lambda text: typer.echo(f"  {text}")
        )
        size = environment_bytes(environment_path(name))
    typer.echo(
        f"{name}: Python {made.version}, {size / 2**20:,.0f} MiB\n"
        f"Next: gome run FOLDER --python {name}"
    )


@app.command("ls")
def ls_command(json: AsJson = False) -> None:
    """List the environments."""
    from sandbox.env.registry import environments_folder, list_environments

    found = list_environments()
    if json:
        typer.echo(jsonlib.dumps([made.model_dump() for made in found], indent=1))
        return
    for made in found:
        typer.echo(f"{made.name:<16} {describe_environment(made)}")
    if not found:
        typer.echo(
            f"No environments below {environments_folder()}; make one with"
            " `gome env create tab --preset tabular`."
        )


@app.command("show")
def show_command(name: EnvironmentName, json: AsJson = False) -> None:
    """Show an environment: its interpreter, how it was made, and every package with its version."""
    from sandbox.env.registry import environment_bytes, read_lock

    with exit_on_problem():
        made, folder = find_environment(name)
    lock = read_lock(folder)
    if json:
        more = {"python": str(folder / "bin/python"), "lock": lock}
        typer.echo(jsonlib.dumps(made.model_dump() | more, indent=1))
        return
    typer.echo(f"{made.name}  {describe_environment(made)}")
    typer.echo(f"interpreter  {folder / 'bin/python'}")
    typer.echo(f"made         {made.created}, {environment_bytes(folder) / 2**20:,.0f} MiB")
    for line in lock:
        typer.echo(f"  {line}")


@app.command("rm")
def rm_command(name: EnvironmentName) -> None:
    """Remove an environment. Runs that used it keep the list of its packages in run.json."""
    from sandbox.env.create import remove_environment

    with exit_on_problem():
        size = remove_environment(name)
    typer.echo(f"{name}: removed, freed {size / 2**20:,.0f} MiB")


def find_environment(name: str) -> tuple[Environment, Path]:
    """Return an environment and its folder. Raises SandboxUnavailableError if there is none."""
    from sandbox.env.registry import environment_path, missing_environment, read_environment

    folder = environment_path(name)
    if made := read_environment(folder):
        return made, folder
    raise missing_environment(name)


def describe_environment(made: Environment) -> str:
    """Return one line: Python, presets, further packages, kind of builds."""
    parts = [f"Python {made.version}", ", ".join(made.presets)]
    parts += [f"with {', '.join(made.wanted)}"] if made.wanted else []
    return "; ".join(part for part in [*parts, made.hardware] if part)


@contextmanager
def exit_on_problem() -> Iterator[None]:
    """End the command with one sentence where an environment cannot be made or found."""
    from sandbox.protocol import SandboxUnavailableError

    try:
        yield
    except SandboxUnavailableError as error:
        raise usage_error(str(error)) from None
