"""Things that only one job may hold at a time on this machine: a file lock each, freed by the kernel when its holder dies."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.protocol import SandboxUnavailable

POLL_S = 0.2


@dataclass(frozen=True)
class Lease:
    """A held name; `free` or the holder's death ends it."""

    name: str
    handle: int

    def free(self) -> None:
        with suppress(OSError):
            os.close(self.handle)


def shared_folder() -> Path:
    """One per user and machine: runs of the same user meet here. Raises SandboxUnavailable when another user made it."""
    folder = Path(
        os.environ.get("GOME_LEASES") or Path(tempfile.gettempdir()) / f"gome-leases-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = os.lstat(folder)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise SandboxUnavailable(
            f"{folder} belongs to another user; remove it, or name another folder in GOME_LEASES"
        )
    return folder


def try_lease(folder: Path, name: str) -> Lease | None:
    """The lease, or None while somebody holds it."""
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return Lease(name, handle)


async def lease_any(folder: Path, names: Sequence[str], n: int) -> list[Lease]:
    """n of the names, first come first served among all processes that ask in this folder."""
    ticket = take_ticket(folder)
    held: list[Lease] = []
    try:
        while True:
            if is_first(folder, ticket.name):
                held = try_some(folder, names, n)
                if len(held) == n:
                    return held
            await asyncio.sleep(POLL_S)
    finally:
        with suppress(OSError):
            os.unlink(folder / "queue" / ticket.name)
        ticket.free()


def try_some(folder: Path, names: Sequence[str], n: int) -> list[Lease]:
    """n leases, or none at all."""
    held: list[Lease] = []
    for name in names:
        if len(held) < n and (lease := try_lease(folder, name)):
            held.append(lease)
    if len(held) < n:
        for lease in held:
            lease.free()
        return []
    return held


def take_ticket(folder: Path) -> Lease:
    """A place in the queue: locked as long as its holder waits, so that the dead hold up nobody."""
    queue = folder / "queue"
    queue.mkdir(mode=0o700, exist_ok=True)
    while True:
        name = f"{time.monotonic_ns():020d}-{os.getpid()}"
        if lease := try_lease(queue, name):
            return lease


def is_first(folder: Path, ticket: str) -> bool:
    for name in sorted(os.listdir(folder / "queue")):
        if name >= ticket:
            return True
        older = try_lease(folder / "queue", name)
        if older is None:
            return False
        with suppress(OSError):
            os.unlink(folder / "queue" / name)  # its holder died while it waited
        older.free()
    return True
