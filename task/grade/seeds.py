"""Averages over seeds: what is handed over, executed under several seeds, and whether they help.

A *round* holds one out-of-fold file of every script, all under one seed; a script that was not
executed under it stands there with its first file. The average is that of the rounds' predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from task.grade import compare
from task.grade.blend import average_method, class_codes, member_part
from task.grade.blend_weights import BlendMethod, finish_predictions, weighted_sum
from task.grade.predictions import PredictionsError, Said, Truth, get_truth, read_said
from task.types import AveragedJson, Prepared, TaskError

Array = NDArray[Any]


def judge_average(
    prepared: Prepared,
    rounds: list[dict[str, str]],
    weights: dict[str, float],
    *,
    z: float,
    alike: bool = False,
    n_rows: int = 0,
) -> AveragedJson:
    """Say over which rounds predictions are averaged, and what that brings on the validated rows.

    The average must score no worse than its rounds do on average, and no worse than the first
    round by `z` standard errors; the worst round is left out until it does. For a convex loss the
    first holds always (Jensen), whatever the rows.

    Args:
        prepared: the task.
        rounds: paths of the out-of-fold files by script; the first round has all scripts.
        weights: of the scripts.
        z: standard errors.
        alike: the files are of one script, so that their values are on one scale.
        n_rows: that a file may have: it may have further rows.

    Returns:
        The rounds to keep, the first alone where no average helps.

    Raises:
        TaskError: a first file cannot be read, or such predictions cannot be averaged.
    """
    owner = get_truth(prepared)
    try:
        totals, names, form = _add_up(owner, rounds, weights, n_rows, alike=alike)
    except (PredictionsError, OSError) as error:
        raise TaskError(f"a seed's {error}") from error
    made = [form.finish(total) for total in totals]
    scores = [float(owner.metric.score(owner.scored, p)) for p in made]
    sign = 1.0 if owner.metric.direction == "max" else -1.0
    kept = [index for index, read in enumerate(names) if read]
    while True:
        mean = np.mean([totals[index] for index in kept], axis=0)
        average = form.finish(np.asarray(mean))
        paired = compare.compare_predictions(
            owner.metric, owner.scored, [average], [made[0]], owner.clusters, 0, owner.fold
        )
        single = float(np.mean([scores[index] for index in kept]))
        gain = sign * (float(paired["new"]) - single)
        if len(kept) == 1 or (gain >= -_rounding(single) and paired["d"] >= -z * paired["se"]):
            break
        kept.remove(min(kept[1:], key=lambda index: sign * scores[index]))
    truth, labelled = form.truth, form.method in ("ordinal", "vote")
    return AveragedJson(
        kept=kept,
        names=names,
        score=float(paired["new"]),
        single=single,
        gain=gain,
        method=form.method,
        classes=truth.labels if labelled else [],
        scaled=truth.has_class_columns or truth.metric.sums_to_one,
        bounds=list(truth.form.bounds or ()),
        columns=truth.prepared.columns[1:] if form.is_soft else [],
    )


class _Form(NamedTuple):
    """How the predictions of some files are averaged."""

    owner: Truth
    method: BlendMethod
    is_soft: bool  # they are finer than labels

    @property
    def truth(self) -> Truth:
        """The task that the files have."""
        return self.owner.soft_truth if self.is_soft else self.owner

    @property
    def classes(self) -> Array:
        """Codes of the classes, where labels are averaged."""
        return class_codes(self.truth, self.method)

    def part(self, said: Said) -> Array:
        """Return what a file adds."""
        values = said.flatten(self.owner) if self.is_soft else said.decode(self.owner)
        return member_part(values, self.classes, self.method)

    def finish(self, total: Array) -> Array:
        """Return what the metric takes of a sum."""
        values = finish_predictions(total, self.classes, self.method)
        if not self.is_soft or self.owner.soft is None:
            return values
        if self.owner.soft.layout == "positive":
            values = np.column_stack([1 - values, values])
        return Said(None, values).decode(self.owner)


def _add_up(
    owner: Truth,
    rounds: Sequence[dict[str, str]],
    weights: dict[str, float],
    n_rows: int,
    *,
    alike: bool,
) -> tuple[list[Array], list[list[str]], _Form]:
    """The weighted sum of every round, and the scripts whose file of it can be read.

    Raises PredictionsError where a first file cannot, and TaskError.
    """

    def read(path: str) -> Said:
        return read_said(owner, path, "oof.csv", owner.validated_ids, n_rows=n_rows)

    said = {name: read(rounds[0][name]) for name in weights}
    is_soft = all(one.soft is not None for one in said.values())
    truth = owner.soft_truth if is_soft else owner
    form = _Form(owner, average_method(truth, alike=alike), is_soft)
    first = {name: form.part(one) for name, one in said.items()}
    totals, names = [weighted_sum(first, weights)], [list(first)]
    for paths in rounds[1:]:
        parts = dict(first)
        names.append([])
        for name, path in paths.items():
            with suppress(PredictionsError, OSError):  # it has another form, or is no table
                parts[name] = form.part(read(path))
                names[-1].append(name)
        totals.append(weighted_sum(parts, weights))
    return totals, names, form


def _rounding(score: float) -> float:
    return 1e-9 * max(1.0, abs(score))
