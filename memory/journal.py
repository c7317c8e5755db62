"""The journal: an append-only JSONL file that is the truth of a memory folder; the Chroma index is rebuilt from it.

Many processes may append at once (flock); a line is acknowledged after fsync. Line 1 is a header with a generation that
changes when lines are taken out (`rewrite`), so that readers know that their offset is void.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from memory.protocol import Record
from memory.records import LINE_BYTES, RecordError, dump, parse

FILE = "journal.jsonl"
LOCK_S = 30.0
"""So long a writer waits for the journal; whoever holds it longer was stopped or hangs, and a run must not hang with it."""
_ID = re.compile(rb'^\{"id":"([0-9a-f]{32})"')
_GENERATION = re.compile(r"^[0-9a-f]{32}$")


class JournalError(Exception):
    """The journal cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Cursor:
    """How far a reader has read: the journal's generation and a byte offset behind a line's end."""

    generation: str = ""
    offset: int = 0


START = Cursor()


@dataclass
class Journal:
    """Success records of one folder. Threads share one Journal; processes each open their own."""

    folder: Path
    n_damaged: int = 0
    """Lines that were skipped because they are no valid record (a torn write, a hand's edit)."""

    def __post_init__(self) -> None:
        self.path = self.folder / FILE
        self._mutex = threading.RLock()
        self._known: set[bytes] = set()
        self._seen = START

    def append(self, records: Iterable[Record]) -> int:
        """Adds the records that are not there yet; returns their number. On return they survive a kill and a power cut.

        Raises JournalError.
        """
        with self._locked():
            self._learn_ids()
            fresh = {
                r.id.encode(): dump(r).encode() + b"\n"
                for r in records
                if r.id.encode() not in self._known
            }
            if fresh:
                _append(self.path, b"".join(fresh.values()))
            return len(fresh)

    def read(self, cursor: Cursor = START, limit: int | None = None) -> tuple[list[Record], Cursor]:
        """Whole records behind `cursor` (from the start where its generation is void), at most `limit` lines, and the new cursor.

        Raises JournalError.
        """
        lines, after = self._lines(cursor, limit)
        found: dict[str, Record] = {}
        for line in lines:
            try:
                record = parse(line)
            except RecordError:
                self.n_damaged += 1
                continue
            found.setdefault(record.id, record)
        return list(found.values()), after

    def pages(
        self, cursor: Cursor = START, size: int = 1_000
    ) -> Iterator[tuple[list[Record], Cursor]]:
        """Everything behind `cursor`, a page at a time: a large journal is never held whole. Raises JournalError."""
        while True:
            records, after = self.read(cursor, size)
            if after in (cursor, START):
                return
            yield records, after
            cursor = after

    def generation(self) -> str:
        """The present generation, empty where there is no journal. Raises JournalError."""
        return self._lines(START, 0)[1].generation

    def rewrite(self, keep: Callable[[Record], bool]) -> int:
        """Takes out the records that `keep` refuses, under a new generation; returns how many went. Raises JournalError."""
        with self._locked():
            records, _ = self.read()
            kept = [record for record in records if keep(record)]
            if len(kept) < len(records):
                body = b"".join(dump(record).encode() + b"\n" for record in kept)
                _replace(self.path, _header() + body)
                self._known, self._seen = set(), START
            return len(records) - len(kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # a lock file of its own: the journal itself is replaced by rewrite, and a lock on a replaced file locks nothing
        with self._mutex:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(
                    self.folder / "journal.lock",
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                    0o600,
                )
                try:
                    self._take(handle)
                    yield
                finally:
                    os.close(handle)
            except OSError as error:
                raise JournalError(
                    f"memory journal {self.path}: {error.strerror or error}"
                ) from None

    def _take(self, handle: int) -> None:
        end = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise JournalError(
                        f"memory journal {self.path}: locked by another process for more than {LOCK_S:.0f} s"
                    ) from None
                time.sleep(0.01)

    def _learn_ids(self) -> None:
        lines, after = self._lines(self._seen)
        if after.generation != self._seen.generation:
            self._known = set()
        self._known.update(name for line in lines if (name := _id(line)))
        self._seen = after

    def _lines(self, cursor: Cursor, limit: int | None = None) -> tuple[list[bytes], Cursor]:
        try:
            with _open_regular(self.path) as file:
                return _read_lines(file, cursor, limit)
        except FileNotFoundError:
            return [], START
        except OSError as error:
            raise JournalError(f"memory journal {self.path}: {error.strerror or error}") from None


def _id(line: bytes) -> bytes:
    """The id of a whole line, empty for a torn one: its record is not there and may be written again."""
    match = _ID.match(line)
    try:
        return match[1] if match and json.loads(line) else b""
    except ValueError:
        return b""


def _open_regular(path: Path) -> BinaryIO:
    # O_NONBLOCK: a named pipe in the journal's place must not hang the run; a device may never end
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(handle, "rb")


def _read_lines(file: BinaryIO, cursor: Cursor, limit: int | None) -> tuple[list[bytes], Cursor]:
    generation, start = _read_header(file)
    offset = cursor.offset if cursor.generation == generation and cursor.offset >= start else start
    size = os.fstat(file.fileno()).st_size
    file.seek(offset if offset <= size else start)
    lines: list[bytes] = []
    position = file.tell()
    while (limit is None or len(lines) < limit) and (line := file.readline(LINE_BYTES + 1)):
        position += len(line)
        if not line.endswith(b"\n"):
            if (
                len(line) <= LINE_BYTES
            ):  # a line still being written, or torn by a kill: not ours to take
                return lines, Cursor(generation, position - len(line))
            position += _skip_line(file)
            line = b"too long"  # counted as damaged by the reader
        if line.strip():
            lines.append(line)
    return lines, Cursor(generation, position)


def _skip_line(file: BinaryIO) -> int:
    n = 0
    while part := file.readline(LINE_BYTES):
        n += len(part)
        if part.endswith(b"\n"):
            break
    return n


def _read_header(file: BinaryIO) -> tuple[str, int]:
    """The generation and where records start; a journal without a header (written by hand) is generation `none`."""
    line = file.readline(LINE_BYTES)
    try:
        generation = json.loads(line)["generation"]
    except (ValueError, KeyError, TypeError):
        return "none", 0
    known = isinstance(generation, str) and _GENERATION.match(generation) and line.endswith(b"\n")
    return (generation, len(line)) if known else ("none", 0)


def _header() -> bytes:
    return json.dumps({"gome_memory": 1, "generation": uuid.uuid4().hex}).encode() + b"\n"


def _append(path: Path, body: bytes) -> None:
    """Under the lock. A torn last line of a killed writer is closed first, so that it spoils nothing but itself."""
    handle = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        size = os.fstat(handle).st_size
        if size == 0:
            body = _header() + body
        elif os.pread(handle, 1, size - 1) != b"\n":
            body = b"\n" + body
        try:
            _write_all(handle, body)
        except OSError:
            os.ftruncate(handle, size)  # a full disk: leave no half record
            raise
        os.fsync(handle)
    finally:
        os.close(handle)
    if size == 0:
        _sync_folder(path.parent)


def _write_all(handle: int, body: bytes) -> None:
    view = memoryview(body)
    while view:
        view = view[os.write(handle, view) :]


def _replace(path: Path, body: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write_all(handle, body)
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
