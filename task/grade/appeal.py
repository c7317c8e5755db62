"""A gate after an appeal: it judges again without the rows that lack an input.

Rows are left out by what they lack, a file or a cell, never by their labels. So that an appeal
cannot hide a leak, half of the rows must remain, the gates' bars shrink with the root of the share
that does (`Truth.share`), and the rows left out must be predicted no better than the others, nor
gain more over a plain model than these: a row without its inputs can only be predicted blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from task.data.public_tables import match_keys
from task.grade import plain_model as plain
from task.grade.compare import score_predictions
from task.grade.leaks import MIN_ROWS, line_losses
from task.grade.predictions import Truth, get_truth
from task.load.tables import read_public_table
from task.types import AppealJson, LackJson, Prepared, ScoreJson

Array = NDArray[Any]
FILE, CELL = "file", "cell:"
INDEX = "index"
MIN_AUDIT_ROWS = 100  # fewer held-back rows cannot tell
MIN_SHARE = 0.5  # of the rows of a gate that must remain
MAX_LACKS, MAX_NAMED = 12, 3
BLIND_MARGIN = 0.05  # rows left out may be predicted better than the others by this share
GAIN_Z = 2.0  # standard errors by which they may gain more than the others over a plain model


@dataclass(frozen=True)
class RowsLeft:
    """The rows that a gate is left with, and their predictions."""

    truth: Truth
    oof: Array
    score: ScoreJson


def list_lacks(prepared: Prepared) -> list[LackJson]:
    """Return what rows lack that others have, most rows first: what an appeal may name."""
    truth = get_truth(prepared)
    sides = (truth.validated_ids, truth.test_ids)
    found = []
    for name in (FILE, *(CELL + str(column) for column in truth.features)):
        train, test = (find_lacking(truth, name, ids) for ids in sides)
        n_train, n_test = int(train.sum()), int(test.sum())
        if n_train + n_test and not (train.all() and test.all()):
            found.append(
                LackJson(
                    name=name,
                    validated=n_train,
                    of_validated=len(train),
                    test=n_test,
                    of_test=len(test),
                )
            )
    found.sort(key=lambda lack: -(lack["validated"] + lack["test"]))
    return found[:MAX_LACKS]


def find_lacking(truth: Truth, name: str, ids: Sequence[str]) -> Array:
    """Return which of the rows lack what `name` says; none of an unknown name."""
    if name == FILE:
        counts = count_files(truth)
        usual = int(np.median([counts.get(key, 0) for key in truth.validated_ids]))
        return np.array([counts.get(str(key), 0) < usual for key in ids], dtype=bool)
    cells = empty_cells(truth, name.removeprefix(CELL)) if name.startswith(CELL) else {}
    return np.array([cells.get(str(key), False) for key in ids], dtype=bool)


def count_blind_rows(truth: Truth) -> int:
    """Count the held-back rows that lack a file where hardly any validated row does."""
    train = find_lacking(truth, FILE, truth.validated_ids)
    held = find_lacking(truth, FILE, list(truth.audit["_id"]))
    return int(held.sum()) if held.size and held.mean() > 2 * train.mean() + 0.01 else 0


@lru_cache(maxsize=4)
def count_files(truth: Truth) -> dict[str, int]:
    """Return id -> number of its files that are there, by input/index.csv; empty without one."""
    folder, inputs = truth.prepared.public, truth.prepared.inputs
    try:
        index = read_public_table(folder, INDEX).astype(str)
    except (OSError, ValueError):
        return {}
    counts: dict[str, int] = {}
    for key, _, name in index.iloc[:, :3].itertuples(index=False):
        top, _, rest = str(name).partition("/")
        if top in inputs and Path(inputs[top], rest).exists():
            counts[str(key)] = counts.get(str(key), 0) + 1
    ids = [*truth.validated_ids, *truth.test_ids]
    places = match_keys(list(counts), ids)
    values = list(counts.values())
    return {key: values[place] for key, place in zip(ids, places, strict=True) if place >= 0}


@lru_cache(maxsize=16)
def empty_cells(truth: Truth, column: str) -> dict[str, bool]:
    """Return id -> whether the cell of a feature is empty, over validated rows and test rows."""
    found: dict[str, bool] = {}
    for part, ids in (("train", truth.validated_ids), ("test", truth.test_ids)):
        if column not in truth.features:
            return {}
        try:
            frame = read_public_table(truth.prepared.public, part, [truth.prepared.id, column])
        except ValueError:  # the other table lacks the column
            continue
        places = match_keys([str(key) for key in frame[truth.prepared.id]], ids)
        empty = frame[column].isna().to_numpy()
        found |= {key: bool(empty[at]) for key, at in zip(ids, places, strict=True) if at >= 0}
    return found


def leave_rows_out(
    truth: Truth, oof: Array, test: Array, names: Sequence[str]
) -> tuple[AppealJson, RowsLeft | None]:
    """Return the account of an appeal, and the rows left; None where they cannot be left out."""
    names = list(dict.fromkeys(names))[:MAX_NAMED]
    out = combine_lacks(truth, names, truth.validated_ids)
    audit_ids = list(truth.audit["_id"])
    audit_out = combine_lacks(truth, names, audit_ids)
    account = AppealJson(
        lacks=names,
        left=int((~out).sum()),
        of=len(out),
        audit_left=int((~audit_out).sum()),
        audit_of=len(audit_out),
        refused="",
    )
    if not out.any() and not audit_out.any():
        return {**account, "refused": "no row that the gates judge lacks it"}, None
    if refused := describe_weak_gate(account) or describe_seeing(truth, oof, test, out, audit_out):
        return {**account, "refused": refused}, None
    dropped = {*np.array(truth.validated_ids, dtype=object)[out]}
    dropped |= {*np.array(audit_ids, dtype=object)[audit_out]}
    left = replace(
        truth,
        frame=truth.frame[~truth.frame["_id"].isin(dropped)].reset_index(drop=True),
        share=account["left"] / max(1, account["of"]),
        audit_share=account["audit_left"] / max(1, account["audit_of"]),
    )
    try:
        return account, RowsLeft(left, oof[~out], score_predictions(left, oof[~out]))
    except ValueError:
        return {**account, "refused": "the rows that remain cannot be scored"}, None


def combine_lacks(truth: Truth, names: Sequence[str], ids: Sequence[str]) -> Array:
    """Return which of the rows lack any of what is named."""
    masks = [find_lacking(truth, name, ids) for name in names]
    return np.logical_or.reduce(masks) if masks else np.zeros(len(ids), dtype=bool)


def describe_weak_gate(account: AppealJson) -> str:
    """Say why too few rows remain for a gate to see a leak; empty: enough do."""
    sides = [("validated", account["left"], account["of"], MIN_ROWS)]
    if account["audit_of"]:
        sides.append(("held-back", account["audit_left"], account["audit_of"], MIN_AUDIT_ROWS))
    for what, left, total, least in sides:
        if left < total and left < max(least, MIN_SHARE * total):
            return f"only {left:,} of {total:,} {what} rows would remain, too few to see a leak"
    return ""


def describe_seeing(truth: Truth, oof: Array, test: Array, out: Array, audit_out: Array) -> str:
    """Say that rows which lack an input are predicted as if they had it; empty: they are not."""
    text = "the rows that lack it are predicted better than the others, so they are not blind"
    if out.any() and is_better_predicted(truth, oof, out):
        return text
    if out.any() and gains_more(truth, oof, out):
        return (
            "over a plain model the rows that lack it gain more than the others, so they are not "
            "blind"
        )
    if not audit_out.any():
        return ""
    held = replace(truth, frame=truth.frame[truth.frame["_fold"] == -2].assign(_fold=0))
    return text if is_better_predicted(held, test[truth.audit_rows], audit_out) else ""


def is_better_predicted(truth: Truth, predictions: Array, rows: Array) -> bool:
    """Whether some rows have a lower loss than the others, by BLIND_MARGIN."""
    if predictions.dtype == object or truth.y.dtype == object:
        return False
    losses = line_losses(plain.numeric_target(truth), plain.numeric_signal(truth, predictions))
    if rows.all():
        return False
    return bool(losses[rows].mean() < (1 - BLIND_MARGIN) * losses[~rows].mean())


def gains_more(truth: Truth, oof: Array, out: Array) -> bool:
    """Whether rows gain more than the others over a plain model of the task's columns.

    Rows that are hard by nature stay hard without what they lack: labels in them may show no more
    than that they are as good as the rest.
    """
    if oof.dtype == object or truth.y.dtype == object:
        return False
    rows = plain.gate_rows(truth)
    out = out[rows]
    if not out.any() or out.all():
        return False
    target = plain.numeric_target(truth)
    losses = line_losses(target, plain.numeric_signal(truth, oof))[rows]
    honest = line_losses(target[rows], plain.reference_prediction(truth, ()))
    gains = honest - losses
    error = np.sqrt(gains[out].var() / out.sum() + gains[~out].var() / (~out).sum())
    more = float(gains[out].mean() - gains[~out].mean())
    return more > GAIN_Z * float(error) and more > BLIND_MARGIN * float(honest.mean())
