"""Ensembles: blends of the predictions of recorded attempts; nothing is trained again.

`task.grade.blend_weights` chooses the weights, without the rows that they are scored on.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.blend_weights import (
    CANDIDATES,
    MAX_MEMBERS,
    Blending,
    BlendMethod,
    Candidate,
    blend_nested,
    deal_blocks,
    finish_predictions,
    limit_to_time,
    signed_score,
    weighted_sum,
)
from task.grade.predictions import (
    PredictionsError,
    Truth,
    get_truth,
    read_decoder,
    read_predictions,
    read_said,
)
from task.grade.relations import correlate_errors
from task.types import BlendedJson, BlendJson, Prepared, TaskError

Array = NDArray[Any]
METHOD_TEXTS = {
    "mean": "weighted mean",
    "rank": "weighted mean of ranks",
    "ordinal": "class nearest to the weighted mean",
    "vote": "weighted vote",
}


class MemberParts(NamedTuple):
    """What every member adds to a blend, by its id, and the members left out with the reason."""

    oof: dict[str, Array]  # a row per validated row
    test: dict[str, Array]  # a row per row of the test file
    refused: dict[str, str]


def blend_attempts(
    prepared: Prepared,
    members: dict[str, dict[str, str]],
    out: str,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> BlendJson:
    """Choose weights for attempts and write the files of their blend into the folder `out`.

    `members`: id -> paths of its oof.csv (`oof`) and submission.csv (`submission`). Raises
    TaskError where the metric cannot be blended or fewer than two members can be read.
    """
    began = time.monotonic()
    owner = get_truth(prepared)
    is_soft, members, left_out = choose_form(owner, members)
    truth = owner.soft_truth if is_soft else owner
    method = choose_method(truth)
    oof, test, refused = read_members(owner, members, method, is_soft=is_soft)
    refused |= left_out
    if len(oof) < 2:
        text = f"an ensemble needs two attempts with predictions, {len(oof)} can be read"
        raise TaskError(f"{text} {refused or ''}".strip())
    classes = class_codes(truth, method)
    total_oof, weights, chosen = blend_nested(blending_of(truth, oof, classes, method, candidates))
    nested = finish_predictions(total_oof, classes, method)
    total = finish_predictions(weighted_sum(test, weights), classes, method)
    oof_path, submission_path = str(Path(out) / "oof.csv"), str(Path(out) / "submission.csv")
    write_predictions(truth, oof_path, truth.validated_ids, nested, method)
    write_predictions(truth, submission_path, truth.test_ids, total, method)
    return BlendJson(
        weights=weights,
        method=method,
        classes=truth.labels if method in ("ordinal", "vote") else [],
        oof=oof_path,
        submission=submission_path,
        scaled=truth.has_class_columns or truth.metric.sums_to_one,
        bounds=list(truth.form.bounds or ()),
        columns=truth.prepared.columns[1:] if is_soft else [],
        refused=refused,
        candidate=chosen,
        members=relate_members(owner, oof_path, {name: members[name]["oof"] for name in weights}),
        seconds=time.monotonic() - began,
    )


def choose_form(
    truth: Truth, members: dict[str, dict[str, str]]
) -> tuple[bool, dict[str, dict[str, str]], dict[str, str]]:
    """Say whether what labels are made of is blended; with the members, and why others are out.

    Labels and probabilities are not mixed: what fewer than two members hold is left out.
    """
    if truth.soft is None:
        return False, members, {}
    soft = {name: paths for name, paths in members.items() if holds_soft(truth, paths)}
    labels = {name: paths for name, paths in members.items() if name not in soft}
    if len(soft) >= 2:
        why = "it holds labels, and the others what labels are made of"
        return True, soft, dict.fromkeys(labels, why)
    why = "it alone holds what labels are made of"
    return False, labels, dict.fromkeys(soft, why)


def holds_soft(truth: Truth, paths: dict[str, str]) -> bool:
    """Whether an attempt's out-of-fold file can be read and holds no labels."""
    try:
        return read_decoder(truth, paths["oof"]) is not None
    except (PredictionsError, OSError, KeyError):
        return False


