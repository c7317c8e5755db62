"""Metrics of lists in a cell: sets of labels, ranked labels, orders. All are (n,) texts.

Words are separated by blanks, or by commas or semicolons where the true cells have them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from task.grade.frames.texts import pair_texts
from task.grade.metric import Array, LossFunction, Metric

SEPARATORS = (";", ",", "|")


def find_separator(y: Array) -> str | None:
    """Return what separates the words of the true cells; None: blanks."""
    texts = [str(text) for text in np.ravel(y)]
    return next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)


def split_cells(y: Array, p: Array) -> list[tuple[list[str], list[str]]]:
    """Return the words of every true and predicted cell; a word counts once.

    Blanks and the marks separate what is predicted where they separate the truth.
    """
    mark = find_separator(y)
    return [(split_words(true, mark), split_words(said, mark)) for true, said in pair_texts(y, p)]


def split_words(text: str, mark: str | None) -> list[str]:
    """Return the distinct words of a cell in their order."""
    words = re.split(re.escape(mark), text) if mark else text.split()
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))


def f1_of_counts(n_both: int, n_true: int, n_said: int) -> float:
    """Return F1 from counts; 1 where there is nothing to find and nothing was said."""
    total = n_true + n_said
    return 2 * n_both / total if total else 1.0


def micro_f1(y: Array, p: Array) -> float:
    """Return F1 over all labels of all rows together."""
    pairs = split_cells(y, p)
    n_both = sum(len(set(true) & set(said)) for true, said in pairs)
    return f1_of_counts(n_both, sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs))


def macro_f1(y: Array, p: Array) -> float:
    """Return the mean over the labels that occur of the F1 of each."""
    n_true: Counter[str] = Counter()
    n_said: Counter[str] = Counter()
    n_both: Counter[str] = Counter()
    for true, said in split_cells(y, p):
        n_true.update(true)
        n_said.update(said)
        n_both.update(set(true) & set(said))
    labels = sorted(n_true.keys() | n_said.keys())
    if not labels:
        raise ValueError("no labels among the scored rows")
    return float(np.mean([f1_of_counts(n_both[a], n_true[a], n_said[a]) for a in labels]))


def row_f1_losses(y: Array, p: Array) -> Array:
    """Return 1 - the F1 of the labels of every row."""
    return np.array(
        [
            1 - f1_of_counts(len(set(true) & set(said)), len(true), len(said))
            for true, said in split_cells(y, p)
        ]
    )


def list_precision_losses(k: int) -> LossFunction:
    """Return the loss 1 - average precision at k of ranked lists with one or more true labels."""

    def losses(y: Array, p: Array) -> Array:
        return np.array(
            [1 - average_precision(true, said[:k], k) for true, said in split_cells(y, p)]
        )

    return losses


def average_precision(true: list[str], said: list[str], k: int) -> float:
    """Return the average precision at k of one ranked list; 1 where nothing is to be found.

    Nothing said is right then.
    """
    if not true:
        return float(not said)
    n_hits, total = 0, 0.0
    for place, word in enumerate(said, 1):
        if word in set(true):
            n_hits += 1
            total += n_hits / place
    return total / min(len(true), k)


def kendall_tau(y: Array, p: Array) -> float:
    """Return 1 - 4 x swaps / (n (n - 1)), both summed over the rows: 1 for the true orders.

    Swaps are the pairs that do not stand in the true order; so is a pair of which one is missing.
    """
    n_swaps = n_pairs = 0
    for true, said in split_cells(y, p):
        n_pairs += len(true) * (len(true) - 1)
        n_swaps += count_swaps(true, said)
    if not n_pairs:
        raise ValueError("no row has two things to put in order")
    return 1 - 4 * n_swaps / n_pairs


def count_swaps(true: list[str], said: list[str]) -> int:
    """Return the pairs of `true` that `said` does not have in this order."""
    place = {word: index for index, word in enumerate(true)}
    order = [place[word] for word in said if word in place]
    n, found = len(true), len(order)
    n_missing_pairs = n * (n - 1) // 2 - found * (found - 1) // 2
    return n_missing_pairs + count_inversions(order)


def count_inversions(order: list[int]) -> int:
    """Return the pairs that stand in the wrong order, by merging."""
    if len(order) < 2:
        return 0
    middle = len(order) // 2
    left, right = order[:middle], order[middle:]
    total = count_inversions(left) + count_inversions(right)
    ranks = np.searchsorted(np.sort(left), right, side="right")
    return total + int((len(left) - ranks).sum())


def mean_gain(losses: LossFunction) -> Callable[[Array, Array], float]:
    """Return the score 1 - the mean loss."""
    return lambda y, p: 1 - float(losses(y, p).mean())


LIST_METRICS = (
    Metric("tags_f1_micro", "max", "text", micro_f1),
    Metric("tags_f1_macro", "max", "text", macro_f1),
    Metric("tags_f1_samples", "max", "text", mean_gain(row_f1_losses), row_f1_losses),
    Metric("kendall_tau", "max", "text", kendall_tau),
)


def list_precision_metric(name: str) -> Metric:
    """Return map@K of lists, such as `map@5`."""
    losses = list_precision_losses(int(name.partition("@")[2]))
    return Metric(name, "max", "text", mean_gain(losses), losses)
