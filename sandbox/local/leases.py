"""Leases: names that only one job may hold at a time on this machine.

Each is a file lock, which the kernel frees when its holder dies.
"""

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

from sandbox.protocol import SandboxUnavailableError

POLL_S = 0.2


@dataclass(frozen=True)
class Lease:
    """A leased name; `release` or the holder's death ends the lease."""

    name: str
    handle: int

    def release(self) -> None:
        """End the lease; harmless when repeated."""
        with suppress(OSError):
            os.close(self.handle)


def lease_folder() -> Path:
    """Return the folder of leases, one per user and machine; it is made if needed.

    Raises:
        SandboxUnavailableError: the folder belongs to another user.
    """
    folder = Path(
        os.environ.get("GOME_LEASES") or Path(tempfile.gettempdir()) / f"gome-leases-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise SandboxUnavailableError(
            f"{folder} belongs to another user; remove it, or name another folder in GOME_LEASES"
        )
    return folder


def try_lease(folder: Path, name: str) -> Lease | None:
    """Lease a name; None while somebody else holds it."""
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return Lease(name, handle)


async def wait_for_leases(folder: Path, names: Sequence[str], n: int) -> list[Lease]:
    """Lease n of the names, first come first served among all processes using this folder."""
    ticket = take_ticket(folder)
    try:
        while True:
            if is_first_in_queue(folder, ticket.name):
                leases = try_leases(folder, names, n)
                if len(leases) == n:
                    return leases
            await asyncio.sleep(POLL_S)
    finally:
        with suppress(OSError):
            (folder / "queue" / ticket.name).unlink()
        ticket.release()


def try_leases(folder: Path, names: Sequence[str], n: int) -> list[Lease]:
    """Lease n of the names, or none at all."""
    leases: list[Lease] = []
    for name in names:
        if len(leases) < n and (lease := try_lease(folder, name)):
            leases.append(lease)
    if len(leases) < n:
        for lease in leases:
            lease.release()
        return []
    return leases


def take_ticket(folder: Path) -> Lease:
    """Take a place in the queue, locked while its holder waits, so that dead ones are skipped."""
    queue = folder / "queue"
    queue.mkdir(mode=0o700, exist_ok=True)
    while True:
        name = f"{time.monotonic_ns():020d}-{os.getpid()}"
        if lease := try_lease(queue, name):
            return lease


def is_first_in_queue(folder: Path, ticket: str) -> bool:
    """Whether no older ticket has a living holder; tickets of dead ones are deleted."""
    queue = folder / "queue"
    for name in sorted(path.name for path in queue.iterdir()):
        if name >= ticket:
            return True
        older = try_lease(queue, name)
        if older is None:
            return False
        with suppress(OSError):
            (queue / name).unlink()
        older.release()
    return True