def read_blendable(truth: Truth, path: str, name: str, ids: list[str], *, is_soft: bool) -> Array:
    """Read predictions, or what labels are made of, as they are blended."""
    if not is_soft:
        return read_predictions(truth, path, name, ids)
    return read_said(truth, path, name, ids).flatten(truth)


def choose_method(truth: Truth) -> BlendMethod:
    """Choose how predictions of this task are blended. Raises TaskError for rankings and texts."""
    needs, name = truth.metric.needs, truth.metric.name
    if needs == "ranking":
        raise TaskError(f"rankings ({name}) cannot be blended by weights")
    if needs == "text":
        raise TaskError(
            f"texts ({Path(name).name}) cannot be blended: no text lies between two others"
        )
    if needs == "label" and truth.prepared.task.kind != "regression":
        has_numbers = truth.codes == {label: parse_float(label) for label in truth.labels}
        return "ordinal" if name == "qwk" and has_numbers else "vote"
    return "rank" if name == "auc" and len(truth.prepared.columns) == 2 else "mean"


def average_method(truth: Truth, *, alike: bool) -> BlendMethod:
    """Choose how files are averaged; those of one script are on one scale and need no ranks."""
    method = choose_method(truth)
    return "mean" if alike and method == "rank" else method


def parse_float(text: str) -> float | None:
    """Return the number that a text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def class_codes(truth: Truth, method: BlendMethod) -> Array:
    """Return the codes of the classes where labels are blended, else nothing."""
    if method in ("ordinal", "vote"):
        return np.asarray(list(truth.codes.values()))
    return np.empty(0)


def read_members(
    owner: Truth, members: dict[str, dict[str, str]], method: BlendMethod, *, is_soft: bool = False
) -> MemberParts:
    """Read the predictions of all members; keep the best MAX_MEMBERS by score."""
    truth = owner.soft_truth if is_soft else owner
    oof: dict[str, Array] = {}
    test: dict[str, Array] = {}
    score: dict[str, float] = {}
    refused: dict[str, str] = {}
    classes, ids = class_codes(truth, method), truth.validated_ids
    for name, paths in members.items():
        try:
            p = read_blendable(owner, paths["oof"], "oof.csv", ids, is_soft=is_soft)
            p_test = read_blendable(
                owner, paths["submission"], "submission.csv", truth.test_ids, is_soft=is_soft
            )
        except (PredictionsError, OSError, KeyError) as error:
            refused[name] = str(error)[:200]
            continue
        score[name] = signed_score(truth.metric, truth.scored, p)
        oof[name] = member_part(p, classes, method)
        test[name] = member_part(p_test, classes, method)
    best = sorted(oof, key=lambda name: (-score[name], name))[:MAX_MEMBERS]
    return MemberParts(
        {name: oof[name] for name in best}, {name: test[name] for name in best}, refused
    )


def blending_of(
    truth: Truth,
    parts: dict[str, Array],
    classes: Array,
    method: BlendMethod,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> Blending:
    """Return what the weights are chosen on."""
    shape = next(iter(parts.values())).shape
    return limit_to_time(
        Blending(
            metric=truth.metric,
            y=truth.scored,
            parts=parts,
            blocks=deal_blocks(truth.fold, truth.clusters),
            method=method,
            classes=classes,
            target=target_part(truth, shape, classes, method),
            seed=truth.prepared.seed,
            candidates=candidates,
        )
    )


def target_part(
    truth: Truth, shape: tuple[int, ...], classes: Array, method: BlendMethod
) -> Array | None:
    """Return the truth as a member's part of this shape; None where it has no such form."""
    y = np.asarray(truth.y)
    if y.dtype == object or not np.isfinite(y.astype(float)).all():
        return None
    if method == "vote":
        return member_part(y, classes, method)
    if y.ndim == 1 and shape[1] > 1:
        if truth.metric.needs != "probability":
            return None
        return np.asarray(y.reshape(-1, 1) == np.arange(shape[1]), dtype=float)
    target = np.asarray(y, dtype=float).reshape(len(y), -1)
    return target if target.shape == shape else None


