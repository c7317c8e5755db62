"""Facts that the renderer needs, read from a brief."""

from __future__ import annotations

import re
from typing import Any

from reasoner.expert.spec import Facts
from reasoner.protocol import Brief


def facts_of(brief: Brief) -> Facts:
    task, profile = brief.task, brief.profile
    described = {column["name"]: column for column in profile.get("columns", [])}
    split = task.split
    group = split.get("column") if split["kind"] == "group" else None
    time = split.get("column") if split["kind"] == "time" else None
    names = [
        name for name, column in described.items() if column["kind"] == "numeric" and name != group
    ]
    strong = sorted(names, key=lambda name: -(described[name].get("strength") or 0.0))
    return Facts(
        id=task.id,
        target=tuple(task.target),
        kind=task.kind,
        metric=task.metric,
        columns=tuple(task.columns),
        labels=labels(profile, task.kind),
        parquet="train.parquet" in task.inputs,
        split=split["kind"],
        group=group,
        time=time,
        categorical=of_kind(described, "categorical", group),
        dates=of_kind(described, "date", None),
        text=of_kind(described, "text", None),
        ignored=tuple(name for name, column in described.items() if ignored(name, column, group)),
        grid=grid(list(described)),
        top_numeric=tuple(strong[:4]),
    )


def ignored(name: str, column: dict[str, Any], group: str | None) -> bool:
    """Constants, row ids, what test lacks altogether, and the group itself (its test values are new)."""
    return column["kind"] in ("constant", "id") or name == group or bool(column.get("absent_test"))


def of_kind(described: dict[str, Any], kind: str, group: str | None) -> tuple[str, ...]:
    return tuple(
        name for name, column in described.items() if column["kind"] == kind and name != group
    )


def labels(profile: dict[str, Any], kind: str) -> tuple[str, ...]:
    if kind == "regression":
        return ()
    names = list(profile.get("target", {}).get("rates", {}))
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(sorted(names))


def grid(names: list[str]) -> str | None:
    """Prefix of columns PREFIX_ROW_COLUMN that fill a square: an image."""
    cells: dict[str, set[tuple[int, int]]] = {}
    for name in names:
        if match := re.fullmatch(r"(.+?)_?(\d+)_(\d+)", name):
            cells.setdefault(match.group(1), set()).add((int(match.group(2)), int(match.group(3))))
    for prefix, found in cells.items():
        side = round(len(found) ** 0.5)
        if side >= 4 and side * side == len(found):
            return prefix
    return None
