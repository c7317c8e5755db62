"""Metrics of boxes in a cell. All are (n,) texts; a row is a picture or a scene.

`map_boxes`: boxes of six words, class confidence xmin ymin xmax ymax, in truth and predictions.
`boxes_f1`: true boxes of five words, label x y width height; predicted points of three.
`map_of_iou_3d`: true boxes of eight words, x y z width length height yaw class; predicted ones
with a confidence before them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from task.grade.frames.lists import mean_gain
from task.grade.frames.masks import THRESHOLDS
from task.grade.frames.texts import pair_texts
from task.grade.metric import Array, Metric

MIN_IOU = 0.4  # of a box that is found, in map_boxes
MAX_BOXES = 2_000  # of a row


def split_groups(text: str, size: int, what: str) -> list[list[str]]:
    """Return the words of a cell in groups. Raises ValueError where they do not come out even."""
    words = text.split()
    if len(words) % size:
        raise ValueError(f"{what} come in groups of {size} words and a cell has {len(words)}")
    if len(words) > size * MAX_BOXES:
        raise ValueError(f"a cell has {len(words) // size} of {what}; {MAX_BOXES} are scored")
    return [words[at : at + size] for at in range(0, len(words), size)]


# ---------------------------------------------------------------------- boxes in the plane


class FlatBox(NamedTuple):
    """A box of a picture."""

    row: int
    label: str
    confidence: float
    corners: tuple[float, float, float, float]  # xmin ymin xmax ymax

    @property
    def area(self) -> float:
        """The area; 0 for corners in the wrong order."""
        x0, y0, x1, y1 = self.corners
        return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def read_flat_boxes(texts: Array) -> list[FlatBox]:
    """Read the boxes of all rows. Raises ValueError for what is no box."""
    boxes = []
    for row, text in enumerate(np.ravel(texts)):
        for label, *numbers in split_groups(str(text), 6, "boxes"):
            confidence, x0, y0, x1, y1 = (float(word) for word in numbers)
            boxes.append(FlatBox(row, label, confidence, (x0, y0, x1, y1)))
    return boxes


def flat_overlap(one: FlatBox, two: FlatBox) -> float:
    """Return intersection over union."""
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.corners, two.corners
    both = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    union = one.area + two.area - both
    return both / union if union > 0 else 0.0


def flat_precision(y: Array, p: Array, min_iou: float = MIN_IOU) -> float:
    """Return the mean over the true classes of the area under precision over recall.

    A predicted box is right when it overlaps with a true one of its class by more than `min_iou`
    that no box of more confidence has taken (PASCAL VOC 2010).
    """
    true, said = read_flat_boxes(y), read_flat_boxes(p)
    labels = sorted({box.label for box in true})
    if not labels:
        raise ValueError("no true boxes among the scored rows")
    return float(
        np.mean(
            [
                class_precision(
                    [box for box in true if box.label == label],
                    [box for box in said if box.label == label],
                    min_iou,
                )
                for label in labels
            ]
        )
    )


def class_precision(true: list[FlatBox], said: list[FlatBox], min_iou: float) -> float:
    """Return the average precision of the boxes of one class."""
    by_row: dict[int, list[FlatBox]] = {}
    for box in true:
        by_row.setdefault(box.row, []).append(box)
    hits = []
    for box in sorted(said, key=lambda box: -box.confidence):
        rest = by_row.get(box.row, [])
        best = max(rest, key=lambda other: flat_overlap(box, other), default=None)
        is_hit = best is not None and flat_overlap(box, best) > min_iou
        if is_hit:
            rest.pop(next(i for i, other in enumerate(rest) if other is best))
        hits.append(is_hit)
    return area_of_hits(hits, len(true))


def area_of_hits(hits: list[bool], n_true: int) -> float:
    """Return the area under precision over recall, precision made to fall."""
    if not hits:
        return 0.0
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.r_[0, found]) / n_true
    return float((precision * steps).sum())


# ---------------------------------------------------------------------------- points in boxes


def points_f1(y: Array, p: Array) -> float:
    """Return F1 over all rows of points that lie in a true box with their label.

    Every true box counts for one point.
    """
    n_hits = n_true = n_said = 0
    for true, said in pair_texts(y, p):
        boxes, points = split_groups(true, 5, "true boxes"), split_groups(said, 3, "points")
        n_hits += count_hits(boxes, points)
        n_true, n_said = n_true + len(boxes), n_said + len(points)
    return 2 * n_hits / (n_true + n_said) if n_true + n_said else 1.0


def count_hits(boxes: list[list[str]], points: list[list[str]]) -> int:
    """Return how many points find a box of their label that none has found before."""
    free = [(label, [float(word) for word in numbers]) for label, *numbers in boxes]
    n_hits = 0
    for label, *place in points:
        x, y = (float(word) for word in place)
        for index, (name, (left, top, width, height)) in enumerate(free):
            if name == label and left <= x <= left + width and top <= y <= top + height:
                free.pop(index)
                n_hits += 1
                break
    return n_hits


def boxes_as_points(text: str) -> str:
    """Return true boxes as the points that a submission has: their centres."""
    words = []
    for label, *numbers in split_groups(text, 5, "true boxes"):
        x, y, width, height = (float(word) for word in numbers)
        words += [label, f"{x + width / 2:g}", f"{y + height / 2:g}"]
    return " ".join(words)


# ---------------------------------------------------------------------------- boxes in space


class SolidBox(NamedTuple):
    """An upright box in space, turned by `yaw` around the vertical."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]  # width length height
    yaw: float
    label: str
    confidence: float = 1.0

    @property
    def volume(self) -> float:
        """Width x length x height."""
        return float(np.prod(self.size))

    def outline(self) -> Array:
        """The corners of its floor, counter-clockwise, shape (4, 2)."""
        width, length, _ = self.size
        flat = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2 * [length, width]
        turn = np.array(
            [[np.cos(self.yaw), -np.sin(self.yaw)], [np.sin(self.yaw), np.cos(self.yaw)]]
        )
        return np.asarray(flat @ turn.T + np.array(self.center[:2]))