def relate_members(truth: Truth, path: str, members: dict[str, str]) -> dict[str, BlendedJson]:
    """Return score of every member and the correlation of its errors with the blend's.

    Args:
        truth: of the task.
        path: of the blend's out-of-fold file.
        members: path of each one's out-of-fold file.
    """
    known = {}
    blended = read_predictions(truth, path, "oof.csv", truth.validated_ids)
    for name, file in members.items():
        p = read_predictions(truth, file, "oof.csv", truth.validated_ids)
        alike = correlate_errors(truth, p, blended)[1]
        known[name] = BlendedJson(score=float(truth.metric.score(truth.scored, p)), alike=alike)
    return known


def write_predictions(
    truth: Truth, path: str, ids: list[str], values: Array, method: BlendMethod
) -> None:
    """Write predictions as a csv in the form of a submission; codes become labels."""
    columns = truth.prepared.columns
    frame = pd.DataFrame({columns[0]: ids})
    if method in ("ordinal", "vote"):
        texts = {code: label for label, code in truth.codes.items()}
        frame[columns[1]] = [texts[float(value)] for value in values]
    else:
        frame[columns[1:]] = values.reshape(len(ids), -1)
    frame.to_csv(path, index=False)


# `member_part` and `finish_predictions` define a blend. The driver contains their source, so that
# what runs alone is what was scored.


def member_part(values: Array, classes: Array, method: str) -> Array:
    """Return what a member adds: its values, their ranks in 0..1, or its vote for a class.

    A row per row.
    """
    if method == "rank":
        return np.asarray(pd.Series(values).rank() / (len(values) + 1)).reshape(-1, 1)
    if method == "vote":
        return np.asarray(values.reshape(-1, 1) == classes.reshape(1, -1), dtype=float)
    return np.asarray(values, dtype=float).reshape(len(values), -1)


def blend_driver(
    blend: BlendJson, variants: dict[str, str] | None = None, seeds: dict[str, int] | None = None
) -> str:
    """Return solution.py of an ensemble: it runs every member and blends their files.

    `variants`: that a member's script computes, by member; the others have none. `seeds`: under
    which a member runs; the others under the seed that they find.
    """
    weights, method = blend["weights"], blend["method"]
    classes: list[Any] = blend["classes"]
    if method == "ordinal":
        classes = [parse_float(label) for label in classes]
    return DRIVER.format(
        n=len(weights),
        how=METHOD_TEXTS[method],
        shares="\n".join(f"    {name!r}: {weight!r}," for name, weight in weights.items()),
        variants={name: variant for name, variant in (variants or {}).items() if variant},
        seeds=seeds or {},
        method=method,
        classes=classes,
        scaled=blend.get("scaled", False),
        bounds=blend.get("bounds") or [None, None],
        columns=blend.get("columns") or [],
        member_part=inspect.getsource(member_part),
        finish_predictions=inspect.getsource(finish_predictions),
    )


