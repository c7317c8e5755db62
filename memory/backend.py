"""Where records are stored: a folder (journal as truth, Chroma as its index) or a Chroma server."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from memory.chroma import ChromaIndex
from memory.embed import Embedding, Vectors, embedding_fingerprint
from memory.index import (
    IndexForeignError,
    IndexOwnedError,
    IndexUnavailableError,
    Neighbor,
    ScanIndex,
)
from memory.journal import JOURNAL_START, Journal
from memory.protocol import Record
from memory.records import indexed_text

FILL_S = 20.0
"""How long a recall may be held up by records that are not embedded yet."""
FILL_RECORDS = 250
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
        self._known: Set[str] = frozenset()  # ids that the index had when it was opened

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
        """Query the index after bringing it to the journal's end, or as near as FILL_S lets it."""
        if self._cursor.generation != self.journal.generation():  # at the start, after a forget
            self._known = index.list_ids()
            self._delete_forgotten(index)
            self._cursor = JOURNAL_START
        deadline = time.monotonic() + FILL_S
        if isinstance(index, ScanIndex):
            self._fill_scan(index, deadline)
        else:
            self._fill_chroma(index, deadline)
        return index.query(vector, k)

    def _delete_forgotten(self, index: VectorIndex) -> None:
        if not self._known - self.journal.claimed_ids():
            return
        forgotten = set(self._known)
        for records, _ in self.journal.pages():
            forgotten -= {record.id for record in records}
        index.delete(sorted(forgotten))

    def _fill_scan(self, scan: ScanIndex, deadline: float) -> None:
        """Add the newest records first; what is left at the deadline stays out."""
        newest: deque[Record] = deque(maxlen=ScanIndex.MAX_RECORDS)
        for records, end in self.journal.pages(self._cursor, known=self._known):
            newest.extend(records)
            self._cursor = end
        latest_first = list(newest)[::-1]
        for i in range(0, len(latest_first), FILL_RECORDS):
            page = latest_first[i : i + FILL_RECORDS]
            scan.upsert(page, self._embed(page))
            if time.monotonic() > deadline:
                return

    def _fill_chroma(self, index: ChromaIndex, deadline: float) -> None:
        """Add records in order; the next query goes on where the deadline ended this one."""
        for records, end in self.journal.pages(self._cursor, FILL_RECORDS, self._known):
            new = [record for record in records if record.id not in self._known]
            if new:
                index.upsert(new, self._embed(new))
            self._cursor = end
            if time.monotonic() > deadline:
                return

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
