"""Collecting what a script left: regular files of its own only, never through a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 1 * 2**30


def collect(workspace: Path, names: list[str], *, max_bytes: int = MAX_FILE_BYTES) -> tuple[dict[str, str], dict[str, str]]:
    """(name -> path, name -> why refused). Names that are not there are in neither."""
    files: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in names:
        why = check(workspace, name, max_bytes)
        if why is None:
            files[name] = str(workspace / name)
        elif why:
            refused[name] = why
    return files, refused


def check(workspace: Path, name: str, max_bytes: int) -> str | None:
    """None: fine; empty: not there; else why it is refused."""
    if os.path.isabs(name) or ".." in Path(name).parts:
        return "not a name inside the workspace"
    folder = workspace
    for part in Path(name).parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            return "behind a link"
    try:
        handle = os.open(workspace / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"not a plain file ({error.strerror})"
    try:
        info = os.fstat(handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if info.st_nlink != 1:
        return "a hard link"
    if info.st_size > max_bytes:
        return f"larger than {max_bytes // 2**20} MiB"
    return None
