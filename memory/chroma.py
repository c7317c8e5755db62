"""Chroma in a process of its own: run as a script by memory.index, it answers requests in JSON lines.

Its own process, because a damaged index can end the process that opens it, because Chroma adds about 90 MB, and because a
persistent folder takes one owner only (an flock, held here for the life of the process). It imports nothing of this package
and never sees a text to embed: vectors come in, so no default embedding (which downloads a model) can start.

Usage: chroma.py (--path FOLDER [--fresh] | --url http://host:port)
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import queue
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

BATCH = 500
PREFIX = "success-"
LEFTOVER_S = 5.0


class Refused(Exception):
    """A request that cannot be served; `code` tells the caller which kind."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Server:
    """One Chroma client and one collection, cosine space."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.collection: Any = None

    def open(self, collection: str, fingerprint: str) -> dict[str, Any]:
        """Opens or creates the collection; names the other embeddings' collections that hold something."""
        others = [
            c.name
            for c in self.client.list_collections()
            if c.name.startswith(PREFIX) and c.name != collection
        ]
        self.collection = self.client.get_or_create_collection(
            collection,
            embedding_function=None,
            metadata={"embedding": fingerprint},
            configuration={"hnsw": {"space": "cosine"}},
        )
        held = (self.collection.metadata or {}).get("embedding")
        if held != fingerprint:
            raise Refused(
                "mixed",
                f"collection {collection} holds vectors of {held!r}, not of {fingerprint!r}",
            )
        counts = {
            name: self.client.get_collection(name, embedding_function=None).count()
            for name in others
        }
        return {
            "count": self.collection.count(),
            "others": {name: n for name, n in counts.items() if n},
        }

    def upsert(
        self, ids: list[str], documents: list[str], vectors: str, width: int
    ) -> dict[str, Any]:
        rows = _rows(vectors, width)
        for i in range(0, len(ids), BATCH):
            part = slice(i, i + BATCH)
            self.collection.upsert(ids=ids[part], documents=documents[part], embeddings=rows[part])
        return {}

    def query(self, vector: str, width: int, k: int) -> dict[str, Any]:
        """The k nearest. No `where`: a metadata filter makes a query a thousand times slower."""
        n = min(k, self.collection.count())
        if n == 0:
            return {"ids": [], "similarities": [], "documents": []}
        found = self.collection.query(
            query_embeddings=_rows(vector, width), n_results=n, include=["distances", "documents"]
        )
        return {
            "ids": found["ids"][0],
            "similarities": [1.0 - float(d) for d in found["distances"][0]],
            "documents": found["documents"][0],
        }

    def ids(self) -> dict[str, Any]:
        return {"ids": self.collection.get(include=[])["ids"]}

    def dump(self, offset: int, limit: int) -> dict[str, Any]:
        return {
            "documents": self.collection.get(include=["documents"], offset=offset, limit=limit)[
                "documents"
            ]
        }

    def delete(self, ids: list[str]) -> dict[str, Any]:
        for i in range(0, len(ids), BATCH):
            self.collection.delete(ids=ids[i : i + BATCH])
        return {}


def _rows(packed: str, width: int) -> list[list[float]]:
    import numpy as np

    rows: list[list[float]] = (
        np.frombuffer(base64.b64decode(packed), dtype="<f4").reshape(-1, width).tolist()
    )
    return rows


def _settings() -> Any:
    from chromadb.config import Settings

    # _env_file: otherwise Chroma reads a .env from the working directory
    return Settings(anonymized_telemetry=False, _env_file=None)


def _open_folder(folder: Path, fresh: bool) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(
        folder / "index.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("owned", f"another process owns the index of {folder}") from None
    # the lock is never closed: it ends with the process
    index = folder / "index"
    if fresh and index.exists():
        shutil.rmtree(folder / "index.damaged", ignore_errors=True)
        index.rename(folder / "index.damaged")
    import chromadb

    return Server(chromadb.PersistentClient(str(index), settings=_settings()))


def _open_url(url: str) -> Server:
    import chromadb

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    return Server(
        chromadb.HttpClient(
            host=parts.hostname or "localhost", port=port, ssl=secure, settings=_settings()
        )
    )


def _answer(
    server: Server | None, args: argparse.Namespace, request: dict[str, Any]
) -> tuple[Server | None, dict[str, Any]]:
    try:
        if server is None:
            server = _open_url(args.url) if args.url else _open_folder(Path(args.path), args.fresh)
        verb = request.pop("verb")
        return server, {"ok": getattr(server, verb)(**request)}
    except Refused as refusal:
        return server, {"error": refusal.code, "message": str(refusal)}
    except Exception as error:  # noqa: BLE001 - the border of the process: whatever Chroma raises becomes an answer
        return server, {"error": "failed", "message": f"{type(error).__name__}: {error}"[:500]}


def _read_requests(source: BinaryIO, requests: queue.Queue[bytes]) -> None:
    for line in source:
        requests.put(line)
    requests.put(b"")
    # the parent is gone: a request that hangs must not keep the folder's lock
    threading.Timer(LEFTOVER_S, os._exit, (0,)).start()


def main() -> None:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--path")
    parser.add_argument("--url")
    parser.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand between the answers
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    server: Server | None = None
    while line := requests.get():
        server, answer = _answer(server, args, json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
