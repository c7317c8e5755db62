"""When Gome runs as root: an ordinary user of its own for every running job.

RLIMIT_NPROC does not bind user 0, which can open its own files even without capabilities.
"""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from sandbox.inside.walk import remove_folder
from sandbox.local.leases import Lease, lease_folder, try_lease

# below 65536, so that they exist inside containers; not assigned by Debian, Fedora or systemd
FIRST_UID, N_UIDS = 64100, 256


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


def remove_files_of(uid: int, folder: Path) -> None:
    """Remove what a leased user left in a folder that all users share."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.lstat().st_uid == uid:
                remove_folder(path)


def others_can_read(path: str | Path) -> bool:
    """Whether every user may read this file, or everything below this folder."""
    try:
        if not mode_allows_others(Path(path)):
            return False
        return all(
            mode_allows_others(Path(parent) / name)
            for parent, folders, files in os.walk(path)
            for name in (*folders, *files)
        )
    except OSError:
        return False


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
