"""The journal: an append-only JSONL file, the truth of a memory folder.

The Chroma index is rebuilt from it. Many processes may append at once (flock); a line is
acknowledged after fsync. Line 1 is a header with a generation that changes when lines are removed
(`rewrite`), so that readers know that their offset is void.
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
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from memory.protocol import Record
from memory.records import LINE_BYTES, RecordError, dump_record, parse_record

JOURNAL_FILE = "journal.jsonl"
LOCK_S = 30.0
"""How long a writer waits for the journal: a run must not hang with a process that holds it."""
_ID = re.compile(rb'^\{"id":"([0-9a-f]{32})"')
_GENERATION = re.compile(r"^[0-9a-f]{32}$")


class JournalError(Exception):
    """The journal cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Cursor:
    """A reader's position: the journal's generation and the byte offset of the next line."""

    generation: str = ""
    offset: int = 0


JOURNAL_START = Cursor()


@dataclass
class Journal:
    """Success records of one folder. Threads share one Journal; each process opens its own.

    All methods raise JournalError.
    """

    folder: Path
    n_damaged: int = 0
    """Lines skipped so far because they are not a valid record (a torn write, a manual edit)."""

    def __post_init__(self) -> None:
        self.path = self.folder / JOURNAL_FILE
        self._mutex = threading.RLock()
        self._known_ids: set[bytes] = set()
        self._known_until = JOURNAL_START

    def append(self, records: Iterable[Record]) -> int:
        """Add the records that are not there yet and return their number.

        On return they survive a kill and a power cut.
        """
        with self._hold_lock():
            self._update_known_ids()
            new = {
                record.id: dump_record(record).encode() + b"\n"
                for record in records
                if record.id.encode() not in self._known_ids
            }
            if new:
                _append_durably(self.path, b"".join(new.values()))
            return len(new)

    def read(
        self,
        cursor: Cursor = JOURNAL_START,
        limit: int | None = None,
        known: Set[str] = frozenset(),
    ) -> tuple[list[Record], Cursor]:
        """Return the records of at most `limit` lines from `cursor` on, and the new cursor.

        Reads from the start if the cursor's generation is void. Lines with `known` ids are skipped.
        """
        lines, end = self._read_lines(cursor, limit)
        records: dict[str, Record] = {}
        for line in lines:
            if known and _claimed_id(line) in known:
                continue
            try:
                record = parse_record(line)
            except RecordError:
                self.n_damaged += 1
                continue
            records.setdefault(record.id, record)
        return list(records.values()), end

    def pages(
        self,
        cursor: Cursor = JOURNAL_START,
        size: int = 1_000,
        known: Set[str] = frozenset(),
    ) -> Iterator[tuple[list[Record], Cursor]]:
        """Yield everything from `cursor` on, in pages of `size` lines with the cursor after each.

        A large journal is never in memory as a whole.
        """
        while True:
            records, end = self.read(cursor, size, known)
            if end in (cursor, JOURNAL_START):
                return
            yield records, end
            cursor = end

    def claimed_ids(self) -> set[str]:
        """Return the ids that lines begin with, unchecked: a cheap look at what is there."""
        ids: set[str] = set()
        cursor = JOURNAL_START
        while True:
            lines, end = self._read_lines(cursor, 1_000)
            if end in (cursor, JOURNAL_START):
                return ids - {""}
            ids.update(map(_claimed_id, lines))
            cursor = end

    def generation(self) -> str:
        """Return the current generation, empty if there is no journal."""
        return self._read_lines(JOURNAL_START, 0)[1].generation

    def rewrite(self, keep: Callable[[Record], bool]) -> int:
        """Remove the records that `keep` refuses, under a new generation; return their number."""
        with self._hold_lock():
            records, _ = self.read()
            remaining = [record for record in records if keep(record)]
            if len(remaining) < len(records):
                body = b"".join(dump_record(record).encode() + b"\n" for record in remaining)
                _replace_file(self.path, _new_header() + body)
                self._known_ids, self._known_until = set(), JOURNAL_START
            return len(records) - len(remaining)

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        # a separate lock file: rewrite replaces the journal, and a lock on a replaced file is void
        with self._mutex:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(
                    self.folder / "journal.lock",
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                    0o600,
                )
                try:
                    self._acquire_lock(handle)
                    yield
                finally:
                    os.close(handle)
            except OSError as error:
                raise JournalError(
                    f"memory journal {self.path}: {error.strerror or error}"
                ) from None

    def _acquire_lock(self, handle: int) -> None:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise JournalError(
                        f"memory journal {self.path}: locked by another process "
                        f"for more than {LOCK_S:.0f} s"
                    ) from None
                time.sleep(0.01)

    def _update_known_ids(self) -> None:
        lines, end = self._read_lines(self._known_until)
        if end.generation != self._known_until.generation:
            self._known_ids = set()
        self._known_ids.update(name for line in lines if (name := _line_id(line)))
        self._known_until = end

    def _read_lines(self, cursor: Cursor, limit: int | None = None) -> tuple[list[bytes], Cursor]:
        try:
            with _open_regular(self.path) as file:
                return _read_lines(file, cursor, limit)
        except FileNotFoundError:
            return [], JOURNAL_START
        except OSError as error:
            raise JournalError(f"memory journal {self.path}: {error.strerror or error}") from None


def _claimed_id(line: bytes) -> str:
    """The id that a line begins with; empty without one."""
    match = _ID.match(line)
    return match[1].decode() if match else ""


def _line_id(line: bytes) -> bytes:
    """The id of a whole line, empty for a torn one: its record may be written again."""
    match = _ID.match(line)
    try:
        return match[1] if match and json.loads(line) else b""
    except ValueError:
        return b""


def _open_regular(path: Path) -> BinaryIO:
    # O_NONBLOCK: a named pipe in place of the journal must not hang the run; a device may never end
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
            if len(line) <= LINE_BYTES:  # still being written, or torn by a kill: left for later
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
    """The generation and the offset of the first record.

    A journal without a header (written by hand) has the generation `none`.
    """
    line = file.readline(LINE_BYTES)
    try:
        generation = json.loads(line)["generation"]
    except (ValueError, KeyError, TypeError):
        return "none", 0
    valid = isinstance(generation, str) and _GENERATION.match(generation) and line.endswith(b"\n")
    return (generation, len(line)) if valid else ("none", 0)


def _new_header() -> bytes:
    return json.dumps({"gome_memory": 1, "generation": uuid.uuid4().hex}).encode() + b"\n"


def _append_durably(path: Path, body: bytes) -> None:
    """Append under the lock. A torn last line is ended first, so that it spoils only itself."""
    handle = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        size = os.fstat(handle).st_size
        if size == 0:
            body = _new_header() + body
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


def _replace_file(path: Path, body: bytes) -> None:
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
