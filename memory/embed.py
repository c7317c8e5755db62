"""Texts to unit vectors: the offline lexical embedding, and OpenAI-compatible embeddings by option."""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.lexicon import CONCEPTS, STOPWORDS

Vectors = NDArray[np.float32]
TEXT_LIMIT = 8_000
CACHE_SIZE = 2_048


class EmbeddingError(Exception):
    """An embedding could not be made, or does not fit the collection that it is meant for."""


class Embedding(Protocol):
    """Texts to L2-normalised vectors of a fixed width."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def floor(self) -> float:
        """Cosine of unrelated texts under this embedding (k_h of the ranking)."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, width) float32, rows of length 1. Raises EmbeddingError."""
        ...


def fingerprint(embedding: Embedding) -> str:
    """Name, version and width: vectors of two fingerprints are never compared."""
    safe = re.sub(r"[^a-zA-Z0-9.]+", "-", embedding.name).strip("-.")[:80]
    return f"{safe}-{embedding.width}"


# ---------------------------------------------------------------------------------------------------- lexical

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "s")
WORD_WEIGHT, PAIR_WEIGHT, GRAM_WEIGHT, CONCEPT_WEIGHT = (
    1.0,
    0.25,
    0.9,
    1.5,
)  # a flat optimum of evals/studies/retrieval.py


class Lexical:
    """Deterministic, offline: hashed words, word pairs, character n-grams and ML concepts, sublinear counts, signed hashing.

    About 0.2 ms a text on one core; no model, no download, no fitting.
    """

    name = "lexical-1"
    floor = 0.25

    def __init__(self, width: int = 1024) -> None:
        self.width = width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, width) float32, rows of length 1."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            _fill(row, text, self.width)
        return rows


def _fill(row: NDArray[np.float32], text: str, width: int) -> None:
    for feature, weight in _weights(tokens(text)).items():
        slot, sign = _slot(feature, width)
        row[slot] += sign * weight
    norm = float(np.sqrt(row @ row))
    if norm > 0:
        row /= norm
    else:
        row[0] = 1.0  # a text without a word: no zero vectors in a cosine index


