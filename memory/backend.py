"""Where records are stored: a folder (journal as truth, Chroma as its index) or a Chroma server."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from memory.chroma import ChromaIndex
from memory.embed import Embedding, Vectors, embedding_fingerprint
from memory.index import (
    IndexForeignError,
    IndexMixedError,
    IndexOwnedError,
    IndexUnavailableError,
    Neighbor,
    ScanIndex,
)
from memory.journal import JOURNAL_START, Journal
from memory.protocol import Record
from memory.records import indexed_text

Warn = Callable[[str], None]
VectorIndex = ChromaIndex | ScanIndex


def ignore_warning(message: str) -> None:
    """Drop a warning."""


class Backend(Protocol):
    """Stores records durably and finds the nearest.

    Its methods raise JournalError, IndexUnavailableError or EmbeddingError.
    """

    def put(self, records: Sequence[Record]) -> None:
        """Store records; on return they survive a kill."""
        ...

    def nearest(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first."""
        ...

    def close(self) -> None:
        """Release the index."""
        ...


class FolderBackend:
    """A memory folder. One process at a time owns its Chroma index; others scan the journal."""

    def __init__(self, folder: Path, embedding: Embedding, warn: Warn) -> None:
        self.folder, self.embedding, self.warn = folder, embedding, warn
        self.journal = Journal(folder)
        self._index: VectorIndex | None = None
        self._cursor = JOURNAL_START

    def put(self, records: Sequence[Record]) -> None:
        """Append records to the journal; the index follows at the next query."""
        self.journal.append(records)

    def nearest(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first."""
        if self._index is None:
            self._index = self._open_index()
        try:
            return self._query(self._index, vector, k)
        except IndexUnavailableError as error:
            if isinstance(self._index, ScanIndex):
                raise
            self.warn(f"success memory: {error}; continuing with an exact scan of the journal")
            return self._query(self._use_scan(), vector, k)

    @property
    def index_kind(self) -> Literal["chroma", "scan", "closed"]:
        """Which index answers queries."""
        if self._index is None:
            return "closed"
        return "scan" if isinstance(self._index, ScanIndex) else "chroma"

    def close(self) -> None:
        """Release the index; the next query opens it again."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _open_index(self) -> VectorIndex:
        try:
            return self._open_chroma()
        except IndexForeignError as error:
            own = embedding_fingerprint(self.embedding)
            self.warn(
                f"success memory: {error}; this one, with {own}, scans the journal until it ends"
            )
        except IndexOwnedError:
            pass  # not a fault: another run uses this memory, and an exact scan finds the same
        except IndexMixedError as error:
            self.warn(f"success memory: {error}; continuing with an exact scan of the journal")
        except IndexUnavailableError as error:
            return self._rebuild_index(error)
        return self._use_scan()

    def _rebuild_index(self, error: IndexUnavailableError) -> VectorIndex:
        """Set the damaged index aside; the next query fills the new one from the journal."""
        problem = f"success memory: the index did not open ({error})"
        try:
            index = self._open_chroma("--fresh")
        except IndexUnavailableError:
            self.warn(f"{problem}; continuing with an exact scan of the journal")
            return self._use_scan()
        self.warn(f"{problem}; it is rebuilt from the journal")
        return index

    def _open_chroma(self, *flags: str) -> ChromaIndex:
        fingerprint = embedding_fingerprint(self.embedding)
        chroma = ChromaIndex(("--path", str(self.folder), *flags), fingerprint)
        self._cursor = JOURNAL_START
        if chroma.others:
            others = " and ".join(chroma.others)
            self.warn(
                f"success memory: its index was made with the embedding {others}; it is rebuilt "
                f"with {fingerprint} from the journal, which holds every record"
            )
        return chroma

    def _use_scan(self) -> ScanIndex:
        if self._index is not None:
            self._index.close()
        scan = ScanIndex(self.embedding.width)
        self._index, self._cursor = scan, JOURNAL_START
        return scan

    def _query(self, index: VectorIndex, vector: Vectors, k: int) -> list[Neighbor]:
        """Query the index after bringing it to the journal's end."""
        known: Set[str] = frozenset()
        if self._cursor.generation != self.journal.generation():  # at the start, after a forget
            known = index.list_ids()
            self._delete_forgotten(index, known)
            self._cursor = JOURNAL_START
        if isinstance(index, ScanIndex):
            self._fill_scan(index, known)
        else:
            self._fill_chroma(index, known)
        return index.query(vector, k)

    def _delete_forgotten(self, index: VectorIndex, known: Set[str]) -> None:
        if not known - self.journal.claimed_ids():
            return
        forgotten = set(known)
        for records, _ in self.journal.pages():
            forgotten -= {record.id for record in records}
        index.delete(sorted(forgotten))

    def _fill_scan(self, scan: ScanIndex, known: Set[str]) -> None:
        newest: deque[Record] = deque(maxlen=ScanIndex.MAX_RECORDS)
        for records, end in self.journal.pages(self._cursor, known=known):
            newest.extend(records)
            self._cursor = end
        if newest:
            scan.upsert(list(newest), self._embed(newest))

    def _fill_chroma(self, index: ChromaIndex, known: Set[str]) -> None:
        for records, end in self.journal.pages(self._cursor, known=known):
            new = [record for record in records if record.id not in known]
            if new:
                index.upsert(new, self._embed(new))
            self._cursor = end

    def _embed(self, records: Iterable[Record]) -> Vectors:
        return self.embedding.embed([indexed_text(record) for record in records])


class ServerBackend:
    """A Chroma server, shared by many hosts: it holds the truth, an answered upsert is durable."""

    def __init__(self, url: str, embedding: Embedding, warn: Warn) -> None:
        self.url, self.embedding, self.warn = url, embedding, warn
        self._chroma: ChromaIndex | None = None
        self._mutex = threading.RLock()

    def put(self, records: Sequence[Record]) -> None:
        """Upsert records on the server."""
        if records:
            vectors = self.embedding.embed([indexed_text(record) for record in records])
            with self._connected() as chroma:
                chroma.upsert(records, vectors)

    def nearest(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first."""
        with self._connected() as chroma:
            return chroma.query(vector, k)

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        with self._mutex:
            if self._chroma is not None:
                self._chroma.close()
                self._chroma = None

    @contextmanager
    def _connected(self) -> Iterator[ChromaIndex]:
        """The client, opened when needed; after a failure the next call opens a new one."""
        with self._mutex:
            try:
                self._chroma = self._chroma or self._open_client()
                yield self._chroma
            except IndexUnavailableError as error:
                self.close()
                raise IndexUnavailableError(f"{self.url}: {error}") from None

    def _open_client(self) -> ChromaIndex:
        fingerprint = embedding_fingerprint(self.embedding)
        chroma = ChromaIndex(("--url", self.url), fingerprint)
        if chroma.others:
            counts = ", ".join(f"{n} under {other}" for other, n in chroma.others.items())
            self.warn(
                f"success memory at {self.url} also holds records of other embeddings ({counts}), "
                f"which are not used with {fingerprint}; "
                "`gome memory export` and `import` copy them over"
            )
        return chroma


def is_server_url(where: str) -> bool:
    """Whether `where` names a Chroma server rather than a folder."""
    return where.startswith(("http://", "https://"))


def open_backend(where: str, embedding: Embedding, on_warning: Warn = ignore_warning) -> Backend:
    """Return the backend that `where` names: a folder or http(s)://host:port."""
    if is_server_url(where):
        return ServerBackend(where, embedding, on_warning)
    return FolderBackend(Path(where).expanduser(), embedding, on_warning)
