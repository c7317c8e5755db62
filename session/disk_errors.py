"""Disk errors of a run as one sentence with the remedy; the run can be resumed afterwards."""

from __future__ import annotations

import errno
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from run.artifacts import ArtifactError
from run.guard import check_present
from run.lock import RunError
from task.types import TaskError

REMEDIES = {
    errno.ENOSPC: "the disk is full; free space",
    errno.EDQUOT: "your disk quota is used up; free space",
    errno.EROFS: (
        "the file system is read-only; make it writable, or copy the run folder to a place that is"
    ),
    errno.EACCES: "writing is not permitted; make the folder writable",
    errno.EPERM: "writing is not permitted; make the folder writable",
    errno.EIO: "the disk reports errors; copy the run folder to another one",
}
FULL_MESSAGES = ("disk is full", "disk i/o error")
READ_ONLY_MESSAGES = ("readonly database", "unable to open database")


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn failures of the run folder's disk, and its removal, into RunError."""
    try:
        with _explain_disk(folder):
            yield
    except ssl.SSLError:  # an OSError too, and none of the disk's
        raise
    except (OSError, sqlite3.Error, RunError, TaskError):
        check_present(folder)
        raise


@contextmanager
def _explain_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except ArtifactError as error:
        raise RunError(
            f"{error} with `gome resume --repair`, which goes back to the last round that is whole"
        ) from error
    except sqlite3.OperationalError as error:
        if (remedy := _sqlite_remedy(error)) is None:
            raise
        raise RunError(
            f"{folder}: {remedy}, then `gome resume`; nothing finished is lost"
        ) from error
    except OSError as error:
        if error.errno not in REMEDIES or isinstance(error, ssl.SSLError):
            raise  # OpenSSL numbers its errors anew: 1 is not EPERM
        raise RunError(
            f"{error.filename or folder}: {REMEDIES[error.errno]}, then `gome resume`; "
            "nothing finished is lost"
        ) from error


def _sqlite_remedy(error: sqlite3.OperationalError) -> str | None:
    text = str(error).lower()
    if any(word in text for word in FULL_MESSAGES):
        return REMEDIES[errno.ENOSPC]
    return REMEDIES[errno.EROFS] if any(word in text for word in READ_ONLY_MESSAGES) else None


def is_corrupt(error: sqlite3.DatabaseError) -> bool:
    """Whether the database file is damaged, and not merely locked or full."""
    return any(word in str(error).lower() for word in ("malformed", "not a database", "corrupt"))
