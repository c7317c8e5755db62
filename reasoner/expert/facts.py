"""Read the facts that the renderer needs from a brief."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from reasoner.expert.media import MIN_SHARE
from reasoner.expert.names import plain_names
from reasoner.expert.packages import list_missing_families
from reasoner.expert.spec import TaskFacts
from reasoner.protocol import Brief, TaskBrief

ColumnProfiles = dict[str, dict[str, Any]]
"""Column name -> its entry of the profile (task.types.PROFILE)."""
SCARCE_ROWS = 5
"""A class with fewer rows in some fit is scarce: the next table, or half a fit, may lack it."""
MANY_COUNTS = 50
MIN_SIDE = 4
"""Pixels along the side of the smallest image that is recognised."""


def read_task_facts(brief: Brief) -> TaskFacts:
    """Collect the facts from the brief's task and the profile of its data."""
    task, profile, split = brief.task, brief.profile, brief.task.split
    columns = {column["name"]: column for column in profile.get("columns", [])}
    group = split.get("column") if split["kind"] == "group" else None
    time = split.get("column") if split["kind"] == "time" else None
    strongest = sorted(
        _columns_of_kind(columns, "numeric", group),
        key=lambda name: -(columns[name].get("strength") or 0.0),
    )
    more = profile.get("more", {})
    facts = TaskFacts(
        id=task.id,
        target=tuple(task.target),
        kind=task.kind,
        metric=task.metric,
        columns=tuple(task.columns),
        labels=_target_labels(profile, task.kind),
        parquet="train.parquet" in task.inputs,
        split=split["kind"],
        group=group,
        time=time,
        ignored=tuple(n for n, column in columns.items() if _is_ignored(n, column, group)),
        grid=_pixel_prefix(list(columns)),
        top_numeric=tuple(strongest[:4]),
        prediction=task.prediction,
        class_of_column=_class_of_column(task),
        plain_names=plain_names([*columns, *(name for names in more.values() for name in names)]),
        n_rows=int(profile.get("rows", {}).get("train", 0)),
        counts=_holds_counts(profile.get("target", {})),
        missing_families=list_missing_families(brief.resources.packages),
        media=_media_kinds(profile),
        limit_s=brief.resources.wall_s,
        target_of_column=tuple((name, form["target"]) for name, form in task.form.items()),
        soft=str(task.soft.get("layout", "")),
        second=str(task.soft.get("second", "")),
    )
    return replace(facts, **_column_kinds(brief, columns, group), **_hazards(profile))


def _column_kinds(brief: Brief, columns: ColumnProfiles, group: str | None) -> dict[str, Any]:
    """Fields of the facts that list the columns of a kind, with those beyond the described ones."""
    more = brief.profile.get("more", {})
    dates = (brief.task.id,) if brief.profile.get("id_is_date") else ()
    others = {kind: tuple(n for n in names if n != group) for kind, names in more.items()}

    def names(kind: str, group: str | None = None) -> tuple[str, ...]:
        return _columns_of_kind(columns, kind, group) + others.get(kind, ())

    return {
        "categorical": names("categorical", group),
        "numeric": names("numeric", group),
        "dates": (*dates, *names("date")),
        "text": names("text"),
    }


def _hazards(profile: dict[str, Any]) -> dict[str, Any]:
    """Fields of the facts on what some fit lacks."""
    hazards = profile.get("hazards", {})
    return {
        "smallest_fit": hazards.get("smallest_fit"),
        "scarce": hazards.get("fewest_of_class", SCARCE_ROWS) < SCARCE_ROWS,
        "empty": tuple(hazards.get("empty", [])),
        "huge": bool(hazards.get("huge")),
        "offsets": tuple(hazards.get("offsets", [])),
        "few_words": tuple(hazards.get("few_words", [])),
    }


def _media_kinds(profile: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Kind and ending of the side files that enough rows have, in train and in test."""
    return tuple(
        (kind["kind"], kind["ending"])
        for kind in profile.get("media", [])
        if min(kind["train_share"], kind["test_share"]) >= MIN_SHARE and kind["ending"]
    )


def _holds_counts(target: dict[str, Any]) -> bool:
    """Whether a regression's target consists of many different whole numbers."""
    return bool(target.get("integer")) and (target.get("n_unique") or 0) > MANY_COUNTS


def _class_of_column(task: TaskBrief) -> tuple[tuple[str, str], ...]:
    """The class whose probability each column of the files holds, as the brief says it."""
    labels = [(name, task.form.get(name, {}).get("label", "")) for name in task.columns[1:]]
    if len(labels) == 1 and task.positive:
        labels = [(labels[0][0], task.positive)]
    return tuple(labels) if all(label for _, label in labels) else ()


def _is_ignored(name: str, column: dict[str, Any], group: str | None) -> bool:
    """Whether no script uses the column.

    That holds for constants, row ids, columns absent from the test table, and the group (its
    values in the test table are new).
    """
    return column["kind"] in ("constant", "id") or name == group or bool(column.get("absent_test"))


def _columns_of_kind(columns: ColumnProfiles, kind: str, group: str | None) -> tuple[str, ...]:
    names = (name for name, column in columns.items() if column["kind"] == kind)
    return tuple(name for name in names if name != group)


def _target_labels(profile: dict[str, Any], kind: str) -> tuple[str, ...]:
    """Class labels, in numeric order if all are numbers; empty for a regression."""
    if kind in ("regression", "text"):
        return ()
    target = profile.get("target", {})
    names = list(target.get("labels") or target.get("rates", {}))
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(sorted(names))


def _pixel_prefix(names: list[str]) -> str | None:
    """Prefix of columns named PREFIX_ROW_COLUMN that fill a square, i.e. pixels of an image."""
    cells: dict[str, set[tuple[int, int]]] = {}
    for name in names:
        if match := re.fullmatch(r"(.+?)_?(\d+)_(\d+)", name):
            cells.setdefault(match.group(1), set()).add((int(match.group(2)), int(match.group(3))))
    for prefix, places in cells.items():
        side = round(len(places) ** 0.5)
        if side >= MIN_SIDE and side * side == len(places):
            return prefix
    return None
