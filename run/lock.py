"""run.lock: one process drives a run at a time. The lock ends with the process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


class RunError(Exception):
    """A run folder that cannot be used; the message names it and the remedy."""


_held: dict[str, IO[str]] = {}
_driving: set[str] = set()


def hold_lock(folder: Path) -> None:
    """Take the run's lock for this process, until `release_lock` or its end.

    Raises:
        RunError: another process holds the lock, or the folder cannot be written.
    """
    key = str(folder.resolve())
    if key in _held:
        return
    try:
        file = (folder / "run.lock").open("a+")
    except OSError as error:
        raise RunError(
            f"{folder}: the run folder cannot be written ({error.strerror}); "
            "make it writable, or copy it to a place that is"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(200).strip() or "unknown"
        file.close()
        raise RunError(
            f"{folder} is being driven by another process ({owner}); wait for it or end it"
        ) from error
    with suppress(OSError):  # on a full disk the lock works without the owner's name
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
    _held[key] = file


def release_lock(folder: Path) -> None:
    """Release the run's lock, if this process holds it."""
    if file := _held.pop(str(folder.resolve()), None):
        file.close()


@contextmanager
def drive_alone(folder: Path) -> Iterator[None]:
    """Hold the run's lock for the block, also against this process itself."""
    key = str(folder.resolve())
    if key in _driving:
        raise RunError(
            f"{folder} is already being driven by this process (pid {os.getpid()}); "
            "wait for it to end"
        )
    hold_lock(folder)
    _driving.add(key)
    try:
        yield
    finally:
        _driving.discard(key)
        release_lock(folder)


def is_driven(folder: Path) -> bool:
    """Whether a process is driving this run."""
    try:
        # a FIFO in its place would never open, and a link may lead anywhere
        handle = os.open(folder / "run.lock", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(handle) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
