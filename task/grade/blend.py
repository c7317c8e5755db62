"""Ensembles: weights over recorded attempts' predictions by greedy forward selection with replacement (Caruana et al., 2004).

Nothing is trained again. The weights that score a fold are chosen without that fold's rows, so that the score is honest.
"""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.metrics import Metric
from task.grade.predictions import Refused, Truth, read_predictions, truth_of
from task.types import BlendJson, Prepared, TaskError

Array = NDArray[Any]
Method = Literal["mean", "rank", "ordinal", "vote"]
MAX_MEMBERS = 16  # the best ones by score take part in the selection
MAX_ROUNDS = 20
SELECTION_ROWS = (
    5000  # more rows than these are sampled while weights are chosen; the score always uses all
)


def blend(prepared: Prepared, members: dict[str, dict[str, str]], out: str) -> BlendJson:
    """Chooses weights for `members` (id -> paths of its oof.csv and submission.csv), writes the blend's files into `out`.

    Raises TaskError where the metric cannot be blended or fewer than two members can be read.
    """
    began = time.monotonic()
    known = truth_of(prepared)
    how = method(known)
    oof, test, refused = read_members(known, members, how)
    if len(oof) < 2:
        raise TaskError(
            f"an ensemble needs two attempts with predictions, {len(oof)} can be read {refused or ''}".strip()
        )
    classes = coded_classes(known, how)
    fold = known.validated["fold"].to_numpy()
    blended = nested(known, oof, fold, classes, how)
    weights = select(known.metric, known.y, oof, classes, how, seed=prepared.seed)
    names = {"oof": str(Path(out) / "oof.csv"), "submission": str(Path(out) / "submission.csv")}
    write(known, names["oof"], known.validated_ids, blended, how)
    write(
        known,
        names["submission"],
        known.test_ids,
        finish(weighted(test, weights), classes, how),
        how,
    )
    return BlendJson(
        weights=weights,
        method=how,
        classes=known.labels if how in ("ordinal", "vote") else [],
        oof=names["oof"],
        submission=names["submission"],
        refused=refused,
        seconds=time.monotonic() - began,
    )


def method(known: Truth) -> Method:
    """How predictions of this task are blended."""
    needs, name = known.metric.needs, known.metric.name
    if needs == "ranking":
        raise TaskError(f"rankings ({name}) cannot be blended by weights")
    if needs == "label" and known.prepared.task.kind != "regression":
        return (
            "ordinal"
            if name == "qwk" and known.codes == {label: number(label) for label in known.labels}
            else "vote"
        )
    return "rank" if name == "auc" and len(known.prepared.columns) == 2 else "mean"


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def coded_classes(known: Truth, how: Method) -> Array:
    return np.asarray(list(known.codes.values())) if how in ("ordinal", "vote") else np.empty(0)


def read_members(
    known: Truth, members: dict[str, dict[str, str]], how: Method
) -> tuple[dict[str, Array], dict[str, Array], dict[str, str]]:
    """What every member adds to a blend, for validated rows and for the test file; the best MAX_MEMBERS by score."""
    oof: dict[str, Array] = {}
    test: dict[str, Array] = {}
    score: dict[str, float] = {}
    refused: dict[str, str] = {}
    classes, ids = coded_classes(known, how), known.validated_ids
    for name, paths in members.items():
        try:
            values = read_predictions(known, paths["oof"], "oof.csv", ids)
            others = read_predictions(known, paths["submission"], "submission.csv", known.test_ids)
        except (Refused, OSError, KeyError) as error:
            refused[name] = str(error)[:200]
            continue
        score[name] = signed(known.metric, known.y, values)
        oof[name], test[name] = parts(values, classes, how), parts(others, classes, how)
    best = sorted(oof, key=lambda name: (-score[name], name))[:MAX_MEMBERS]
    return {name: oof[name] for name in best}, {name: test[name] for name in best}, refused


def signed(metric: Metric, y: Array, p: Array) -> float:
    """The score with higher = better; -inf where it is not defined on these rows."""
    try:
        value = metric.score(y, p)
    except ValueError:
        return -np.inf
    return value if metric.direction == "max" else -value


def nested(known: Truth, oof: dict[str, Array], fold: Array, classes: Array, how: Method) -> Array:
    """Blended predictions of every validated row by weights that were chosen on the other folds."""
    total = np.zeros_like(next(iter(oof.values())))
    for k in np.unique(fold):
        held = fold == k
        weights = select(known.metric, known.y, oof, classes, how, rows=~held, seed=int(k) + 1)
        total[held] = weighted(oof, weights)[held]
    return finish(total, classes, how)


def weighted(parts_of: dict[str, Array], weights: dict[str, float]) -> Array:
    return np.asarray(sum(weight * parts_of[name] for name, weight in weights.items()))


