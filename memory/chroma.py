"""Chroma, in a child process, as the index of a memory: client and server side.

A child process, because opening a damaged index can crash the process, because Chroma adds about
90 MB, and because a persistent folder has a single owner (an flock, held until the process ends).
It never sees a text to embed: vectors come in, so that no default embedding (which would download
a model) can start.

Usage of the child: python -m memory.chroma (--path FOLDER [--fresh] | --url http://host:port)
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import numpy as np

from memory.embed import Vectors, pack_vectors, unpack_vectors
from memory.index import (
    IndexForeignError,
    IndexOwnedError,
    IndexUnavailableError,
    Neighbor,
)
from memory.protocol import Record
from memory.records import NAME_CHARS, RecordError, bounded_line, dump_record, parse_record
from rpc.json_lines import CallError, ChildError, serve_calls, start_module

OPEN_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0
PAGE_RECORDS = 1_000
BATCH_RECORDS = 500
SPREAD_LENGTH = 0.15
"""Length of the noise that separates equal texts in the HNSW graph (docs/memory.md)."""
COLLECTION_PREFIX = "success-"
"""Beginning of the names of all collections of success memories."""
GRACE_S = 5.0
"""How long a running call may continue, and hold the folder's lock, after the owner is gone."""
ERRORS = {"owned": IndexOwnedError, "foreign": IndexForeignError}


class OpenReply(TypedDict):
    """Sizes of the non-empty collections of other embeddings."""

    others: dict[str, int]


class QueryReply(TypedDict):
    """Cosines to the query and the records' JSON, nearest first."""

    similarities: list[float]
    documents: list[str]


