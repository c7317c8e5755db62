"""`gome clean`: free the disk space that ended runs no longer need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.config import configured_runs_dir
from cli.errors import usage_error
from cli.options import RunsDir
from cli.run_folders import run_folders
from sandbox.inside.walk import measure_folder, remove_folder

# where scripts ran; best/ and the inputs that it links to, artifacts, events, checkpoints stay
REMOVABLE = ("work", "pids", "models")


def clean_command(
    runs_dir: RunsDir = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, remove nothing.")
    ] = False,
) -> None:
    """Remove the work folders of ended runs, and the models of attempts that are not the best.

    Never touches best/, nor runs that can be resumed.
    """
    root = configured_runs_dir(runs_dir)
    folders = run_folders(root)
    if not folders:
        raise usage_error(f"no runs below {root}")
    freed = "would free" if dry_run else "freed"
    total = 0
    for folder in folders:
        reason = reason_to_keep(folder)
        places = _work_folders(folder)
        size = sum(map(bytes_in, places))
        if reason or not size:
            typer.echo(f"{folder.name}  kept: {reason or 'nothing to remove'}")
            continue
        typer.echo(f"{folder.name}  {freed} {megabytes_text(size)}")
        total += size
        if not dry_run:
            empty_folders(places)
    typer.echo(f"{freed} {megabytes_text(total)} in all")


def reason_to_keep(folder: Path) -> str:
    """Return why a run's work folder must stay, or an empty text."""
    from report.event_log import load_view
    from report.summary import RESUMABLE
    from run.lock import is_driven

    if is_driven(folder):
        return "it is running"
    ended = load_view(folder).ended
    if ended is None or ended.get("reason") in RESUMABLE:
        return f"it can be resumed (gome resume {folder.name})"
    return ""


def _work_folders(folder: Path) -> list[Path]:
    places = [folder / name for name in REMOVABLE]
    return [place for place in places if place.is_dir() and not place.is_symlink()]


def empty_folders(places: list[Path]) -> None:
    """Remove the folders' content; a run expects the folders themselves."""
    for place in places:
        if reason := remove_folder(place):
            raise usage_error(f"{place} cannot be removed ({reason}); remove it by hand")
        place.mkdir()


def bytes_in(place: Path) -> int:
    """Return the bytes of the files in a folder; links are not followed."""
    return measure_folder(place, sys.maxsize).n_bytes


def megabytes_text(size: int) -> str:
    """Format bytes as MB or GB with one decimal."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