def select(
    metric: Metric,
    y: Array,
    oof: dict[str, Array],
    classes: Array,
    how: Method,
    *,
    rows: Array | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Greedy forward selection with replacement: from the best member on, the one that helps most, while one helps."""
    chosen = sampled(len(y), rows, seed)
    y = y[chosen]
    candidates = {name: values[chosen] for name, values in oof.items()}
    total, best, counts = (
        np.zeros_like(next(iter(candidates.values()))),
        -np.inf,
        dict.fromkeys(candidates, 0),
    )
    for n in range(1, MAX_ROUNDS + 1):
        scores = {
            name: signed(metric, y, finish((total + values) / n, classes, how))
            for name, values in candidates.items()
        }
        name = max(scores, key=lambda key: (scores[key], key))
        if n > 1 and scores[name] <= best:
            break
        total, best = total + candidates[name], scores[name]
        counts[name] += 1
    n_drawn = sum(counts.values())
    return {name: count / n_drawn for name, count in counts.items() if count}


def sampled(n: int, rows: Array | None, seed: int) -> Array:
    found = np.flatnonzero(rows) if rows is not None else np.arange(n)
    if len(found) > SELECTION_ROWS:
        found = np.sort(np.random.default_rng(seed).choice(found, SELECTION_ROWS, replace=False))
    return found


def write(known: Truth, path: str, ids: list[str], values: Array, how: Method) -> None:
    columns = known.prepared.columns
    frame = pd.DataFrame({columns[0]: ids})
    if how in ("ordinal", "vote"):
        texts = {code: label for label, code in known.codes.items()}
        frame[columns[1]] = [texts[float(value)] for value in values]
    else:
        frame[columns[1:]] = values.reshape(len(ids), -1)
    frame.to_csv(path, index=False)


# The two functions that are a blend. They stand in the driver word for word, so that what runs alone is what was scored.


def parts(values: Array, classes: Array, how: str) -> Array:
    """What one member adds: its values, their ranks in 0..1, or its vote for a class; a row per row."""
    if how == "rank":
        return np.asarray(pd.Series(values).rank() / (len(values) + 1)).reshape(-1, 1)
    if how == "vote":
        return np.asarray(values.reshape(-1, 1) == classes.reshape(1, -1), dtype=float)
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def finish(total: Array, classes: Array, how: str) -> Array:
    """The weighted sum of parts as predictions."""
    if how == "vote":
        total = classes[total.argmax(axis=1)]
    elif how == "ordinal":
        total = classes[np.abs(total - classes.reshape(1, -1)).argmin(axis=1)]
    elif total.shape[1] == 1:
        total = total[:, 0]
    return total


def driver(weights: dict[str, float], how: str, classes: list[str]) -> str:
    """solution.py of an ensemble: runs every member in a folder of its own, then blends what they wrote."""
    shares = "\n".join(f"    {name!r}: {weight!r}," for name, weight in weights.items())
    return DRIVER.format(
        n=len(weights),
        how={"mean": "weighted mean", "rank": "weighted mean of ranks", "ordinal": "class nearest to the weighted mean", "vote": "weighted vote"}[how],
        shares=shares,
        method=how,
        classes=[number(label) for label in classes] if how == "ordinal" else classes,
        parts=inspect.getsource(parts),
        finish=inspect.getsource(finish),
    )  # fmt: skip


DRIVER = '''"""An ensemble of {n} solutions: the {how} of their predictions.

Every member lies in members/NAME/solution.py and runs there, with the same input/. Its files stay in its folder;
oof.csv and submission.csv of the whole are written here.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

Array = np.ndarray
MEMBERS = {{
{shares}
}}
METHOD = {method!r}
CLASSES = np.array({classes!r})


{parts}

{finish}

def run(name):
    """Runs one member in its folder."""
    folder = Path("members") / name
    if not os.path.lexists(folder / "input"):
        os.symlink(Path("input").resolve(), folder / "input")
    subprocess.run([sys.executable, "solution.py"], cwd=folder, check=True)


def read(name, file):
    """A member's predictions as a table by id."""
    frame = pd.read_csv(Path("members") / name / file, dtype=str if METHOD == "vote" else None)
    frame[frame.columns[0]] = frame[frame.columns[0]].astype(str)
    return frame.set_index(frame.columns[0])


def values(frame):
    """Labels as they are named in CLASSES, or numbers."""
    if METHOD == "vote":
        return frame.iloc[:, 0].str.replace(r"[.]0$", "", regex=True).to_numpy()
    found = frame.to_numpy(dtype=float)
    return found[:, 0] if found.shape[1] == 1 else found


def blended(file):
    """The blend of one of the members' files, in the order of the first."""
    tables = {{name: read(name, file) for name in MEMBERS}}
    first = next(iter(tables.values()))
    total = sum(weight * parts(values(tables[name].loc[first.index]), CLASSES, METHOD) for name, weight in MEMBERS.items())
    result = pd.DataFrame(index=first.index, columns=first.columns)
    result[:] = finish(total, CLASSES, METHOD).reshape(len(first), -1)
    return result.reset_index()


if __name__ == "__main__":
    for member in MEMBERS:
        run(member)
    for file in ("oof.csv", "submission.csv"):
        blended(file).to_csv(file, index=False)
'''


def mix(
    prepared: Prepared, submissions: dict[str, str], weights: dict[str, float], out: str
) -> None:
    """A submission from members' submissions for the same test file, by given weights. Raises TaskError when one is not valid."""
    known = truth_of(prepared)
    how = method(known)
    classes = coded_classes(known, how)
    test: dict[str, Array] = {}
    for name in weights:
        try:
            test[name] = parts(
                read_predictions(known, submissions[name], "submission.csv", known.test_ids),
                classes,
                how,
            )
        except Refused as refusal:
            raise TaskError(f"member {name}: {refusal}") from refusal
    write(known, out, known.test_ids, finish(weighted(test, weights), classes, how), how)
