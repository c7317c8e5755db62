"""Chroma in a child process: the functions that `memory.chroma` calls through `rpc.json_lines`.

A child process, because opening a damaged index can crash the process, because Chroma adds about
90 MB, and because a persistent folder has a single owner (an flock, held until the process ends).
It never sees a text to embed: vectors come in, so that no default embedding (which would download
a model) can start.

Usage: python -m memory.chroma_process (--path FOLDER [--fresh] | --url http://host:port)
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from rpc.json_lines import CallError, serve_calls

BATCH_RECORDS = 500
COLLECTION_PREFIX = "success-"
"""Beginning of the names of all collections of success memories."""
GRACE_S = 5.0
"""How long a running call may continue, and hold the folder's lock, after the owner is gone."""


class OpenReply(TypedDict):
    """Size of the opened collection, and of the non-empty ones of other embeddings."""

    count: int
    others: dict[str, int]


class QueryReply(TypedDict):
    """Cosines to the query and the records' JSON, nearest first."""

    similarities: list[float]
    documents: list[str]


class ChromaServer:
    """One Chroma client and one collection in cosine space."""

    def __init__(self, folder: str | None, url: str | None, fresh: bool) -> None:
        self._folder, self._url, self._fresh = folder, url, fresh
        self._collection: Any = None  # chromadb is loaded when opened, and not typed here

    def open_collection(self, fingerprint: str) -> OpenReply:
        """Open or create the collection of an embedding.

        Raises CallError of kind "owned" if another process owns the folder, or "mixed" if the
        collection holds vectors of another embedding.
        """
        name = COLLECTION_PREFIX + fingerprint
        client = _connect(self._url) if self._url else _open_folder(str(self._folder), self._fresh)
        other_names = [
            collection.name
            for collection in client.list_collections()
            if collection.name.startswith(COLLECTION_PREFIX) and collection.name != name
        ]
        collection = client.get_or_create_collection(
            name,
            embedding_function=None,
            metadata={"embedding": fingerprint},
            configuration={"hnsw": {"space": "cosine"}},
        )
        stored = (collection.metadata or {}).get("embedding")
        if stored != fingerprint:
            raise CallError(
                "mixed", f"collection {name} holds vectors of {stored!r}, not of {fingerprint!r}"
            )
        self._collection = collection
        counts = {
            other.removeprefix(COLLECTION_PREFIX): client.get_collection(
                other, embedding_function=None
            ).count()
            for other in other_names
        }
        others = {other: n for other, n in counts.items() if n}
        return {"count": collection.count(), "others": others}

    def upsert(self, ids: list[str], documents: list[str], vectors: str, width: int) -> None:
        """Add or replace records; `vectors` is base64 of (n, width) float32."""
        rows = _unpack_vectors(vectors, width)
        for i in range(0, len(ids), BATCH_RECORDS):
            part = slice(i, i + BATCH_RECORDS)
            self._collection.upsert(ids=ids[part], documents=documents[part], embeddings=rows[part])

    def query(self, vector: str, width: int, k: int) -> QueryReply:
        """Return the k nearest. No `where`: a metadata filter is a thousand times slower."""
        n = min(k, self._collection.count())
        if n == 0:
            return {"similarities": [], "documents": []}
        result = self._collection.query(
            query_embeddings=_unpack_vectors(vector, width),
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


def _unpack_vectors(packed: str, width: int) -> list[list[float]]:
    import numpy as np

    array = np.frombuffer(base64.b64decode(packed), dtype="<f4").reshape(-1, width)
    rows: list[list[float]] = array.tolist()
    return rows


def _chroma_settings() -> Any:
    from chromadb.config import Settings

    # _env_file: otherwise Chroma reads a .env from the working directory
    return Settings(anonymized_telemetry=False, _env_file=None)


def _open_folder(path: str, fresh: bool) -> Any:
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(
        folder / "index.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CallError("owned", f"another process owns the index of {folder}") from None
    # the lock is never closed: it ends with the process
    index = folder / "index"
    if fresh and index.exists():
        shutil.rmtree(folder / "index.damaged", ignore_errors=True)
        index.rename(folder / "index.damaged")
    import chromadb

    return chromadb.PersistentClient(str(index), settings=_chroma_settings())


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
