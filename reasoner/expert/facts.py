"""Read the facts that the renderer needs from a brief."""

from __future__ import annotations

import re
from typing import Any

from reasoner.expert.spec import TaskFacts
from reasoner.protocol import Brief

ColumnProfiles = dict[str, dict[str, Any]]
"""Column name -> its entry of the profile (task.types.PROFILE)."""
MIN_SIDE = 4
"""Pixels along the side of the smallest image that is recognised."""


def read_task_facts(brief: Brief) -> TaskFacts:
    """Collect the facts from the brief's task and the profile of its data."""
    task, profile, split = brief.task, brief.profile, brief.task.split
    columns = {column["name"]: column for column in profile.get("columns", [])}
    group = split.get("column") if split["kind"] == "group" else None
    time = split.get("column") if split["kind"] == "time" else None
    numeric = _columns_of_kind(columns, "numeric", group)
    strongest = sorted(numeric, key=lambda name: -(columns[name].get("strength") or 0.0))
    ignored = [name for name, column in columns.items() if _is_ignored(name, column, group)]
    return TaskFacts(
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
        categorical=_columns_of_kind(columns, "categorical", group),
        dates=_columns_of_kind(columns, "date", None),
        text=_columns_of_kind(columns, "text", None),
        ignored=tuple(ignored),
        grid=_pixel_prefix(list(columns)),
        top_numeric=tuple(strongest[:4]),
    )


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
    if kind == "regression":
        return ()
    names = list(profile.get("target", {}).get("rates", {}))
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
