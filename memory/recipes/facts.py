"""The facts of a task that the conditions of recipes ask for, read from a brief."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from memory.recipes.spec import Conditions
from reasoner.protocol import Resources, TaskBrief

Json = Mapping[str, Any]
ROWS_SMALL, ROWS_LARGE = 2_000, 50_000
MANY_LEVELS = 15
SKEWED_COLUMN, SKEWED_TARGET = 2.0, 1.2
SHORT_WORDS, LONG_WORDS = 12, 100
DRIFT = 0.9
OVERFIT, UNDERFIT = 0.35, 0.05
ATOM_ENDINGS = (".xyz", ".mol", ".mol2", ".sdf", ".pdb", ".cif")
STRUCTURE_NAMES = re.compile(r"smiles|inchi|selfies", re.I)
COORDINATES = (("lat", "lon"), ("latitude", "longitude"), ("x", "y"))
PIXEL_PLACE = re.compile(r"_?\d{1,6}_\d{1,6}$")  # row and column behind a name
MIN_SIDE = 4


@dataclass(frozen=True)
class ConditionFacts:
    """What is asked of a task; `traits` holds words of memory/recipes/traits.py."""

    kind: str
    metric: str
    rows: int
    columns: int
    classes: int
    modalities: frozenset[str]
    traits: frozenset[str]
    packages: frozenset[str]
    gpu: bool


def unmet_condition(when: Conditions, facts: ConditionFacts) -> str:
    """Return the first condition that does not hold, in words; empty if all hold."""
    if when.modality and not facts.modalities & set(when.modality):
        found = ", ".join(sorted(facts.modalities)) or "unknown"
        return f"modality is {found}, not {' or '.join(when.modality)}"
    if when.task and facts.kind not in when.task:
        return f"task is {facts.kind}, not {' or '.join(when.task)}"
    if when.metric and facts.metric not in when.metric:
        return f"metric is {facts.metric}, not {' or '.join(when.metric)}"
    for name in ("rows", "columns", "classes"):
        value = getattr(facts, name)
        if not getattr(when, name).holds(value):
            return f"{name} are {value:,}, not {getattr(when, name)}"
    if lacking := [word for word in when.data if word not in facts.traits]:
        return f"data lack {lacking[0]}"
    if present := [word for word in when.without if word in facts.traits]:
        return f"data have {present[0]}"
    if when.gpu and not facts.gpu:
        return "there is no GPU"
    if missing := [name for name in when.packages if name not in facts.packages]:
        return f"package {missing[0]} is missing"
    return ""


def read_condition_facts(
    task: TaskBrief, profile: Json, resources: Resources, evidence: Json | None = None
) -> ConditionFacts:
    """Return the facts; with the signs that a script's evidence shows, where there is one."""
    columns = [column for column in profile.get("columns", []) if isinstance(column, dict)]
    target = dict(profile.get("target", {}))
    metric = re.split("_where_|_per_", PurePosixPath(task.metric).name, maxsplit=1)[0]
    metric = metric.partition("@")[0]
    rows = int(profile.get("rows", {}).get("train", task.n_train))
    n_columns = int(profile.get("n_columns", len(columns)))
    found = {
        *_column_traits(columns, profile, rows, n_columns),
        *_target_traits(target, task, metric),
        *_row_traits(profile, task, target),
        *_signs(evidence or {}, task),
    }
    return ConditionFacts(
        kind=task.kind,
        metric=metric,
        rows=rows,
        columns=n_columns,
        classes=int(target.get("n_classes") or 0),
        modalities=frozenset(_modalities(profile, columns)),
        traits=frozenset(found),
        packages=frozenset(resources.packages),
        gpu=bool(resources.gpus),
    )


def _modalities(profile: Json, columns: Sequence[Json]) -> Iterable[str]:
    kinds = {str(column.get("kind")) for column in columns}
    if kinds & {"numeric", "categorical", "date"}:
        yield "table"
    names = [str(column.get("name")) for column in columns]
    if any(STRUCTURE_NAMES.search(name) for name in names):
        yield "molecule"
    if profile.get("text"):
        yield "text"
    for item in profile.get("media", []):
        kind, ending = str(item.get("kind")), str(item.get("ending"))
        if ending in ATOM_ENDINGS:
            yield "molecule"
        else:
            yield {"table": "series"}.get(kind, kind)


