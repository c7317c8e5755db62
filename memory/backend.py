"""Where records lie: a folder (journal as truth, Chroma as its index) or a Chroma server."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from memory.embed import Embedding, Vectors, fingerprint
from memory.index import Chroma, Index, IndexMixed, IndexOwned, IndexUnavailable, Near, Scan
from memory.journal import START, Cursor, Journal
from memory.protocol import Record
from memory.records import indexed_text

Warn = Callable[[str], None]
COLLECTION = "success-"


class Backend(Protocol):
    """Keeps records durably and finds the nearest."""

    def put(self, records: Sequence[Record]) -> None:
        """On return the records survive a kill. Raises JournalError, IndexUnavailable or EmbeddingError."""
        ...

    def nearest(self, vector: Vectors, k: int) -> list[Near]:
        """Raises JournalError, IndexUnavailable or EmbeddingError."""
        ...

    def close(self) -> None: ...


class Folder:
    """A memory folder. One process at a time owns its Chroma index; the others scan the journal exactly."""

    def __init__(self, folder: Path, embedding: Embedding, warn: Warn) -> None:
        self.folder, self.embedding, self.warn = folder, embedding, warn
        self.journal = Journal(folder)
        self._index: Index | None = None
        self._cursor = START
        self._n = 0

    def put(self, records: Sequence[Record]) -> None:
        self.journal.append(records)

    def nearest(self, vector: Vectors, k: int) -> list[Near]:
        if self._index is None:
            self._index = self._open()
        try:
            self._catch_up()
            return self._index.query(vector, k)
        except IndexUnavailable as error:
            if isinstance(self._index, Scan):
                raise
            self.warn(f"success memory: {error}; going on with an exact scan of the journal")
            self._use_scan()
            self._catch_up()
            return self._index.query(vector, k)

    @property
    def index(self) -> str:
        """What answers: chroma | scan | closed."""
        return "closed" if self._index is None else type(self._index).__name__.lower()

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _open(self) -> Index:
        try:
            return self._open_chroma()
        except IndexOwned:
            pass  # not a fault: another run works with this memory, and an exact scan finds the same
        except IndexMixed as error:
            self.warn(f"success memory: {error}; going on with an exact scan of the journal")
        except IndexUnavailable as error:
            try:
                index = self._open_chroma("--fresh")
                self.warn(
                    f"success memory: the index did not open ({error}); it is rebuilt from the journal"
                )
                return index
            except IndexUnavailable:
                self.warn(
                    f"success memory: the index does not open ({error}); going on with an exact scan of the journal"
                )
        return self._use_scan()

    def _open_chroma(self, *flags: str) -> Chroma:
        mark = fingerprint(self.embedding)
        chroma = Chroma(("--path", str(self.folder), *flags), COLLECTION + mark, mark)
        self._cursor, self._n = self._load_cursor(mark)
        if self._n != chroma.count:
            self._cursor = START  # the index lost or gained something: compare it with the journal
        return chroma

    def _use_scan(self) -> Scan:
        if self._index is not None:
            self._index.close()
        scan = Scan(self.embedding.width)
        self._index, self._cursor = scan, START
        return scan

    def _catch_up(self) -> None:
        """Brings the index to the journal's end."""
        index = self._index
        assert index is not None
        if self._cursor.generation != self.journal.generation():
            self._drop_forgotten(index)
            self._cursor = START
        if isinstance(index, Scan):
            self._fill_scan(index)
        else:
            self._fill_chroma(index)

    def _drop_forgotten(self, index: Index) -> None:
        gone = index.ids()
        for records, _ in self.journal.pages():
            gone -= {record.id for record in records}
        if gone:
            index.delete(sorted(gone))

    def _fill_scan(self, scan: Scan) -> None:
        newest: deque[Record] = deque(maxlen=Scan.LIMIT)
        for records, after in self.journal.pages(self._cursor):
            newest.extend(records)
            self._cursor = after
        if newest:
            records = list(newest)
            scan.upsert(records, self.embedding.embed([indexed_text(r) for r in records]))

    def _fill_chroma(self, index: Index) -> None:
        known = index.ids() if self._cursor == START else set()
        for records, after in self.journal.pages(self._cursor):
            fresh = [record for record in records if record.id not in known]
            if fresh:
                index.upsert(fresh, self.embedding.embed([indexed_text(r) for r in fresh]))
            self._n = self._n + len(fresh) if self._cursor != START else len(index.ids())
            self._cursor = after
            self._save_cursor()

    def _load_cursor(self, mark: str) -> tuple[Cursor, int]:
        try:
            held = json.loads((self.folder / "index.json").read_text())[mark]
            return Cursor(str(held["generation"]), int(held["offset"])), int(held["n"])
        except (OSError, ValueError, KeyError, TypeError):
            return START, -1

    def _save_cursor(self) -> None:
        """Only the index's owner writes it. Without it the next open compares the whole index with the journal."""
        held = {"generation": self._cursor.generation, "offset": self._cursor.offset, "n": self._n}
        draft = self.folder / f"index.json.{os.getpid()}"
        try:
            draft.write_text(json.dumps({fingerprint(self.embedding): held}))
            draft.replace(self.folder / "index.json")
        except OSError as error:
            self.warn(
                f"success memory: cannot note the index's state in {self.folder}: {error.strerror}"
            )


class Served:
    """A Chroma server, for many hosts: the server holds the truth, and an upsert that it answered is acknowledged."""

    def __init__(self, url: str, embedding: Embedding, warn: Warn) -> None:
        self.url, self.embedding, self.warn = url, embedding, warn
        self._chroma: Chroma | None = None
        self._mutex = threading.RLock()

    def put(self, records: Sequence[Record]) -> None:
        if records:
            vectors = self.embedding.embed([indexed_text(record) for record in records])
            with self._opened() as chroma:
                chroma.upsert(records, vectors)

    def nearest(self, vector: Vectors, k: int) -> list[Near]:
        with self._opened() as chroma:
            return chroma.query(vector, k)

    def close(self) -> None:
        with self._mutex:
            if self._chroma is not None:
                self._chroma.close()
                self._chroma = None

    @contextmanager
    def _opened(self) -> Iterator[Chroma]:
        """The client, opened when needed; after a failure the next call opens a new one."""
        with self._mutex:
            try:
                self._chroma = self._chroma or self._open()
                yield self._chroma
            except IndexUnavailable as error:
                self.close()
                raise IndexUnavailable(f"{self.url}: {error}") from None

    def _open(self) -> Chroma:
        mark = fingerprint(self.embedding)
        chroma = Chroma(("--url", self.url), COLLECTION + mark, mark)
        if chroma.others:
            held = ", ".join(
                f"{n} under {name.removeprefix(COLLECTION)}" for name, n in chroma.others.items()
            )
            self.warn(
                f"success memory at {self.url} also holds {held}: vectors of another embedding are not mixed with {mark}; "
                "`gome memory export` and `import` carry them over"
            )
        return chroma
