"""An index of records by cosine, and the exact one: a scan in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memory.embed import Vectors
from memory.protocol import Record


class IndexUnavailableError(Exception):
    """The index cannot serve; the message says why. The journal still has every record."""


class IndexOwnedError(IndexUnavailableError):
    """Another process owns the folder's index."""


class IndexForeignError(IndexOwnedError):
    """Another process owns the folder's index, and uses another embedding."""


@dataclass(frozen=True)
class Neighbor:
    """A record and its cosine to the query."""

    record: Record
    similarity: float


class ScanIndex:
    """Exact search in memory: half floats, 2 KB a record at width 1024.

    Its owner fills it with the newest MAX_RECORDS records.
    """

    CHUNK_ROWS = 4_096
    MAX_RECORDS = 10_000

    def __init__(self, width: int) -> None:
        self.width = width
        self._records: dict[str, Record] = {}
        self._rows = np.zeros((0, width), dtype=np.float16)
        self._n = 0
        self._order: list[str] = []

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Add the records that are new; a known id changes nothing."""
        self._reserve_rows(self._n + len(records))
        for record, vector in zip(records, vectors, strict=True):
            if record.id not in self._records:
                self._records[record.id] = record
                self._order.append(record.id)
                self._rows[self._n] = vector
                self._n += 1

    def _reserve_rows(self, n: int) -> None:
        if n > len(self._rows):
            rows = np.zeros((max(n, 2 * len(self._rows), 64), self.width), dtype=np.float16)
            rows[: self._n] = self._rows[: self._n]
            self._rows = rows

    def query(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first; ties in order of arrival."""
        if self._n == 0:
            return []
        rows = self._rows[: self._n]
        chunks = [rows[i : i + self.CHUNK_ROWS] for i in range(0, self._n, self.CHUNK_ROWS)]
        cosines = np.concatenate([chunk.astype(np.float32) @ vector for chunk in chunks])
        best = np.argsort(-cosines, kind="stable")[:k]
        return [Neighbor(self._records[self._order[i]], float(cosines[i])) for i in best]

    def list_ids(self) -> set[str]:
        """Return the ids of all records."""
        return set(self._records)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records by id; unknown ids are ignored."""
        deleted = set(ids)
        remaining = [i for i, name in enumerate(self._order) if name not in deleted]
        self._rows = self._rows[remaining]
        self._order = [self._order[i] for i in remaining]
        self._n = len(remaining)
        for name in deleted:
            self._records.pop(name, None)

    def close(self) -> None:
        """Nothing to release."""
