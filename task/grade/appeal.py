"""The audit after an appeal: it judges again without the held-back rows that lack an input.

Held-back rows stand for the test rows. Some may lose a file or a cell on their way, which the
validated rows and the true test rows have: a script predicts them blind, so that the others look
too good. Only such rows are left out, and of held-back ones alone: every validated row stays in
its gates and its score, so nothing that a script does there can be hidden. Half of the held-back
rows must remain, and the audit's bar shrinks with the root of the share that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from task.data.public_tables import match_keys
from task.grade.predictions import Truth, get_truth
from task.load.tables import read_public_table
from task.types import AppealJson, LackJson, Prepared

Array = NDArray[Any]
FILE, CELL = "file", "cell:"
INDEX = "index"
MIN_AUDIT_ROWS = 100  # fewer held-back rows cannot tell
MIN_SHARE = 0.5  # of the held-back rows that must remain
MAX_USUAL = 0.02  # share of other rows that may lack it too; more: it is in the nature of the task
MAX_LACKS, MAX_NAMED = 12, 3


def list_lacks(prepared: Prepared) -> list[LackJson]:
    """Return what held-back rows lack and others have, most rows first: an appeal may name it."""
    truth = get_truth(prepared)
    found = []
    for name in (FILE, *(CELL + str(column) for column in truth.features)):
        if not is_peculiar(truth, name):
            continue
        train = find_lacking(truth, name, truth.validated_ids)
        test = find_lacking(truth, name, truth.test_ids)
        found.append(
            LackJson(
                name=name,
                validated=int(train.sum()),
                of_validated=len(train),
                test=int(test.sum()),
                of_test=len(test),
            )
        )
    found.sort(key=lambda lack: -lack["test"])
    return found[:MAX_LACKS]


def is_peculiar(truth: Truth, name: str) -> bool:
    """Whether held-back rows lack what hardly any validated row and hardly any test row lacks.

    Files of test rows may be missing as well; a cell of theirs may not: held-back rows without it
    then are what they should be, like the test.
    """
    held = set(truth.audit["_id"])
    sides = [sorted(held), truth.validated_ids]
    if name != FILE:
        sides.append([key for key in truth.test_ids if key not in held])
    shares = [find_lacking(truth, name, ids).mean() if len(ids) else 0.0 for ids in sides]
    return bool(shares[0] > MAX_USUAL and max(shares[1:]) <= MAX_USUAL)


def find_lacking(truth: Truth, name: str, ids: Sequence[str]) -> Array:
    """Return which of the rows lack what `name` says; none of an unknown name."""
    if name == FILE:
        counts = count_files(truth)
        usual = int(np.median([counts.get(key, 0) for key in truth.validated_ids]))
        return np.array([counts.get(str(key), 0) < usual for key in ids], dtype=bool)
    cells = empty_cells(truth, name.removeprefix(CELL)) if name.startswith(CELL) else {}
    return np.array([cells.get(str(key), False) for key in ids], dtype=bool)


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


def leave_rows_out(truth: Truth, names: Sequence[str]) -> tuple[AppealJson, Truth | None]:
    """Return the account of an appeal, and the truth without the held-back rows that lack it.

    None where they cannot be left out.
    """
    names = list(dict.fromkeys(names))[:MAX_NAMED]
    ids = list(truth.audit["_id"])
    peculiar = [name for name in names if is_peculiar(truth, name)]
    out = find_lacking_any(truth, peculiar, ids)
    account = AppealJson(lacks=peculiar or names, left=int((~out).sum()), of=len(out), refused="")
    if refused := describe_refusal(account):
        return {**account, "refused": refused}, None
    dropped = {*np.array(ids, dtype=object)[out]}
    return account, replace(
        truth,
        frame=truth.frame[~truth.frame["_id"].isin(dropped)].reset_index(drop=True),
        audit_share=account["left"] / account["of"],
    )


def find_lacking_any(truth: Truth, names: Sequence[str], ids: Sequence[str]) -> Array:
    """Return which of the rows lack any of what is named."""
    masks = [find_lacking(truth, name, ids) for name in names]
    return np.logical_or.reduce(masks) if masks else np.zeros(len(ids), dtype=bool)


def describe_refusal(account: AppealJson) -> str:
    """Say why no row is left out, or too few would remain to see a leak; empty: enough do."""
    left, total = account["left"], account["of"]
    if left == total:
        return "no held-back row lacks it, or other rows lack it as well"
    if left < max(MIN_AUDIT_ROWS, MIN_SHARE * total):
        return f"only {left:,} of {total:,} held-back rows would remain, too few to see a leak"
    return ""
