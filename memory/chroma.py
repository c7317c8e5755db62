"""Nearest records by cosine: Chroma in a child process, or an exact scan in this one."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from memory.chroma_process import OpenReply, QueryReply
from memory.embed import Vectors
from memory.protocol import Record
from memory.records import RecordError, dump_record, parse_record
from rpc.json_lines import CallError, ChildError, ChildProcess

OPEN_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0
PAGE_RECORDS = 1_000
SPREAD_LENGTH = 0.15
"""Length of the noise that separates equal texts in the HNSW graph (docs/memory.md)."""


class IndexUnavailableError(Exception):
    """The index cannot serve; the message says why. The journal still has every record."""


class IndexOwnedError(IndexUnavailableError):
    """Another process owns the folder's index."""


class IndexMixedError(IndexUnavailableError):
    """The index holds vectors of another embedding."""


_ERRORS = {"owned": IndexOwnedError, "mixed": IndexMixedError}


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


class ChromaIndex:
    """Chroma in a child process (`memory.chroma_process`). Thread-safe."""

    def __init__(
        self, place: Sequence[str], fingerprint: str, *, timeout_s: float = OPEN_TIMEOUT_S
    ) -> None:
        """Open the collection of the embedding `fingerprint`.

        `place` is ("--path", FOLDER[, "--fresh"]) or ("--url", URL). Raises IndexUnavailableError.
        """
        # -P: a `queue.py` in the working directory must not shadow a library;
        # a session of its own: Ctrl-C reaches the run alone, which then closes the pipe
        self._child = ChildProcess(
            [sys.executable, "-P", "-m", "memory.chroma_process", *place],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            opened: OpenReply = self._call("open_collection", timeout_s, fingerprint=fingerprint)
        except IndexUnavailableError:
            self.close()
            raise
        self.count = opened["count"]
        self.others = opened["others"]

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Add or replace records; `vectors` is (n, width)."""
        for i in range(0, len(records), PAGE_RECORDS):
            page, rows = records[i : i + PAGE_RECORDS], vectors[i : i + PAGE_RECORDS]
            self._call(
                "upsert",
                ids=[record.id for record in page],
                documents=[dump_record(record) for record in page],
                vectors=_pack_vectors(add_spread_noise(page, rows)),
                width=rows.shape[1],
            )

    def query(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first."""
        reply: QueryReply = self._call(
            "query", vector=_pack_vectors(vector), width=int(vector.shape[-1]), k=k
        )
        # cos(q, v + e) with e at a right angle to both is cos(q, v) / sqrt(1 + |e|^2)
        correction = (1 + SPREAD_LENGTH**2) ** 0.5
        return [
            Neighbor(record, min(1.0, float(similarity) * correction))
            for text, similarity in zip(reply["documents"], reply["similarities"], strict=True)
            if (record := _parse_document(text))
        ]

    def list_ids(self) -> set[str]:
        """Return the ids of all records."""
        return set(self._call("list_ids"))

    def read_all(self) -> list[Record]:
        """Return every readable record of the collection."""
        records: list[Record] = []
        offset = 0
        while texts := self._call("read_page", offset=offset, limit=PAGE_RECORDS):
            records += [record for text in texts if (record := _parse_document(text))]
            offset += len(texts)
        return records

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records by id; unknown ids are ignored."""
        self._call("delete", ids=list(ids))

    def close(self) -> None:
        """End the child; it finishes what it was sent first."""
        self._child.close()

    def _call(self, name: str, timeout_s: float = CALL_TIMEOUT_S, **arguments: Any) -> Any:
        try:
            return self._child.call(name, timeout_s, **arguments)
        except CallError as error:
            raise _ERRORS.get(error.kind, IndexUnavailableError)(str(error)) from None
        except ChildError as error:
            raise IndexUnavailableError(f"Chroma's process {error}") from None
        except TimeoutError:
            raise IndexUnavailableError(
                f"Chroma's process did not answer within {timeout_s:.0f} s"
            ) from None


VectorIndex = ChromaIndex | ScanIndex


def add_spread_noise(records: Sequence[Record], vectors: Vectors) -> Vectors:
    """Return unit vectors with a little noise each, seeded by the record's id.

    Equal points cut an HNSW graph apart: with repeated texts a third of all texts could no longer
    be found.
    """
    width = vectors.shape[1]
    generators = [np.random.default_rng(int(record.id, 16)) for record in records]
    noise = np.stack([generator.standard_normal(width) for generator in generators])
    noise *= SPREAD_LENGTH / np.linalg.norm(noise, axis=1, keepdims=True)
    rows = vectors + noise
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _pack_vectors(rows: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, dtype="<f4").tobytes()).decode()


def _parse_document(text: Any) -> Record | None:
    return _parse_cached(text) if isinstance(text, str) else None


@lru_cache(maxsize=1_024)
def _parse_cached(text: str) -> Record | None:
    try:
        return parse_record(text)
    except RecordError:
        return None
