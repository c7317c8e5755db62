"""What a task folder contains, for whoever writes a reader or a metric: bounded, read only."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import TypedDict

from task.data.heads import head_of, show_head
from task.data.preview import preview_input
from task.load.layouts.inventory import ARCHIVE_ERRORS, walk_names
from task.load.spec import read_draft, read_spec
from task.types import TaskError

OWN_NAMES = {"task.yaml", "description.md", "read.py", "metric.py"}
MAX_ITEMS, MAX_LINES, MAX_HEADS = 40, 12, 14
N_ROWS = 4


class ContentsJson(TypedDict):
    """A task folder as a model is told of it."""

    listing: list[str]
    heads: dict[str, str]  # name -> first lines, or first bytes as hexadecimal digits
    answers: str  # columns and first labelled rows, where they are read
    sample: str  # first rows of the sample submission, as it is written


def show_contents(folder: str, config: str | None = None) -> ContentsJson:
    """Describe a task folder. Raises TaskError where it cannot be listed."""
    root = Path(folder).expanduser().resolve()
    try:
        items = [
            item
            for item in sorted(root.iterdir())
            if not item.name.startswith(".") and item.name not in OWN_NAMES
        ]
    except OSError as error:
        raise TaskError(f"{root} cannot be listed ({error.strerror})") from error
    listing: list[str] = []
    heads: dict[str, str] = {}
    for item in items[:MAX_ITEMS]:
        listing += preview_input(item.name, item)[:MAX_LINES]
        if len(heads) < MAX_HEADS:
            heads |= read_heads(item)
    if len(items) > MAX_ITEMS:
        listing.append(f"and {len(items) - MAX_ITEMS} more files and folders")
    answers, sample = show_rows(root, config)
    return ContentsJson(listing=listing, heads=heads, answers=answers, sample=sample)


def show_rows(root: Path, config: str | None) -> tuple[str, str]:
    """Return the first labelled rows and the first rows of the sample, where they are read."""
    try:
        tables, task, rows = read_draft(root, read_spec(root, config))
    except TaskError:
        return "", ""
    frame = tables.train.frame
    head = frame.head(N_ROWS).to_csv(index=False)
    answers = f"{len(frame)} rows; id {rows.id!r}, target {task.target}\n{head}"
    sample = "" if tables.form is None else tables.form.head(N_ROWS).to_csv(index=False)
    return answers[:4000], sample[:2000]


def read_heads(item: Path) -> dict[str, str]:
    """Return the head of a file, or of one file of each ending in a folder or archive."""
    try:
        if item.is_dir():
            chosen = choose_names(walk_names(item))
            return {f"{item.name}/{name}": head_of(item / name) for name in chosen}
        if zipfile.is_zipfile(item):
            with zipfile.ZipFile(item) as archive:
                names = [one.filename for one in archive.infolist() if not one.is_dir()]
                return {
                    f"{item.name}: {name}": show_head(archive.open(name))
                    for name in choose_names(names)
                }
        if item.name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2")):
            return read_tar_heads(item)
        return {item.name: head_of(item)}
    except ARCHIVE_ERRORS as error:
        return {item.name: f"cannot be read: {str(error)[:120]}"}


def read_tar_heads(item: Path) -> dict[str, str]:
    """Return the heads of the first files of a tar archive, one of each ending."""
    heads: dict[str, str] = {}
    endings: set[str] = set()
    with tarfile.open(item) as archive:
        for number, member in enumerate(archive):
            ending = Path(member.name).suffix.lower()
            if number > 2000 or len(heads) > 2:
                break
            if member.isfile() and ending not in endings and (file := archive.extractfile(member)):
                endings.add(ending)
                heads[f"{item.name}: {member.name}"] = show_head(file)
    return heads


def choose_names(names: list[str]) -> list[str]:
    """Return the first name of each ending, at most three."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(Path(name).suffix.lower(), name)
    return list(first.values())[:3]
