"""Measure and remove folders that a script filled: of any depth, with any modes.

A script may nest folders deeper than a path can name or a recursion can follow, take away the
rights of their owner, and move them meanwhile. So a folder is entered by its descriptor and left
by `..`, which must lead back to where it was entered: two descriptors are enough for every depth,
and nothing outside is ever reached. Standard library only: this runs inside remote sandboxes too.
"""

# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH123 (descriptors of folders, not paths)

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_MODE, CHANGE_MODE = 0o500, 0o700
MAX_ASIDE = 1000

FileKey = tuple[int, int]  # device, number


@dataclass
class FolderUse:
    """What is below a folder, the folder itself not counted.

    `unread`: why something could not be read, empty if everything was.
    """

    n_bytes: int = 0
    n_files: int = 0
    unread: str = ""
    linked: set[FileKey] = field(default_factory=set)  # files with several names count once


def open_below(name: str | Path, above: int | None, mode: int) -> int:
    """Open a folder; its owner's missing rights (`mode`) are restored. Raises OSError."""
    try:
        handle = os.open(name, FOLDER_FLAGS, dir_fd=above)
    except PermissionError:
        marker = os.open(name, FOLDER_FLAGS | os.O_PATH, dir_fd=above)
        try:
            os.chmod(f"/proc/self/fd/{marker}", CHANGE_MODE)
        finally:
            os.close(marker)
        handle = os.open(name, FOLDER_FLAGS, dir_fd=above)
    with suppress(PermissionError):  # not ours: what follows says what is missing
        found = stat.S_IMODE(os.fstat(handle).st_mode)
        if found & mode != mode:
            os.fchmod(handle, found | mode)
    return handle


class FolderWalk:
    """A walk below a folder, one folder at a time; `handle` is the one where it stands."""

    def __init__(self, folder: str | Path, mode: int) -> None:
        self.mode, self.trail = mode, list[tuple[FileKey, str]]()
        self.handle = open_below(folder, None, mode)

    def enter(self, name: str) -> None:
        """Go into a folder of this one. Raises OSError, and stands where it stood."""
        below = open_below(name, self.handle, self.mode)
        self.trail.append((file_key(os.fstat(self.handle)), name))
        os.close(self.handle)
        self.handle = below

    def leave(self) -> str:
        """Go back to the folder above; return the name of the one left. Raises OSError."""
        key, name = self.trail.pop()
        above = os.open("..", FOLDER_FLAGS, dir_fd=self.handle)
        os.close(self.handle)
        self.handle = above
        if file_key(os.fstat(above)) != key:
            raise OSError(f"the folder {printable(name)} was moved")
        return name

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.handle)


def file_key(info: os.stat_result) -> FileKey:
    """Return what identifies a file, whatever its names."""
    return info.st_dev, info.st_ino


def printable(name: object) -> str:
    """Return a script's file name as short, harmless text."""
    return ascii(os.fspath(name) if isinstance(name, Path) else name)[:80]


def describe_failure(name: object, error: OSError) -> str:
    """Return one clause: what was wrong with which file."""
    return f"{printable(name)}: {error.strerror or error}"


# measuring


def measure_folder(folder: str | Path, max_files: int) -> FolderUse:
    """Return what is below a folder; the walk ends early once it has seen `max_files` files."""
    use = FolderUse()
    try:
        walk = FolderWalk(folder, READ_MODE)
    except OSError as error:
        use.unread = describe_failure(folder, error)
        return use
    try:
        _measure_all(walk, use, max_files)
    except OSError as error:
        use.unread = describe_failure("a folder", error)
    finally:
        walk.close()
    return use


def _measure_all(walk: FolderWalk, use: FolderUse, max_files: int) -> None:
    waiting = [_measure_one(walk.handle, use, max_files)]  # names of folders, by depth
    while use.n_files <= max_files:
        if not waiting[-1]:
            waiting.pop()
            if not waiting:
                return
            walk.leave()
            continue
        name = waiting[-1].pop()
        try:
            walk.enter(name)
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError as error:
            use.unread = describe_failure(name, error)
            continue
        waiting.append(_measure_one(walk.handle, use, max_files))


def _measure_one(handle: int, use: FolderUse, max_files: int) -> list[str]:
    """Add the entries of one folder; return the names of the folders among them."""
    folders = []
    with os.scandir(handle) as entries:
        for entry in entries:
            use.n_files += 1
            if use.n_files > max_files:
                break
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(info.st_mode):
                folders.append(entry.name)
            elif info.st_nlink > 1:
                if file_key(info) in use.linked:
                    continue
                use.linked.add(file_key(info))
            use.n_bytes += info.st_blocks * 512
    return folders


# removing


def remove_folder(folder: str | Path) -> str:
    """Remove a folder, or whatever has its name; return why something is left, else empty."""
    place = Path(folder)
    try:
        if not place.is_dir() or place.is_symlink():
            place.unlink(missing_ok=True)
            return ""
        walk = FolderWalk(place, CHANGE_MODE)
    except OSError as error:
        return describe_failure(place.name, error)
    failures: list[str] = []
    try:
        _remove_all(walk, failures)
    except OSError as error:
        failures.append(describe_failure(place.name, error))
    finally:
        walk.close()
    try:
        place.rmdir()
    except FileNotFoundError:
        return ""
    except OSError as error:
        failures.append(describe_failure(place.name, error))
    return failures[0] if failures else ""


def _remove_all(walk: FolderWalk, failures: list[str]) -> None:
    waiting = [_remove_files(walk.handle, failures)]
    while True:
        if waiting[-1]:
            name = waiting[-1].pop()
            try:
                walk.enter(name)
            except OSError as error:
                _note_failure(failures, name, error)
                continue
            waiting.append(_remove_files(walk.handle, failures))
            continue
        waiting.pop()
        if not waiting:
            return
        name = walk.leave()
        try:
            os.rmdir(name, dir_fd=walk.handle)
        except OSError as error:
            _note_failure(failures, name, error)


def _remove_files(handle: int, failures: list[str]) -> list[str]:
    """Remove what is no folder; return the names of the folders."""
    with os.scandir(handle) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in names:
        if not is_folder:
            try:
                os.unlink(name, dir_fd=handle)
            except OSError as error:
                _note_failure(failures, name, error)
    return [name for name, is_folder in names if is_folder]


def _note_failure(failures: list[str], name: str, error: OSError) -> None:
    if len(failures) < 1:  # the first one is the cause; those above it follow
        failures.append(describe_failure(name, error))


def free_place(folder: Path) -> str:
    """Remove a folder; what cannot be removed is set aside, so that its name is free again.

    Returns one sentence for the user if something is left, else an empty text.
    """
    reason = remove_folder(folder)
    if not reason:
        return ""
    place = folder
    for number in range(1, MAX_ASIDE):
        aside = folder.with_name(f"{folder.name}.left{number}")
        if not os.path.lexists(aside):
            with suppress(OSError):
                place = folder.rename(aside)
            break
    return f"{place} cannot be removed ({reason}); remove it by hand"


def make_fresh_folder(folder: Path) -> tuple[Path, str]:
    """Make a new empty folder, under another name if something immovable has this one.

    Returns the folder, and a sentence on what an earlier one left behind, or an empty text.
    """
    left = free_place(folder) if os.path.lexists(folder) else ""
    for number in range(MAX_ASIDE):
        place = folder.with_name(f"{folder.name}.again{number}") if number else folder
        with suppress(FileExistsError):
            place.mkdir(parents=True)
            return place, left
    raise FileExistsError(f"{folder} and what stands beside it cannot be removed; do it by hand")
