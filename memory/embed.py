"""Texts to unit vectors: what an embedding is, its identity, and a cache of its vectors."""

from __future__ import annotations

import base64
import re
import threading
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
MAX_TEXT_CHARS = 8_000
N_CACHED_TEXTS = 2_048
NAME_CHARS = 80


class EmbeddingError(Exception):
    """An embedding could not be computed; the message names the endpoint or the option."""


class Embedding(Protocol):
    """Texts to L2-normalised vectors of a fixed width."""

    @property
    def name(self) -> str:
        """Name and version."""
        ...

    @property
    def width(self) -> int:
        """Length of a vector."""
        ...

    @property
    def floor(self) -> float:
        """Cosine of unrelated texts under this embedding (k_h of the ranking)."""
        ...

    @property
    def note(self) -> str:
        """Why this embedding is used in place of a better one; empty if it is not."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        ...

    def close(self) -> None:
        """Release what it holds; the next use opens it again."""
        ...


def embedding_fingerprint(embedding: Embedding) -> str:
    """Return name, version and width: vectors of two fingerprints are never compared."""
    safe = re.sub(r"[^a-zA-Z0-9.]+", "-", embedding.name).strip("-.")
    if len(safe) > NAME_CHARS:  # two long names may begin alike
        safe = f"{safe[:NAME_CHARS]}-{zlib.crc32(embedding.name.encode()):08x}"
    return f"{safe}-{embedding.width}"


def scale_rows(answer: object, n: int) -> Vectors:
    """Return a model's answer to n texts with rows of length 1. Raises ValueError if it is odd."""
    try:
        rows = np.asarray(answer, dtype=np.float32)
    except (ValueError, TypeError):
        raise ValueError("it answered with something that is not a matrix") from None
    if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
        raise ValueError(f"it answered with shape {rows.shape} for {n} texts")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norms == 0).any():
        raise ValueError("it answered with a zero vector")
    unit: Vectors = (rows / norms).astype(np.float32)
    return unit


def pack_vectors(rows: Vectors) -> str:
    """Return vectors as base64 of float32, for a pipe."""
    return base64.b64encode(np.ascontiguousarray(rows, dtype="<f4").tobytes()).decode()


def unpack_vectors(packed: str, width: int) -> Vectors:
    """Return the (n, width) vectors of `pack_vectors`. Raises ValueError."""
    rows: Vectors = np.frombuffer(base64.b64decode(packed), dtype="<f4").reshape(-1, width)
    return rows


class WrappedEmbedding:
    """An embedding that has the properties of another one, `inner`."""

    @property
    def inner(self) -> Embedding:
        """The other embedding."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Name of the inner embedding."""
        return self.inner.name

    @property
    def width(self) -> int:
        """Length of a vector."""
        return self.inner.width

    @property
    def floor(self) -> float:
        """Cosine of unrelated texts."""
        return self.inner.floor

    @property
    def note(self) -> str:
        """Why the inner embedding is used in place of a better one."""
        return self.inner.note

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        return self.inner.embed(texts)

    def close(self) -> None:
        """Release what the inner embedding holds."""
        self.inner.close()


class CachedEmbedding(WrappedEmbedding):
    """An embedding that caches the latest `size` texts (8 MB at width 1024). Thread-safe."""

    def __init__(self, inner: Embedding, size: int = N_CACHED_TEXTS) -> None:
        self._inner, self.size = inner, size
        self._cache: dict[str, Vectors] = {}
        self._mutex = threading.Lock()

    @property
    def inner(self) -> Embedding:
        """The embedding whose vectors are cached."""
        return self._inner

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1; cached texts cost nothing."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        with self._mutex:
            return self._embed_missing(texts)

    def _embed_missing(self, texts: Sequence[str]) -> Vectors:
        missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
        new = dict(zip(missing, self.inner.embed(missing), strict=True)) if missing else {}
        rows: Vectors = np.stack(
            [new[text] if text in new else self._cache[text] for text in texts]
        )
        self._cache.update(new)
        while len(self._cache) > self.size:
            del self._cache[next(iter(self._cache))]
        return rows