def read_solid_boxes(text: str, *, has_confidence: bool) -> list[SolidBox]:
    """Read the boxes of one row. Raises ValueError for what is no box."""
    boxes = []
    for words in split_groups(text, 9 if has_confidence else 8, "boxes"):
        confidence = float(words.pop(0)) if has_confidence else 1.0
        x, y, z, width, length, height, yaw = (float(word) for word in words[:7])
        if min(width, length, height) <= 0:
            raise ValueError("a box has a side that is not positive")
        boxes.append(SolidBox((x, y, z), (width, length, height), yaw, words[7], confidence))
    return boxes


def solid_overlap(one: SolidBox, two: SolidBox) -> float:
    """Return the volume of the intersection over that of the union."""
    tops = [box.center[2] + box.size[2] / 2 for box in (one, two)]
    floors = [box.center[2] - box.size[2] / 2 for box in (one, two)]
    height = min(tops) - max(floors)
    if height <= 0:
        return 0.0
    both = polygon_area(clip_polygon(one.outline(), two.outline())) * height
    return both / (one.volume + two.volume - both)


def clip_polygon(inner: Array, outer: Array) -> Array:
    """Return the part of one convex polygon that lies in another (Sutherland and Hodgman, 1974).

    Both are counter-clockwise, shape (n, 2).
    """
    points = [np.asarray(point, dtype=float) for point in inner]
    for start, end in zip(outer, np.roll(outer, -1, axis=0), strict=True):
        kept: list[Array] = []
        for here, there in zip(points, points[1:] + points[:1], strict=True):
            a, b = side_of(here, start, end), side_of(there, start, end)
            if a >= 0:
                kept.append(here)
            if a * b < 0:
                kept.append(here + (there - here) * a / (a - b))
        points = kept
    return np.array(points).reshape(-1, 2)


def side_of(point: Array, start: Array, end: Array) -> float:
    """Return a positive number where a point is to the left of a line, 0 on it."""
    (dx, dy), (px, py) = end - start, point - start
    return float(dx * py - dy * px)


def polygon_area(points: Array) -> float:
    """Return the area of a polygon, by the shoelace formula."""
    if len(points) < 3:
        return 0.0
    x, y = points.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def solid_losses(y: Array, p: Array) -> Array:
    """Return 1 - the mean over thresholds .5 … .95 of hits / (hits + misses + false alarms).

    Boxes are matched by falling confidence with those of their class.
    """
    losses = np.zeros(len(np.ravel(y)))
    for row, (true, said) in enumerate(pair_texts(y, p)):
        boxes = read_solid_boxes(true, has_confidence=False)
        guesses = read_solid_boxes(said, has_confidence=True)
        losses[row] = 1 - row_precision(boxes, guesses)
    return losses


def row_precision(boxes: list[SolidBox], guesses: list[SolidBox]) -> float:
    """Return the mean precision over the thresholds; 1 where there is nothing to find or say."""
    if not boxes and not guesses:
        return 1.0
    guesses = sorted(guesses, key=lambda guess: -guess.confidence)
    overlaps: Any = np.array(
        [
            [solid_overlap(guess, box) if guess.label == box.label else 0.0 for box in boxes]
            for guess in guesses
        ]
    ).reshape(len(guesses), len(boxes))
    scores = []
    for threshold in THRESHOLDS:
        free, n_hits = np.ones(len(boxes), dtype=bool), 0
        for row in overlaps:
            candidates = np.where(free, row, 0.0)
            if len(candidates) and candidates.max() > threshold:
                free[int(candidates.argmax())] = False
                n_hits += 1
        scores.append(n_hits / (len(boxes) + len(guesses) - n_hits))
    return float(np.mean(scores))


def add_confidence(text: str) -> str:
    """Return true boxes as a submission writes them: with a confidence before each."""
    groups = split_groups(text, 8, "true boxes")
    return " ".join(" ".join(["1.0", *words]) for words in groups)


def box_metric(name: str) -> Metric:
    """Return the mean average precision at an overlap, such as `map_boxes@0.5`."""
    overlap = float(name.partition("@")[2])
    return Metric(name, "max", "text", lambda y, p: flat_precision(y, p, overlap))


BOX_METRICS = (
    Metric("map_boxes", "max", "text", flat_precision),
    Metric("boxes_f1", "max", "text", points_f1, write_truth=boxes_as_points),
    Metric(
        "map_of_iou_3d",
        "max",
        "text",
        mean_gain(solid_losses),
        solid_losses,
        write_truth=add_confidence,
    ),
)
