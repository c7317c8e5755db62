"""`gome import`: a run folder from an exported run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.config import configured_runs_dir
from cli.errors import usage_error
from cli.options import RunsDir


def import_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A zip of `gome export`.")],
    trust: Annotated[
        bool, typer.Option(help="Accept a metric that is a Python file; it sees the labels.")
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Create a run folder from an exported run.

    Settings that a run may not carry (places, services, keys, isolation) take this machine's
    defaults and are listed.
    """
    from run.lock import RunError
    from session.disk_errors import explain_disk_errors
    from session.import_run import import_run

    if not source.is_file():
        raise usage_error(f"{source}: no such file; give a zip of `gome export`")
    root = Path(configured_runs_dir(runs_dir)).expanduser()
    try:
        with explain_disk_errors(root):
            folder, notes = import_run(source, root, trust=trust)
    except RunError as error:
        raise usage_error(str(error)) from None
    typer.echo(f"{folder}: imported.")
    for note in notes:
        typer.echo(f"  - {note}")
    if (folder / "setup.json").exists():
        typer.echo(f"Next: gome resume {folder}")
