"""The lexical embedding: words, their parts and ML concepts, hashed. Offline and deterministic."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from memory.embed import MAX_TEXT_CHARS, Vectors
from memory.lexicon import CONCEPTS, STOPWORDS

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

    def __init__(self, width: int = 1024, note: str = "") -> None:
        """`note`: why a better embedding is not used."""
        self.width, self.note = width, note

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return (n, width) float32, rows of length 1."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            _fill_row(row, text, self.width)
        return rows

    def close(self) -> None:
        """Nothing to release."""


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
