"""Texts to unit vectors: an offline lexical embedding, or an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.lexicon import CONCEPTS, STOPWORDS

if TYPE_CHECKING:
    from langchain_openai import OpenAIEmbeddings

Vectors = NDArray[np.float32]
MAX_TEXT_CHARS = 8_000
N_CACHED_TEXTS = 2_048


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

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        ...


def embedding_fingerprint(embedding: Embedding) -> str:
    """Return name, version and width: vectors of two fingerprints are never compared."""
    safe = re.sub(r"[^a-zA-Z0-9.]+", "-", embedding.name).strip("-.")[:80]
    return f"{safe}-{embedding.width}"


# ------------------------------------------------------------------------------------- lexical

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "s")
# a flat optimum of evals/studies/retrieval.py
WORD_WEIGHT, PAIR_WEIGHT, GRAM_WEIGHT, CONCEPT_WEIGHT = 1.0, 0.25, 0.9, 1.5


class LexicalEmbedding:
    """Hashed words, word pairs, character 4-grams and ML concepts.

    Sublinear counts, signed feature hashing. Deterministic and offline: no model, no download, no
    fitting; about 0.2 ms a text on one core.
    """

    name = "lexical-1"
    floor = 0.25

    def __init__(self, width: int = 1024) -> None:
        self.width = width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            _fill_row(row, text, self.width)
        return rows


def _fill_row(row: NDArray[np.float32], text: str, width: int) -> None:
    for feature, weight in _feature_weights(tokenize_text(text)).items():
        slot, sign = _hash_feature(feature, width)
        row[slot] += sign * weight
    norm = float(np.sqrt(row @ row))
    if norm > 0:
        row /= norm
    else:
        row[0] = 1.0  # a text without a word: a cosine index must have no zero vectors


def tokenize_text(text: str) -> list[str]:
    """Return the stemmed words without stop words; camelCase and snake_case are split."""
    split = _CAMEL.sub(" ", unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS])).lower()
    return [stem_word(word) for word in _WORD.findall(split) if word not in STOPWORDS]


@lru_cache(maxsize=16_384)
def stem_word(word: str) -> str:
    """Return the word without its most common English ending; short words stay as they are."""
    ending = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 4), "")
    return word.removesuffix(ending)


def _feature_weights(words: list[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    _add_features(weights, words, WORD_WEIGHT)
    _add_features(weights, (f"{a} {b}" for a, b in pairwise(words)), PAIR_WEIGHT)
    _add_features(weights, _concept_features(words), CONCEPT_WEIGHT)
    for word, count in Counter(words).items():
        ngrams = _character_ngrams(word)
        weight = GRAM_WEIGHT * float(1 + np.log(count)) / max(len(ngrams), 1) ** 0.5
        for ngram in ngrams:
            weights[ngram] = weights.get(ngram, 0.0) + weight
    return weights


def _add_features(weights: dict[str, float], features: Iterable[str], weight: float) -> None:
    for feature, count in Counter(features).items():
        weights[feature] = weight * (1.0 + float(np.log(count)))


@lru_cache(maxsize=16_384)
def _character_ngrams(word: str) -> tuple[str, ...]:
    if len(word) <= 3:
        return ()
    framed = f"<{word}>"
    return tuple(f"#{framed[i : i + 4]}" for i in range(len(framed) - 3))


@lru_cache(maxsize=1)
def _concept_table() -> dict[str, tuple[str, ...]]:
    """The concepts of each stemmed phrase."""
    table: dict[str, list[str]] = {}
    for concept, phrases in CONCEPTS.items():
        for phrase in phrases:
            key = " ".join(tokenize_text(phrase))
            table.setdefault(key, []).append(f"~{concept}")
    return {key: tuple(dict.fromkeys(value)) for key, value in table.items()}


def _concept_features(words: list[str]) -> list[str]:
    table = _concept_table()
    spans = (" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
    return [concept for span in spans for concept in table.get(span, ())]


@lru_cache(maxsize=65_536)
def _hash_feature(feature: str, width: int) -> tuple[int, float]:
    code = zlib.crc32(feature.encode())
    return code % width, 1.0 if code & 0x8000_0000 else -1.0


# ------------------------------------------------------------------------------------- endpoint


@dataclass
class EndpointEmbedding:
    """Embeddings of an OpenAI-compatible endpoint, through langchain-openai.

    The width is taken from the first answer.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = None
    dimensions: int | None = None
    timeout_s: float = 30
    floor: float = 0.40
    _client: OpenAIEmbeddings | None = field(default=None, repr=False)
    _width: int = 0

    @property
    def name(self) -> str:
        """The model's name, for the fingerprint."""
        return f"openai-{self.model}"

    @property
    def width(self) -> int:
        """Length of a vector; asks the endpoint once."""
        if not self._width:
            self.embed(["width"])
        return self._width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1. Raises EmbeddingError."""
        import openai

        from reasoner.chat.endpoint.classify import innermost_reason
        from reasoner.chat.endpoint.faults import mask_secrets

        client = self._open_client()
        try:
            answer = client.embed_documents([text[:MAX_TEXT_CHARS] or " " for text in texts])
        except openai.APIStatusError as error:
            raise self._error(mask_secrets(str(error), self._secrets)[:240]) from None
        except (openai.OpenAIError, ValueError, TypeError) as error:
            raise self._error(innermost_reason(error, self._secrets)) from None
        return self._unit_vectors(answer, len(texts))

    @property
    def _secrets(self) -> tuple[str, ...]:
        key = self.api_key or os.environ.get("OPENAI_API_KEY", "")
        return (key,) if key else ()

    def _open_client(self) -> OpenAIEmbeddings:
        if self._client is None:
            from langchain_openai import OpenAIEmbeddings

            from reasoner.chat.endpoint.embeddings import CheckedEmbeddingClient

            options: dict[str, Any] = {  # of OpenAIEmbeddings, which has its own defaults
                "base_url": self.base_url,
                "api_key": self.api_key,
                "dimensions": self.dimensions,
            }
            self._client = OpenAIEmbeddings(
                model=self.model,
                check_embedding_ctx_length=False,  # otherwise it downloads a tokenizer file
                request_timeout=self.timeout_s,
                max_retries=2,
                http_client=CheckedEmbeddingClient(timeout=self.timeout_s),
                **{key: value for key, value in options.items() if value is not None},
            )
        return self._client

    def _unit_vectors(self, answer: object, n: int) -> Vectors:
        """Check an answer to n texts, and scale its rows to length 1."""
        try:
            rows = np.asarray(answer, dtype=np.float32)
        except (ValueError, TypeError):
            raise self._error("it answered with something that is not a matrix") from None
        if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
            raise self._error(f"it answered with shape {rows.shape} for {n} texts")
        width = int(rows.shape[1])
        if self._width and width != self._width:
            raise self._error(f"it changed its width from {self._width} to {width}")
        self._width = width
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if (norms == 0).any():
            raise self._error("it answered with a zero vector")
        unit: Vectors = (rows / norms).astype(np.float32)
        return unit

    def _error(self, message: str) -> EmbeddingError:
        return EmbeddingError(f"embedding endpoint ({self.model}): {message}")


# ------------------------------------------------------------------------------------- cache


class CachedEmbedding:
    """An embedding that caches the latest `size` texts (8 MB at width 1024). Thread-safe."""

    def __init__(self, inner: Embedding, size: int = N_CACHED_TEXTS) -> None:
        self.inner, self.size = inner, size
        self._cache: dict[str, Vectors] = {}
        self._mutex = threading.Lock()

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


def open_embedding(name: str) -> Embedding:
    """Return the embedding `lexical` or `openai:MODEL[@BASE_URL]` (key: OPENAI_API_KEY).

    Raises EmbeddingError for another name.
    """
    if name == "lexical":
        return LexicalEmbedding()
    kind, _, rest = name.partition(":")
    model, _, base_url = rest.partition("@")
    if kind != "openai" or not model:
        raise EmbeddingError(
            f"unknown embedding {name!r}; known: lexical, openai:MODEL, openai:MODEL@BASE_URL"
        )
    return EndpointEmbedding(model=model, base_url=base_url or None)
