"""Metrics of masks as run lengths: `start length start length …`. All are (n,) texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from task.grade.frames.lists import mean_gain
from task.grade.frames.texts import pair_texts
from task.grade.metric import Array, Metric

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
EPS = 1e-9


class Overlap(NamedTuple):
    """Numbers of cells: in both masks, in the true one, in the predicted one."""

    both: int
    true: int
    said: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 for two empty masks."""
        union = self.true + self.said - self.both
        return self.both / union if union else 1.0

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum; 1 for two empty masks."""
        total = self.true + self.said
        return 2 * self.both / total if total else 1.0


def read_runs(text: str) -> Array:
    """Return the runs of a mask, merged and in order, shape (n, 2): first cell, one past the last.

    Raises ValueError for anything but pairs of whole numbers with positive lengths; `-1` and `-`,
    the usual words for no mask, are an empty one.
    """
    words = text.split()
    if words in ([], ["-1"], ["-"], ["nan"]):
        return np.empty((0, 2), dtype=np.int64)
    if len(words) % 2:
        raise ValueError(f"a mask has {len(words)} numbers; run lengths come in pairs")
    try:
        pairs = np.array([int(word) for word in words], dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"a mask has {str(error)[:80]}; write start and length of runs") from error
    if (pairs < 0).any():
        raise ValueError("a mask has a negative start or length")
    pairs = pairs[pairs[:, 1] > 0]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    merged: list[list[int]] = []
    for start, length in pairs.tolist():
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], start + length)
        else:
            merged.append([start, start + length])
    return np.array(merged, dtype=np.int64).reshape(-1, 2)


def measure_overlap(true: str, said: str) -> Overlap:
    """Count the cells of two masks. Raises ValueError for a text that is no mask."""
    one, two = read_runs(true), read_runs(said)
    both = i = j = 0
    while i < len(one) and j < len(two):
        both += max(0, min(one[i, 1], two[j, 1]) - max(one[i, 0], two[j, 0]))
        if one[i, 1] <= two[j, 1]:
            i += 1
        else:
            j += 1
    sizes = [int((runs[:, 1] - runs[:, 0]).sum()) for runs in (one, two)]
    return Overlap(int(both), *sizes)


def overlaps_of(y: Array, p: Array) -> list[Overlap]:
    """Return the overlap of every row."""
    return [measure_overlap(true, said) for true, said in pair_texts(y, p)]


def iou_losses(y: Array, p: Array) -> Array:
    """Return 1 - intersection over union of every row's masks."""
    return np.array([1 - overlap.iou for overlap in overlaps_of(y, p)])


def dice_losses(y: Array, p: Array) -> Array:
    """Return 1 - the Dice coefficient of every row's masks."""
    return np.array([1 - overlap.dice for overlap in overlaps_of(y, p)])


def threshold_losses(y: Array, p: Array) -> Array:
    """Return 1 - the mean over thresholds .5, .55 … .95 of `intersection over union is above`.

    Two empty masks agree at all of them.
    """
    return np.array(
        [1 - float((overlap.iou > THRESHOLDS + EPS).mean()) for overlap in overlaps_of(y, p)]
    )


def pooled_dice(y: Array, p: Array) -> float:
    """Return the Dice coefficient of all rows' masks together."""
    overlaps = overlaps_of(y, p)
    sums = [sum(overlap[part] for overlap in overlaps) for part in range(3)]
    return Overlap(*sums).dice


def fbeta_metric(name: str) -> Metric:
    """Return the mean F-beta of every row's masks, such as `fbeta_masks@0.5`.

    Below 1 precision weighs more than recall, above 1 less.
    """
    square = float(name.partition("@")[2]) ** 2

    def losses(y: Array, p: Array) -> Array:
        return np.array([1 - weigh_overlap(overlap, square) for overlap in overlaps_of(y, p)])

    return Metric(name, "max", "text", mean_gain(losses), losses)


def weigh_overlap(overlap: Overlap, square: float) -> float:
    """Return the F-beta of two masks, `square` the square of beta; 1 for two empty ones."""
    total = square * overlap.true + overlap.said
    return (1 + square) * overlap.both / total if total else 1.0


MASK_METRICS = (
    Metric("dice_global", "max", "text", pooled_dice),
    Metric("dice_masks", "max", "text", mean_gain(dice_losses), dice_losses),
    Metric("iou_masks", "max", "text", mean_gain(iou_losses), iou_losses),
    Metric("map_of_iou", "max", "text", mean_gain(threshold_losses), threshold_losses),
)
