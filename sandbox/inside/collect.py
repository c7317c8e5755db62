"""Collect and hash the files that a script left.

Only regular files of its own are collected, never through a link. A name that ends with a slash
stands for the files of a folder, which are bounded in number, depth and size; a star in a name
stands for the name of a variant. Standard library only: this runs inside remote sandboxes too.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MAX_FILE_BYTES = 1 * 2**30
MAX_FOLDER_FILES, MAX_FOLDER_DEPTH = 200, 4
MAX_FOLDER_BYTES = 1 * 2**30  # of all its files
VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
MAX_VARIANT_FILES = 24  # of one kind: more than are used, so that files without a partner count
MAX_VARIANT_BYTES = 1 * 2**30  # of all files of one kind
MAX_ENTRIES = 100_000  # of the workspace, looked at for variants


def collect_files(
    workspace: Path, names: list[str], *, max_bytes: int = MAX_FILE_BYTES
) -> tuple[dict[str, str], dict[str, str]]:
    """Return name -> path, and name -> reason of refusal; a missing file is in neither."""
    files: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in names:
        if name.endswith("/"):
            found, refusal = collect_folder(workspace, name.rstrip("/"), max_bytes)
            files |= found
            refused |= {name: refusal} if refusal else {}
            continue
        if "*" in name:
            found, more = collect_variants(workspace, name, max_bytes)
            files |= found
            refused |= more
            continue
        reason = check_artifact(workspace, name, max_bytes)
        if reason is None:
            files[name] = str(workspace / name)
        elif reason:
            refused[name] = reason
    return files, refused


def collect_variants(
    workspace: Path, pattern: str, max_bytes: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files whose names fit the pattern, and what is refused; one line for all names."""
    start, end = pattern.split("*")
    files: dict[str, str] = {}
    refused: dict[str, str] = {}
    fitting, odd = list_variants(workspace, start, end)
    if odd:
        refused[pattern] = (
            f"{odd[0]} has no name of 1 to 32 letters, digits, - and _, the first a letter or digit"
        )
    if len(fitting) > MAX_VARIANT_FILES:
        refused[pattern] = f"of {len(fitting)} files, the first {MAX_VARIANT_FILES} by name count"
    total = 0
    for name in fitting[:MAX_VARIANT_FILES]:
        reason = check_artifact(workspace, name, max_bytes)
        if reason is None:
            total += (workspace / name).lstat().st_size
        if reason is None and total > MAX_VARIANT_BYTES:
            reason = f"beyond {MAX_VARIANT_BYTES // 2**20} MiB with those before it"
        if reason is None:
            files[name] = str(workspace / name)
        elif reason:
            refused[name] = reason
    return files, refused


def list_variants(workspace: Path, start: str, end: str) -> tuple[list[str], list[str]]:
    """Return the entries that fit a variant's name, sorted, and those that nearly do, quoted."""
    fitting, odd = list[str](), list[str]()
    with os.scandir(workspace) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                break
            name = entry.name
            if name.startswith(start) and name.endswith(end):
                is_fitting = fits_pattern(name, f"{start}*{end}")
                (fitting if is_fitting else odd).append(name if is_fitting else ascii(name)[:80])
    return sorted(fitting), sorted(odd)


def fits_pattern(name: str, pattern: str) -> bool:
    """Whether a file's name is the pattern with the name of a variant in the place of its star."""
    start, _, end = pattern.partition("*")
    middle = name.removeprefix(start).removesuffix(end)
    is_framed = name == f"{start}{middle}{end}"
    return is_framed and VARIANT_NAME.fullmatch(middle) is not None


def collect_folder(workspace: Path, folder: str, max_bytes: int) -> tuple[dict[str, str], str]:
    """Return name -> path of a folder's files, all or none, and why they are refused."""
    files: dict[str, str] = {}
    total = 0
    pending = [folder]
    while pending:
        name = pending.pop()
        try:
            entries = list_entries(workspace, name)
        except FileNotFoundError:
            return {}, ""
        except OSError as error:
            return {}, f"{name[:80]} is not a folder that can be read ({error.strerror})"
        for entry, is_folder in entries:
            path = f"{name}/{entry}"
            if is_folder and path.count("/") >= MAX_FOLDER_DEPTH:
                return {}, f"more than {MAX_FOLDER_DEPTH} folders deep"
            if is_folder:
                pending.append(path)
                continue
            if reason := check_artifact(workspace, path, max_bytes):
                return {}, f"{path[:80]} is {reason}"
            files[path] = str(workspace / path)
            total += (workspace / path).lstat().st_size
            if len(files) > MAX_FOLDER_FILES or total > MAX_FOLDER_BYTES:
                return {}, (
                    f"more than {MAX_FOLDER_FILES} files or {MAX_FOLDER_BYTES // 2**20} MiB"
                )
    return files, ""


def list_entries(workspace: Path, name: str) -> list[tuple[str, bool]]:
    """Return a folder's entries, each with whether it is a folder; no link is followed.

    Raises:
        OSError: it cannot be read, is a link, or holds too much.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(workspace, flags)
    try:
        for part in Path(name).parts:
            below = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = below
        found = []
        with os.scandir(handle) as entries:
            for entry in entries:
                found.append((entry.name, entry.is_dir(follow_symlinks=False)))
                if len(found) > MAX_FOLDER_FILES:
                    raise OSError(0, f"more than {MAX_FOLDER_FILES} entries")
        return sorted(found)
    finally:
        with suppress(OSError):
            os.close(handle)


def wanted_names(collect: list[str], reported: Iterable[str]) -> list[str]:
    """Return those of the reported names that were asked for; they come from where a script ran."""
    folders = tuple(name for name in collect if name.endswith("/"))
    names = []
    for name in reported:
        is_below = bool(folders) and name.startswith(folders)
        is_plain = len(name) < 1000 and not {"", ".", ".."} & set(name.split("/"))
        if is_named(collect, name) or (is_below and is_plain and "\0" not in name):
            names.append(name)
    n_patterns = sum("*" in name for name in collect)
    n_more = MAX_FOLDER_FILES * len(folders) + MAX_VARIANT_FILES * n_patterns
    return names[: len(collect) + n_more]


def is_named(collect: list[str], name: str) -> bool:
    """Whether a name was asked for, by itself or by a pattern; not below a folder."""
    return name in collect or any("*" in one and fits_pattern(name, one) for one in collect)


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
