"""Which predictions differ: a choice of good ones whose values are least alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from task.grade.blend import (
    choose_form,
    choose_method,
    class_codes,
    member_part,
    read_blendable,
)
from task.grade.blend_weights import sample_positions
from task.grade.predictions import PredictionsError, get_truth
from task.types import Prepared

Array = NDArray[Any]


def choose_diverse(prepared: Prepared, paths: dict[str, str], limit: int) -> list[str]:
    """Choose `limit` of the out-of-fold files, named best first: by score, then by correlation.

    The first half are the best. Each of the others is the one whose highest correlation with those
    chosen is the lowest. Files that cannot be read are left out. Raises TaskError for rankings and
    texts.
    """
    owner = get_truth(prepared)
    is_soft, _, left_out = choose_form(owner, {name: {"oof": path} for name, path in paths.items()})
    paths = {name: path for name, path in paths.items() if name not in left_out}
    truth = owner.soft_truth if is_soft else owner
    method = choose_method(truth)
    classes, rows = class_codes(truth, method), sample_positions(len(truth.y), None, prepared.seed)
    parts: dict[str, Array] = {}
    for name, path in paths.items():
        try:
            p = read_blendable(owner, path, "oof.csv", owner.validated_ids, is_soft=is_soft)
            part = member_part(p, classes, method)
        except (PredictionsError, OSError, ValueError):
            continue
        parts[name] = _standardise(part[rows].ravel())
    chosen = list(parts)[: (limit + 1) // 2]
    left = [name for name in parts if name not in chosen]
    alike = {name: max(float(parts[name] @ parts[one]) for one in chosen) for name in left}
    while left and len(chosen) < limit:
        newest = min(left, key=lambda name: alike[name])
        left.remove(newest)
        chosen.append(newest)
        for name in left:
            alike[name] = max(alike[name], float(parts[name] @ parts[newest]))
    return chosen


def _standardise(values: Array) -> Array:
    """Centre values and scale them to length one; zeros where nothing varies."""
    centred = values - values.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length if length > 0 else centred)
