"""As root: an ordinary user of its own for every running job, so that no script runs with root's number.

RLIMIT_NPROC does not bind user 0, and files of user 0 stay open to it even without capabilities.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from sandbox.local.leases import Lease, shared_folder, try_lease

FIRST, COUNT = (
    64100,
    256,
)  # below 65536, so that they exist inside containers; not handed out by Debian, Fedora or systemd


def lease_user() -> tuple[int, Lease] | None:
    """A user id that nobody else runs under."""
    folder = shared_folder()
    for uid in range(FIRST, FIRST + COUNT):
        if not is_known(uid) and (lease := try_lease(folder, f"uid-{uid}")):
            return uid, lease
    return None


def is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def others_read(path: str | Path) -> bool:
    """Whether any user may read this file, or everything below this folder."""
    try:
        if not allows(Path(path)):
            return False
        return all(
            allows(Path(place) / name)
            for place, folders, files in os.walk(path)
            for name in (*folders, *files)
        )
    except OSError:
        return False


def allows(path: Path) -> bool:
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def others_enter(path: str | Path) -> bool:
    """Whether any user may enter every folder above this path."""
    return all(
        folder.stat().st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(path)).parents
    )


def others_reach(path: str | Path) -> bool:
    """Whether any user may come to this path and look into it."""
    place = Path(os.path.realpath(path))
    try:
        return allows(place) and others_enter(place)
    except OSError:
        return False
