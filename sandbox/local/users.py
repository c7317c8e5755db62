"""When Gome runs as root: an ordinary user of its own for every running job.

RLIMIT_NPROC does not bind user 0, which can open its own files even without capabilities.
"""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from sandbox.inside.walk import READ_MODE, FolderWalk, remove_folder
from sandbox.local.leases import Lease, lease_folder, try_lease

# below 65536, so that they exist inside containers; not assigned by Debian, Fedora or systemd
FIRST_UID, N_UIDS = 64100, 256
MANY_FILES = 5_000
open_folders: set[tuple[str, int]] = set()
"""Large folders, with their time of change, of which every user may read all files."""


def lease_user() -> tuple[int, Lease] | None:
    """Lease a user id that nobody else runs under; None if all are in use."""
    folder = lease_folder()
    for uid in range(FIRST_UID, FIRST_UID + N_UIDS):
        if not is_known_uid(uid) and (lease := try_lease(folder, f"uid-{uid}")):
            return uid, lease
    return None


def is_known_uid(uid: int) -> bool:
    """Whether the id belongs to a user of this machine."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def give_folder(folder: Path, uid: int) -> None:
    """Make a user the owner of everything below a folder; links themselves, not what they name.

    Raises OSError.
    """
    walk = FolderWalk(folder, READ_MODE)
    try:
        waiting = [_give_entries(walk.handle, uid)]  # names of folders, by depth
        while True:
            if waiting[-1]:
                walk.enter(waiting[-1].pop())
                waiting.append(_give_entries(walk.handle, uid))
                continue
            waiting.pop()
            if not waiting:
                return
            walk.leave()
    finally:
        walk.close()


def _give_entries(handle: int, uid: int) -> list[str]:
    """Give the entries of one folder to a user; return the names of the folders among them."""
    folders = []
    with os.scandir(handle) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_uid != uid:
                os.chown(entry.name, uid, -1, dir_fd=handle, follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return folders


def remove_files_of(uid: int, folder: Path) -> None:
    """Remove what a leased user left in a folder that all users share."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.lstat().st_uid == uid:
                remove_folder(path)


def others_can_read(path: str | Path) -> bool:
    """Whether every user may read this file, or everything below this folder.

    A folder of more than MANY_FILES is walked once, until it changes.
    """
    try:
        stamp = (str(path), Path(path).stat().st_mtime_ns)
        if stamp in open_folders:
            return True
        n_files = count_open_files(Path(path))
    except OSError:
        return False
    if n_files > MANY_FILES:
        open_folders.add(stamp)
    return n_files > 0


def count_open_files(path: Path) -> int:
    """Return how many files and folders are here and below; 0 if a user may not read one of them.

    Raises OSError.
    """
    n_files = int(mode_allows_others(path))
    for parent, folders, files in os.walk(path) if n_files else ():
        for name in (*folders, *files):
            if not mode_allows_others(Path(parent) / name):
                return 0
            n_files += 1
    return n_files


def mode_allows_others(path: Path) -> bool:
    """Whether the mode lets every user read a file, or read and enter a folder."""
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def others_can_enter(path: str | Path) -> bool:
    """Whether every user may enter the folders above this path."""
    return all(
        folder.stat().st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(path)).parents
    )


def others_can_reach(path: str | Path) -> bool:
    """Whether every user may reach and read this path."""
    target = Path(os.path.realpath(path))
    try:
        return mode_allows_others(target) and others_can_enter(target)
    except OSError:
        return False
