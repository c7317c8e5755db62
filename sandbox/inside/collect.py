"""Collecting what a script left: regular files of its own only, never through a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 1 * 2**30


def collect(
    workspace: Path, names: list[str], *, max_bytes: int = MAX_FILE_BYTES
) -> tuple[dict[str, str], dict[str, str]]:
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
    parts = Path(name).parts
    if not parts or os.path.isabs(name) or ".." in parts or "\0" in name:
        return "not a name inside the workspace"
    handles = [os.open(workspace, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)]
    try:
        for part in parts[:-1]:
            handles.append(
                os.open(
                    part,
                    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                    dir_fd=handles[-1],
                )
            )
        handles.append(
            os.open(parts[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handles[-1])
        )
        return verdict(os.fstat(handles[-1]), max_bytes)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return (
            "behind a link" if len(handles) < len(parts) else f"not a plain file ({error.strerror})"
        )
    finally:
        for handle in handles:
            os.close(handle)


def verdict(info: os.stat_result, max_bytes: int) -> str | None:
    """The file is never opened for that: a FIFO would block, a device could act."""
    if stat.S_ISLNK(info.st_mode):
        return "a link"
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if info.st_nlink != 1:
        return "a hard link"
    if info.st_size > max_bytes:
        return f"larger than {max_bytes // 2**20} MiB"
    return None
