"""Metrics of texts: edit distances and overlaps of words. Truth and predictions are (n,) texts."""

from __future__ import annotations

import numpy as np
from rapidfuzz.distance import Levenshtein

from task.grade.metric import Array, Metric


def edit_losses(y: Array, p: Array) -> Array:
    """Return the Levenshtein distance of every row: characters inserted, deleted or replaced."""
    return np.array([Levenshtein.distance(a, b) for a, b in pair_texts(y, p)], dtype=float)


def normal_edit_losses(y: Array, p: Array) -> Array:
    """Return the Levenshtein distance of every row over the length of the longer text, 0..1."""
    return np.array(
        [Levenshtein.normalized_distance(a, b) for a, b in pair_texts(y, p)], dtype=float
    )


def edit_share(y: Array, p: Array) -> float:
    """Return the edit distance of words, summed, over the number of true words."""
    n_true = sum(len(a.split()) for a, _ in pair_texts(y, p))
    if not n_true:
        raise ValueError("no words among the true texts")
    return sum(word_distance(a, b) for a, b in pair_texts(y, p)) / n_true


def character_share(y: Array, p: Array) -> float:
    """Return the Levenshtein distance, summed, over the number of true characters."""
    n_true = sum(len(a) for a, _ in pair_texts(y, p))
    if not n_true:
        raise ValueError("no characters among the true texts")
    return float(edit_losses(y, p).sum()) / n_true


def word_distance(true: str, said: str) -> int:
    """Return how many words are inserted, deleted or replaced."""
    return int(Levenshtein.distance(true.split(), said.split()))


def jaccard_losses(y: Array, p: Array) -> Array:
    """Return 1 - the Jaccard index of the sets of words, without case; two empty texts are equal.

    So do the competitions on question answering.
    """
    return np.array([1 - word_overlap(a, b) for a, b in pair_texts(y, p)], dtype=float)


def word_overlap(true: str, said: str) -> float:
    """Return the Jaccard index of the words of two texts."""
    one, two = set(true.lower().split()), set(said.lower().split())
    return len(one & two) / len(one | two) if one or two else 1.0


def wrong_word_losses(y: Array, p: Array) -> Array:
    """Return the share of words that are not the true ones in their places."""
    return np.array([wrong_words(a, b) for a, b in pair_texts(y, p)], dtype=float)


def wrong_words(true: str, said: str) -> float:
    """Return the share of places, of the longer text, at which the words differ."""
    one, two = true.split(), said.split()
    longest = max(len(one), len(two))
    n_right = sum(a == b for a, b in zip(one, two, strict=False))
    return 1 - n_right / longest if longest else 0.0


def wrong_text_losses(y: Array, p: Array) -> Array:
    """Return 1 where a text is not the true one, character by character."""
    return np.array([float(a != b) for a, b in pair_texts(y, p)])


def pair_texts(y: Array, p: Array) -> list[tuple[str, str]]:
    """Return pairs of true and predicted text."""
    return [(str(a), str(b)) for a, b in zip(np.ravel(y), np.ravel(p), strict=True)]


TEXT_METRICS = (
    Metric("accuracy", "max", "text", lambda y, p: 1 - float(wrong_text_losses(y, p).mean()),
           wrong_text_losses),
    Metric("levenshtein", "min", "text", lambda y, p: float(edit_losses(y, p).mean()), edit_losses),
    Metric(
        "normalized_levenshtein",
        "min",
        "text",
        lambda y, p: float(normal_edit_losses(y, p).mean()),
        normal_edit_losses,
    ),
    Metric("edit_distance", "min", "text", edit_share),
    Metric("character_error_rate", "min", "text", character_share),
    Metric(
        "word_jaccard",
        "max",
        "text",
        lambda y, p: 1 - float(jaccard_losses(y, p).mean()),
        jaccard_losses,
    ),
    Metric(
        "word_accuracy",
        "max",
        "text",
        lambda y, p: 1 - float(wrong_word_losses(y, p).mean()),
        wrong_word_losses,
    ),
)  # fmt: skip