def tokens(text: str) -> list[str]:
    """Stemmed words without stop words, camelCase and snake_case taken apart."""
    split = _CAMEL.sub(" ", unicodedata.normalize("NFKC", text[:TEXT_LIMIT])).lower()
    return [stem(word) for word in _WORD.findall(split) if word not in STOPWORDS]


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The word without its commonest English endings; short words stay."""
    ending = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 4), "")
    return word.removesuffix(ending)


def _weights(words: list[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    _add(weights, words, WORD_WEIGHT)
    _add(weights, (f"{a} {b}" for a, b in pairwise(words)), PAIR_WEIGHT)
    _add(weights, _concepts(words), CONCEPT_WEIGHT)
    for word, count in Counter(words).items():
        grams = _grams(word)
        for gram in grams:
            weights[gram] = (
                weights.get(gram, 0.0)
                + GRAM_WEIGHT * float(1 + np.log(count)) / max(len(grams), 1) ** 0.5
            )
    return weights


def _add(weights: dict[str, float], features: Iterable[str], weight: float) -> None:
    for feature, count in Counter(features).items():
        weights[feature] = weight * (1.0 + float(np.log(count)))


@lru_cache(maxsize=16_384)
def _grams(word: str) -> tuple[str, ...]:
    framed = f"<{word}>"
    return tuple(f"#{framed[i : i + 4]}" for i in range(len(framed) - 3)) if len(word) > 3 else ()


@lru_cache(maxsize=1)
def _concept_table() -> dict[str, tuple[str, ...]]:
    """Stemmed phrase -> concepts that it speaks of."""
    table: dict[str, list[str]] = {}
    for concept, phrases in CONCEPTS.items():
        for phrase in phrases:
            key = " ".join(tokens(phrase))
            table.setdefault(key, []).append(f"~{concept}")
    return {key: tuple(dict.fromkeys(value)) for key, value in table.items()}


def _concepts(words: list[str]) -> list[str]:
    table = _concept_table()
    spans = (" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
    return [concept for span in spans for concept in table.get(span, ())]


@lru_cache(maxsize=65_536)
def _slot(feature: str, width: int) -> tuple[int, float]:
    code = zlib.crc32(feature.encode())
    return code % width, 1.0 if code & 0x8000_0000 else -1.0


# ---------------------------------------------------------------------------------------------------- endpoint


@dataclass
class Endpoint:
    """Embeddings of any OpenAI-compatible endpoint, through langchain-openai. The width is learnt from the first answer."""

    model: str
    base_url: str | None = None
    api_key: str | None = None
    dimensions: int | None = None
    timeout_s: float = 30
    floor: float = 0.40
    _client: Any = field(default=None, repr=False)
    _width: int = 0

    @property
    def name(self) -> str:
        return f"openai-{self.model}"

    @property
    def width(self) -> int:
        if not self._width:
            self.embed(["width"])
        return self._width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, width) float32, rows of length 1. Raises EmbeddingError."""
        import openai

        try:
            answer = self._open().embed_documents([text[:TEXT_LIMIT] or " " for text in texts])
        except (openai.OpenAIError, ValueError, TypeError) as error:
            raise EmbeddingError(
                f"embedding endpoint ({self.model}): {type(error).__name__}: {str(error)[:200]}"
            ) from None
        return self._checked(answer, len(texts))

    def _open(self) -> Any:
        if self._client is None:
            from langchain_openai import OpenAIEmbeddings

            options: dict[str, Any] = {
                "base_url": self.base_url,
                "api_key": self.api_key,
                "dimensions": self.dimensions,
            }
            given = {key: value for key, value in options.items() if value is not None}
            # without check_embedding_ctx_length=False it downloads a tokenizer file
            fixed = {
                "check_embedding_ctx_length": False,
                "request_timeout": self.timeout_s,
                "max_retries": 2,
            }
            self._client = OpenAIEmbeddings(model=self.model, **fixed, **given)
        return self._client

    def _checked(self, answer: Any, n: int) -> Vectors:
        try:
            rows = np.asarray(answer, dtype=np.float32)
        except (ValueError, TypeError):
            raise EmbeddingError(
                f"embedding endpoint ({self.model}) answered with something that is no matrix"
            ) from None
        if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
            raise EmbeddingError(
                f"embedding endpoint ({self.model}) answered with shape {rows.shape} for {n} texts"
            )
        if self._width and rows.shape[1] != self._width:
            raise EmbeddingError(
                f"embedding endpoint ({self.model}) changed its width from {self._width} to {rows.shape[1]}"
            )
        self._width = int(rows.shape[1])
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if (norms == 0).any():
            raise EmbeddingError(f"embedding endpoint ({self.model}) answered with a zero vector")
        unit: Vectors = (rows / norms).astype(np.float32)
        return unit


# ---------------------------------------------------------------------------------------------------- cache


class Cached:
    """An embedding that remembers the last few thousand texts (8 MB at width 1024). Thread-safe."""

    def __init__(self, inner: Embedding, size: int = CACHE_SIZE) -> None:
        self.inner, self.size = inner, size
        self._known: dict[str, Vectors] = {}
        self._mutex = threading.Lock()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def width(self) -> int:
        return self.inner.width

    @property
    def floor(self) -> float:
        return self.inner.floor

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, width); texts seen lately cost nothing."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        with self._mutex:
            return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        fresh = dict(zip(missing, self.inner.embed(missing), strict=True)) if missing else {}
        rows: Vectors = np.stack(
            [fresh[text] if text in fresh else self._known[text] for text in texts]
        )
        self._known.update(fresh)
        while len(self._known) > self.size:
            del self._known[next(iter(self._known))]
        return rows


def open_embedding(name: str) -> Embedding:
    """`lexical`, or `openai:MODEL[@BASE_URL]` (the key from OPENAI_API_KEY). Raises EmbeddingError for another name."""
    if name == "lexical":
        return Lexical()
    kind, _, rest = name.partition(":")
    model, _, base_url = rest.partition("@")
    if kind != "openai" or not model:
        raise EmbeddingError(
            f"unknown embedding {name!r}; known: lexical, openai:MODEL, openai:MODEL@BASE_URL"
        )
    return Endpoint(model=model, base_url=base_url or None)
