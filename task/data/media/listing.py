"""Every file below a folder, fast: names and sizes, without links and hidden names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from task.types import TaskError

MAX_FILES = 3_000_000


class ListedFile(NamedTuple):
    """A file below a folder: its path relative to it, with slashes, and its size."""

    name: str
    n_bytes: int


def list_files(root: Path) -> list[ListedFile]:
    """List the files below a folder, sorted by name. Raises TaskError beyond MAX_FILES."""
    found = []
    for file in walk_files(root):
        found.append(file)
        if len(found) > MAX_FILES:
            raise TaskError(
                f"{root} holds more than {MAX_FILES:,} files; pack them into fewer, "
                "or move what the task does not need out of its folder"
            )
    return sorted(found)


def count_bytes(paths: Iterable[str]) -> int:
    """Return the size of files and of everything below folders."""
    total = 0
    for path in map(Path, paths):
        sizes = (file.n_bytes for file in walk_files(path)) if path.is_dir() else [file_size(path)]
        total += sum(sizes)
    return total


def file_size(path: Path) -> int:
    """Return the size of a file; 0 where it is none."""
    return path.stat().st_size if path.is_file() else 0


def walk_files(root: Path) -> Iterator[ListedFile]:
    """Yield the files below a folder; what cannot be entered is left out."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = os.scandir(root / folder)
        except OSError:
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_symlink():
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif entry.is_file(follow_symlinks=False):
                    yield ListedFile(name, entry.stat(follow_symlinks=False).st_size)
