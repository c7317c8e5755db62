"""`gome clean`: the disk that ended runs no longer need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.common import RunsDir, complain, run_folders

WORK = (
    "work",
    "pids",
)  # where scripts ran; best/, artifacts, events, checkpoints and the inputs that best/ links to stay


def clean(
    runs_dir: RunsDir = "runs",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")
    ] = False,
) -> None:
    """Remove the work folders of ended runs. Never touches best/, nor runs that can still go on."""
    folders = run_folders(runs_dir)
    if not folders:
        raise typer.Exit(complain(f"no runs below {runs_dir}"))
    total = 0
    for folder in folders:
        why = kept(folder)
        places = [
            folder / name
            for name in WORK
            if (folder / name).is_dir() and not (folder / name).is_symlink()
        ]
        size = sum(map(bytes_below, places))
        if why or not size:
            typer.echo(f"{folder.name}  kept: {why or 'nothing to remove'}")
            continue
        typer.echo(f"{folder.name}  {'would free' if dry_run else 'freed'} {shown(size)}")
        total += size
        if not dry_run:
            remove(places)
    typer.echo(f"{'would free' if dry_run else 'freed'} {shown(total)} in all")


def kept(folder: Path) -> str:
    """Why a run's work folder stays, or empty."""
    from report.events import load
    from report.summary import RESUMABLE
    from run.lock import is_driven

    if is_driven(folder):
        return "it is going on"
    ended = load(folder).ended
    if ended is None or ended.get("reason") in RESUMABLE:
        return f"it can go on (gome resume {folder.name})"
    return ""


def remove(places: list[Path]) -> None:
    """Empties the folders and leaves them, as a run expects to find them."""
    for place in places:
        try:
            shutil.rmtree(place)
            place.mkdir()
        except OSError as error:
            raise typer.Exit(
                complain(f"{place} cannot be removed ({error.strerror}); remove it by hand")
            ) from None


def bytes_below(place: Path) -> int:
    """Bytes of the files in a folder; links are not followed."""
    return sum(
        os.lstat(os.path.join(at, name)).st_size
        for at, _, names in os.walk(place)
        for name in names
    )


def shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