class ChromaIndex:
    """The index that a child process serves. Thread-safe."""

    def __init__(
        self, place: Sequence[str], fingerprint: str, *, timeout_s: float = OPEN_TIMEOUT_S
    ) -> None:
        """Open the collection of the embedding `fingerprint`.

        `place` is ("--path", FOLDER[, "--fresh"]) or ("--url", URL). Raises IndexUnavailableError.
        """
        self._child = start_module("memory.chroma", *place)
        try:
            opened: OpenReply = self._call("open_collection", timeout_s, fingerprint=fingerprint)
        except IndexUnavailableError:
            self.close()
            raise
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
                vectors=pack_vectors(add_spread_noise(page, rows)),
                width=rows.shape[1],
            )

    def query(self, vector: Vectors, k: int) -> list[Neighbor]:
        """Return the k nearest of `vector` (width,), nearest first."""
        reply: QueryReply = self._call(
            "query", vector=pack_vectors(vector), width=int(vector.shape[-1]), k=k
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
            raise ERRORS.get(error.kind, IndexUnavailableError)(str(error)) from None
        except ChildError as error:
            raise IndexUnavailableError(f"Chroma's process {error}") from None
        except TimeoutError:
            raise IndexUnavailableError(
                f"Chroma's process did not answer within {timeout_s:.0f} s"
            ) from None


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


def _parse_document(text: Any) -> Record | None:
    return _parse_cached(text) if isinstance(text, str) else None


@lru_cache(maxsize=1_024)
def _parse_cached(text: str) -> Record | None:
    try:
        return parse_record(text)
    except RecordError:
        return None


class ChromaServer:
    """One Chroma client and one collection in cosine space."""

    def __init__(self, folder: str | None, url: str | None, fresh: bool) -> None:
        self._folder, self._url, self._fresh = folder, url, fresh
        self._collection: Any = None  # chromadb is loaded when opened, and not typed here

    def open_collection(self, fingerprint: str) -> OpenReply:
        """Open or create the collection of an embedding.

        A folder's index is of one embedding: what it holds of another is removed. Raises CallError
        of kind "owned" or "foreign" if another process owns the folder, with this embedding or
        another.
        """
        name = COLLECTION_PREFIX + fingerprint
        client = _connect(self._url) if self._url else self._open_folder(fingerprint)
        others = {
            collection.name: client.get_collection(collection.name, embedding_function=None).count()
            for collection in client.list_collections()
            if collection.name.startswith(COLLECTION_PREFIX) and collection.name != name
        }
        self._collection = client.get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        if not self._url:
            for other in others:
                client.delete_collection(other)
        filled = {other.removeprefix(COLLECTION_PREFIX): n for other, n in others.items() if n}
        return {"others": filled}

    def _open_folder(self, fingerprint: str) -> Any:
        folder = Path(str(self._folder))
        folder.mkdir(parents=True, exist_ok=True)
        lock_folder(folder, fingerprint)
        index = folder / "index"
        if self._fresh and index.exists():
            shutil.rmtree(folder / "index.damaged", ignore_errors=True)
            index.rename(folder / "index.damaged")
        import chromadb

        return chromadb.PersistentClient(str(index), settings=_chroma_settings())

    def upsert(self, ids: list[str], documents: list[str], vectors: str, width: int) -> None:
        """Add or replace records; `vectors` is base64 of (n, width) float32."""
        rows = unpack_vectors(vectors, width).tolist()
        for i in range(0, len(ids), BATCH_RECORDS):
            part = slice(i, i + BATCH_RECORDS)
            self._collection.upsert(ids=ids[part], documents=documents[part], embeddings=rows[part])

    def query(self, vector: str, width: int, k: int) -> QueryReply:
        """Return the k nearest. No `where`: a metadata filter is a thousand times slower."""
        n = min(k, self._collection.count())
        if n == 0:
            return {"similarities": [], "documents": []}
        result = self._collection.query(
            query_embeddings=unpack_vectors(vector, width).tolist(),
            n_results=n,
            include=["distances", "documents"],
        )
        similarities = [1.0 - float(distance) for distance in result["distances"][0]]
        return {"similarities": similarities, "documents": result["documents"][0]}

    def list_ids(self) -> list[str]:
        """Return the ids of all records."""
        ids: list[str] = self._collection.get(include=[])["ids"]
        return ids

    def read_page(self, offset: int, limit: int) -> list[str]:
        """Return the JSON of `limit` records from `offset` on."""
        page = self._collection.get(include=["documents"], offset=offset, limit=limit)
        documents: list[str] = page["documents"]
        return documents

    def delete(self, ids: list[str]) -> None:
        """Delete records by id; unknown ids are ignored."""
        for i in range(0, len(ids), BATCH_RECORDS):
            self._collection.delete(ids=ids[i : i + BATCH_RECORDS])


def lock_folder(folder: Path, fingerprint: str) -> None:
    """Own a folder's index until this process ends, and say with which embedding.

    Raises CallError of kind "owned" or "foreign".
    """
    lock = os.open(
        folder / "index.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = bounded_line(os.read(lock, NAME_CHARS).decode("utf-8", "replace"))
        kind = "foreign" if other and other != fingerprint else "owned"
        message = f"another run uses {folder} with the embedding {other or fingerprint}"
        raise CallError(kind, message) from None
    os.ftruncate(lock, 0)
    os.write(lock, fingerprint.encode())
    # the lock is never closed: it ends with the process


def _chroma_settings() -> Any:
    from chromadb.config import Settings

    # _env_file: otherwise Chroma reads a .env from the working directory
    return Settings(anonymized_telemetry=False, _env_file=None)


def _connect(url: str) -> Any:
    import chromadb

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    host = parts.hostname or "localhost"
    return chromadb.HttpClient(host=host, port=port, ssl=secure, settings=_chroma_settings())


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--path")
    parser.add_argument("--url")
    parser.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    server = ChromaServer(args.path, args.url, args.fresh)
    calls = (
        server.open_collection,
        server.upsert,
        server.query,
        server.list_ids,
        server.read_page,
        server.delete,
    )
    serve_calls({call.__name__: call for call in calls}, grace_s=GRACE_S)
    os._exit(0)  # without waiting for Chroma's threads


if __name__ == "__main__":
    main()