DRIVER = '''"""An ensemble of {n} solutions: the {how} of their predictions.

Every member is members/NAME/solution.py and runs in that folder, with the same input/. Its files
stay there; oof.csv and submission.csv of the ensemble are written here.
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
VARIANTS = {variants!r}  # member -> the variant of its script that is blended
SEEDS = {seeds!r}  # member -> the seed under which its script runs
METHOD = {method!r}
CLASSES = np.array({classes!r})
SCALED = {scaled!r}  # whether the probabilities of a row are scaled to sum to one
LOW, HIGH = {bounds!r}
COLUMNS = {columns!r}  # of the predictions, where members may spell a class as 1 or 1.0


{member_part}

{finish_predictions}

def run_member(name):
    """Run one member in its folder."""
    folder = Path("members") / name
    if not os.path.lexists(folder / "input"):
        os.symlink(Path("input").resolve(), folder / "input")
    variant = VARIANTS.get(name, "")
    environment = {{**os.environ, "GOME_VARIANT": variant}} if variant else dict(os.environ)
    if name in SEEDS:
        environment["GOME_SEED"] = str(SEEDS[name])
    subprocess.run([sys.executable, "solution.py"], cwd=folder, check=True, env=environment)


def read_predictions(name, file):
    """Read a member's predictions as a table by id."""
    variant = VARIANTS.get(name, "plain")
    if variant != "plain":
        file = file.replace(".csv", f"-{{variant}}.csv")
    path = Path("members") / name / file
    if METHOD == "vote":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    else:
        first = pd.read_csv(path, nrows=0).columns[0]
        frame = pd.read_csv(path, dtype={{first: str}})
    frame = frame.set_index(frame.columns[0])
    known = {{plain(name): name for name in COLUMNS}} | {{name: name for name in COLUMNS}}
    frame = frame.rename(columns=lambda name: known.get(name, known.get(plain(name), name)))
    return frame.reindex(columns=COLUMNS, fill_value=0.0) if COLUMNS else frame


def plain(text):
    """Return a label as pandas may write it again: 1.0 is 1."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def to_values(frame):
    """Return labels as they are named in CLASSES, or numbers."""
    if METHOD == "vote":
        known = {{plain(label): label for label in CLASSES}} | {{label: label for label in CLASSES}}
        return frame.iloc[:, 0].map(lambda text: known.get(text, known.get(plain(text)))).to_numpy()
    numbers = frame.to_numpy(dtype=float)
    if SCALED:
        numbers = numbers / numbers.sum(axis=1, keepdims=True)
    if LOW is not None or HIGH is not None:
        numbers = np.clip(numbers, LOW, HIGH)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers


def blend_files(file):
    """Blend one of the members' files, in the order of the first."""
    tables = {{name: read_predictions(name, file) for name in MEMBERS}}
    first = next(iter(tables.values()))
    total = 0
    for name, weight in MEMBERS.items():
        values = to_values(tables[name].loc[first.index, first.columns])
        total = total + weight * member_part(values, CLASSES, METHOD)
    result = pd.DataFrame(index=first.index, columns=first.columns)
    result[:] = finish_predictions(total, CLASSES, METHOD).reshape(len(first), -1)
    return result.reset_index()


if __name__ == "__main__":
    for member in MEMBERS:
        run_member(member)
    for file in ("oof.csv", "submission.csv"):
        blend_files(file).to_csv(file, index=False)
'''


def mix_submissions(
    prepared: Prepared,
    submissions: dict[str, str],
    weights: dict[str, float],
    out: str,
    *,
    alike: bool = False,
) -> None:
    """Write the blend of members' submissions for the same test rows, by given weights.

    `alike`: they are of one script. Raises TaskError for a submission that is not valid.
    """
    owner = get_truth(prepared)
    try:
        said = {
            name: read_said(owner, submissions[name], "submission.csv", owner.test_ids)
            for name in weights
        }
    except PredictionsError as error:
        raise TaskError(f"a member's {error}") from error
    is_soft = all(each.soft is not None for each in said.values())
    truth = owner.soft_truth if is_soft else owner
    method = average_method(truth, alike=alike)
    classes = class_codes(truth, method)
    parts = {
        name: member_part(each.flatten(owner) if is_soft else each.decode(owner), classes, method)
        for name, each in said.items()
    }
    total = finish_predictions(weighted_sum(parts, weights), classes, method)
    write_predictions(truth, out, truth.test_ids, total, method)
