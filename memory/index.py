"""Nearest records by cosine: Chroma through its own process, or an exact scan in this one."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from memory.embed import Vectors
from memory.protocol import Record
from memory.records import RecordError, dump, parse

OPEN_S = 60.0
CALL_S = 60.0
PAGE = 1_000
SPREAD = 0.15
"""Length of the noise that sets equal texts apart in the HNSW graph (docs/memory.md)."""


class IndexUnavailable(Exception):
    """The index cannot serve; the message says why. The journal still holds every record."""


class IndexOwned(IndexUnavailable):
    """Another process owns the folder's index."""


class IndexMixed(IndexUnavailable):
    """The index holds vectors of another embedding."""


@dataclass(frozen=True)
class Near:
    """A record and its cosine to the query."""

    record: Record
    similarity: float


class Index(Protocol):
    """A set of records with vectors, asked for the nearest."""

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None: ...

    def query(self, vector: Vectors, k: int) -> list[Near]: ...

    def ids(self) -> set[str]: ...

    def delete(self, ids: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class Scan:
    """Exact search in memory: half floats, 2 KB a record at width 1024. It is filled with the newest `LIMIT` records."""

    CHUNK = 4_096
    LIMIT = 10_000

    def __init__(self, width: int) -> None:
        self.width = width
        self._records: dict[str, Record] = {}
        self._rows = np.zeros((0, width), dtype=np.float16)
        self._n = 0
        self._order: list[str] = []

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Adds the records that are new; a known id changes nothing."""
        fresh = [i for i, record in enumerate(records) if record.id not in self._records]
        self._grow(self._n + len(fresh))
        for i in fresh:
            if records[i].id not in self._records:
                self._records[records[i].id] = records[i]
                self._order.append(records[i].id)
                self._rows[self._n] = vectors[i]
                self._n += 1

    def _grow(self, n: int) -> None:
        if n > len(self._rows):
            rows = np.zeros((max(n, 2 * len(self._rows), 64), self.width), dtype=np.float16)
            rows[: self._n] = self._rows[: self._n]
            self._rows = rows

    def query(self, vector: Vectors, k: int) -> list[Near]:
        """The k nearest, nearest first; ties in the order of arrival."""
        chunks = [
            self._rows[i : min(i + self.CHUNK, self._n)] for i in range(0, self._n, self.CHUNK)
        ]
        if not chunks:
            return []
        cosines = np.concatenate([chunk.astype(np.float32) @ vector for chunk in chunks])
        best = np.argsort(-cosines, kind="stable")[:k]
        return [Near(self._records[self._order[i]], float(cosines[i])) for i in best]

    def ids(self) -> set[str]:
        return set(self._records)

    def delete(self, ids: Sequence[str]) -> None:
        gone = set(ids)
        keep = [i for i, name in enumerate(self._order) if name not in gone]
        self._rows = self._rows[keep]
        self._order = [self._order[i] for i in keep]
        self._n = len(keep)
        for name in gone:
            self._records.pop(name, None)

    def close(self) -> None:
        """Nothing to give back."""


class Chroma:
    """Chroma behind a pipe. Thread-safe."""

    def __init__(
        self, place: Sequence[str], collection: str, fingerprint: str, *, open_s: float = OPEN_S
    ) -> None:
        """`place`: ("--path", folder[, "--fresh"]) or ("--url", url). Raises IndexUnavailable."""
        self._buffer = b""
        self._mutex = threading.RLock()
        self._child = _start(place)
        try:
            opened = self._call(open_s, verb="open", collection=collection, fingerprint=fingerprint)
        except IndexUnavailable:
            self.close()
            raise
        self.count: int = int(opened["count"])
        self.others: dict[str, int] = opened["others"]

    @property
    def pid(self) -> int:
        return self._child.pid

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        for i in range(0, len(records), PAGE):
            part, rows = records[i : i + PAGE], vectors[i : i + PAGE]
            self._call(
                CALL_S,
                verb="upsert",
                ids=[r.id for r in part],
                documents=[dump(r) for r in part],
                vectors=_pack(spread(part, rows)),
                width=rows.shape[1],
            )

    def query(self, vector: Vectors, k: int) -> list[Near]:
        found = self._call(
            CALL_S, verb="query", vector=_pack(vector), width=int(vector.shape[-1]), k=k
        )
        pairs = zip(found["documents"], found["similarities"], strict=True)
        # cos(q, v + e) with e at a right angle to both is cos(q, v) / sqrt(1 + |e|^2)
        unspread = (1 + SPREAD**2) ** 0.5
        return [
            Near(record, min(1.0, float(similarity) * unspread))
            for text, similarity in pairs
            if (record := _record(text))
        ]

    def ids(self) -> set[str]:
        return set(self._call(CALL_S, verb="ids")["ids"])

    def dump(self) -> list[Record]:
        """Every readable record of the collection."""
        records: list[Record] = []
        offset = 0
        while texts := self._call(CALL_S, verb="dump", offset=offset, limit=PAGE)["documents"]:
            records += [record for text in texts if (record := _record(text))]
            offset += len(texts)
        return records

    def delete(self, ids: Sequence[str]) -> None:
        self._call(CALL_S, verb="delete", ids=list(ids))

    def close(self) -> None:
        """Ends the process; it finishes what it was told first."""
        for stream in (self._child.stdin, self._child.stdout):
            if stream:
                stream.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _call(self, timeout_s: float, **request: Any) -> dict[str, Any]:
        with self._mutex:
            return self._exchange(timeout_s, request)

    def _exchange(self, timeout_s: float, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._write(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._read_line(time.monotonic() + timeout_s))
        except (OSError, ValueError) as error:
            raise IndexUnavailable(f"Chroma's process ended ({self._ending(error)})") from None
        if "ok" in answer:
            result: dict[str, Any] = answer["ok"]
            return result
        kinds = {"owned": IndexOwned, "mixed": IndexMixed}
        raise kinds.get(answer["error"], IndexUnavailable)(answer["message"])

    def _write(self, line: bytes) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(line)
        self._child.stdin.flush()

    def _read_line(self, deadline: float) -> bytes:
        assert self._child.stdout is not None
        while b"\n" not in self._buffer:
            waiter = select.poll()  # not select(): it breaks at descriptor 1024
            waiter.register(self._child.stdout, select.POLLIN)
            if not waiter.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._child.kill()
                raise TimeoutError("no answer in time")
            part = os.read(self._child.stdout.fileno(), 1 << 20)
            if not part:
                raise OSError("end of answers")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _ending(self, error: Exception) -> str:
        try:
            code = self._child.wait(2)
        except subprocess.TimeoutExpired:
            return str(error)
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _start(place: Sequence[str]) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("chroma.py")
    # -P: the script's folder and the working directory stay off the import path, where `queue.py` would shadow a library;
    # a session of its own: Ctrl-C goes to the run alone, which then closes the pipe
    return subprocess.Popen(
        [sys.executable, "-P", str(script), *place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def spread(records: Sequence[Record], vectors: Vectors) -> Vectors:
    """The vectors with a little noise each, seeded by the record's id.

    Equal points cut an HNSW graph apart: with repeated texts a third of all texts could not be found any more.
    """
    noise = np.stack(
        [np.random.default_rng(int(r.id, 16)).standard_normal(vectors.shape[1]) for r in records]
    )
    noise *= SPREAD / np.linalg.norm(noise, axis=1, keepdims=True)
    rows = vectors + noise
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _pack(rows: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, dtype="<f4").tobytes()).decode()


def _record(text: Any) -> Record | None:
    return _parsed(text) if isinstance(text, str) else None


@lru_cache(maxsize=1_024)
def _parsed(text: str) -> Record | None:
    try:
        return parse(text)
    except RecordError:
        return None
