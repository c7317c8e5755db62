"""Collect and hash the files that a script left.

Only regular files of its own are collected, never through a link. Standard library only: this
runs inside remote sandboxes too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 1 * 2**30


def collect_files(
    workspace: Path, names: list[str], *, max_bytes: int = MAX_FILE_BYTES
) -> tuple[dict[str, str], dict[str, str]]:
    """Return name -> path, and name -> reason of refusal; a missing file is in neither."""
    files: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in names:
        reason = check_artifact(workspace, name, max_bytes)
        if reason is None:
            files[name] = str(workspace / name)
        elif reason:
            refused[name] = reason
    return files, refused


def check_artifact(workspace: Path, name: str, max_bytes: int) -> str | None:
    """Return None for a file to collect, an empty string if it is missing, else the refusal.

    Each part of the path is opened below the one before, so that no link is ever followed.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        return "not a name inside the workspace"
    file_flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    folder_flags = file_flags | os.O_DIRECTORY
    handles = [os.open(workspace, folder_flags)]
    try:
        for part in parts[:-1]:
            handles.append(os.open(part, folder_flags, dir_fd=handles[-1]))
        handles.append(os.open(parts[-1], file_flags, dir_fd=handles[-1]))
        return check_file_type(os.fstat(handles[-1]), max_bytes) or check_readable(handles[-1])
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "in a folder that cannot be entered"
    except OSError as error:
        if len(handles) < len(parts):
            return "behind a link"
        return f"not a plain file ({error.strerror})"
    finally:
        for handle in handles:
            os.close(handle)


def check_file_type(info: os.stat_result, max_bytes: int) -> str | None:
    """Return None for a regular file of the script's own, else the refusal.

    The file itself is not opened: a FIFO would block, a device could act.
    """
    if stat.S_ISLNK(info.st_mode):
        return "a link"
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    if info.st_nlink != 1:
        return "a hard link"
    if info.st_size > max_bytes:
        return f"larger than {max_bytes // 2**20} MiB"
    return None


def check_readable(handle: int) -> str | None:
    """Return None if we may read this regular file, else the refusal."""
    try:
        os.close(os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"not readable ({error.strerror})"
    return None


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content."""
    total = hashlib.sha256()
    with Path(path).open("rb") as file:
        while data := file.read(2**20):
            total.update(data)
    return total.hexdigest()