def _column_traits(
    columns: Sequence[Json], profile: Json, rows: int, n_columns: int
) -> Iterable[str]:
    by_kind: dict[str, list[Json]] = {}
    for column in columns:
        by_kind.setdefault(str(column.get("kind")), []).append(column)
    numeric, categorical = by_kind.get("numeric", []), by_kind.get("categorical", [])
    words = [float(text.get("mean_words") or 0) for text in profile.get("text", [])]
    names = [str(column.get("name")).lower() for column in columns]
    is_dated = bool(by_kind.get("date")) or bool(profile.get("id_is_date"))
    checks = {
        "numeric": bool(numeric),
        "several_numeric": len(numeric) >= 2,
        "categorical": bool(categorical),
        "many_levels": any(_number(each, "n_unique") > MANY_LEVELS for each in categorical),
        "dates": is_dated,
        "missing": any(_number(each, "missing") > 0.01 for each in columns),
        "informative_missing": any(_number(each, "missing_strength") > 0.1 for each in columns),
        "skewed_columns": any(abs(_number(each, "skew")) > SKEWED_COLUMN for each in numeric),
        "pixels": _are_pixels([str(column.get("name")) for column in columns]),
        "wide": n_columns > rows / 10,
        "small": rows < ROWS_SMALL,
        "large": rows > ROWS_LARGE,
        "drift": any(_number(each, "drift") > DRIFT for each in (*numeric, *categorical)),
        "unseen_levels": any(_number(each, "unseen") > 0.05 for each in categorical),
        "coordinates": any(all(name in names for name in pair) for pair in COORDINATES),
        "short_texts": any(0 < count <= SHORT_WORDS for count in words),
        "long_texts": any(count > LONG_WORDS for count in words),
        "two_texts": len(words) >= 2,
        "duplicates": float(profile.get("duplicates", {}).get("rows") or 0) > 0.01,
    }
    return [name for name, holds in checks.items() if holds]


def _target_traits(target: Json, task: TaskBrief, metric: str) -> Iterable[str]:
    is_number = task.kind == "regression"
    rates = [float(rate) for rate in dict(target.get("rates", {})).values()]
    is_rare = bool(rates) and task.kind != "text" and min(rates) < 0.5 / len(rates)
    nonnegative = is_number and bool(target.get("nonnegative"))
    checks = {
        "skewed_target": is_number and _number(target, "skew") > SKEWED_TARGET,
        "nonnegative_target": nonnegative,
        "count_target": nonnegative and bool(target.get("integer")),
        "zeros": nonnegative and _number(target, "zero_share") >= 0.1,
        "imbalanced": is_rare,
        "ordered_classes": metric == "qwk",
        "several_targets": len(task.target) > 1,
        "probabilities": task.prediction == "probability",
        "labels": task.prediction == "label",
    }
    return [name for name, holds in checks.items() if holds]


def _row_traits(profile: Json, task: TaskBrief, target: Json) -> Iterable[str]:
    split = str(task.split.get("kind"))
    groups = profile.get("groups") or [{}]
    first: Json = groups[0]
    is_grouped = split == "group"
    is_equal = is_grouped and bool(first.get("constant_size"))
    rates = [float(rate) for rate in dict(target.get("rates", {})).values()]
    per_group = min(rates, default=0.0) * _number(first, "mean_size")
    is_one = is_equal and task.kind == "binary" and abs(per_group - 1) < 0.03
    checks = {
        "groups": is_grouped,
        "equal_groups": is_equal,
        "one_of_group": is_one,
        "time": split == "time",
    }
    return [name for name, holds in checks.items() if holds]


def _signs(evidence: Json, task: TaskBrief) -> Iterable[str]:
    """What the evidence of a script shows."""
    gap = _training_gap(evidence, task)
    calibration = dict(evidence.get("calibration") or {})
    over = _number(calibration, "confidence") - _number(calibration, "accuracy")
    residuals = dict(evidence.get("residuals") or {})
    resources = dict(evidence.get("resources") or {})
    limit_s = _number(resources, "limit_s")
    classes = list(dict(evidence.get("classes") or {}).values())
    neglected = [
        each
        for each in classes
        if isinstance(each, dict) and _number(each, "n") > 0 and "predicted" in each
        if _number(each, "predicted") < 0.8 * _number(each, "n")
    ]
    checks = {
        "overfit": gap is not None and gap > OVERFIT,
        "underfit": gap is not None and gap < UNDERFIT,
        "overconfident": bool(calibration) and over > 0.02,
        "neglected_class": bool(neglected),
        "late_bias": abs(_number(residuals, "last_fold_bias")) > 0.1,
        "growing_errors": _number(residuals, "hetero") > 0.35,
        "slow_script": limit_s > 0 and _number(resources, "seconds") > limit_s / 2,
    }
    return [name for name, holds in checks.items() if holds]


def _training_gap(evidence: Json, task: TaskBrief) -> float | None:
    """Share of the loss that is absent on the training part; None where it is unknown."""
    training = dict(evidence.get("train") or {})
    folds = training.get("folds")
    cv = dict(evidence.get("cv") or {})
    if not isinstance(folds, list) or not folds or not isinstance(cv.get("mean"), (int, float)):
        return None
    values = [float(value) for value in folds if isinstance(value, (int, float))]
    if not values:
        return None
    train, valid = sum(values) / len(values), float(cv["mean"])
    if task.direction == "max":
        return (train - valid) / max(1 - valid, 1e-6) if valid <= 1 and train <= 1 else None
    return (valid - train) / max(abs(valid), 1e-6)


def _are_pixels(names: list[str]) -> bool:
    cells: dict[str, int] = {}
    for name in names:
        if match := PIXEL_PLACE.search(name, 1):
            image = name[: match.start()]
            cells[image] = cells.get(image, 0) + 1
    return any(n >= MIN_SIDE**2 and round(n**0.5) ** 2 == n for n in cells.values())


def _number(values: Json, key: str) -> float:
    value = values.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0
