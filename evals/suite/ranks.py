"""Ranks of contestants over tasks, with bootstrap intervals over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evals.harness.pages import table_head, table_row
from evals.harness.statistics import bootstrap_interval
from task.grade.metrics import get_metric

Rows = Sequence[Mapping[str, Any]]


def ranks_by_task(rows: Rows, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return task -> contestant -> rank, 1 the best; equal scores share the mean of their ranks.

    Without a valid submission a contestant is last. Only tasks that all contestants have count.
    """
    wanted, ranks = list(names), {}
    for task in dict.fromkeys(row["task"] for row in rows):
        scores = {row["contestant"]: row for row in rows if row["task"] == task}
        if set(wanted) <= set(scores):
            values = [comparable_score(scores[name]) for name in wanted]
            ranks[task] = dict(zip(wanted, rank_values(values), strict=True))
    return ranks


def comparable_score(row: Mapping[str, Any]) -> float:
    """Return a row's private score with higher as better; minus infinity without one."""
    if row["private"] is None:
        return -np.inf
    sign = 1 if get_metric(row["metric"]).direction == "max" else -1
    return float(sign * row["private"])


def rank_values(values: Sequence[float]) -> list[float]:
    """Return ranks, 1 for the highest; ties share their mean."""
    return [
        1 + sum(other > value for other in values) + (sum(o == value for o in values) - 1) / 2
        for value in values
    ]


def render_contest(rows: Rows, names: Sequence[str]) -> str:
    """Return the tables of a page: mean ranks with costs, then the private score of every task."""
    ranks = ranks_by_task(rows, names)
    lines = [
        f"{len(ranks)} tasks; rank 1 is the best, 95 % intervals are bootstrap over tasks.",
        "",
        *table_head(["contestant", "mean rank", "first on", "no result", "seconds", "peak MB"]),
    ]
    for name in names:
        own = [row for row in rows if row["contestant"] == name and row["task"] in ranks]
        mean = bootstrap_interval({t: np.array([by[name]]) for t, by in ranks.items()})
        first = sum(by[name] == min(by.values()) for by in ranks.values())
        cells = [name, mean.unsigned, str(first), str(sum(row["private"] is None for row in own))]
        for key in ("seconds", "peak_mb"):
            cells.append(f"{np.median([row[key] for row in own]):.0f}" if own else "")
        lines.append(table_row(cells))
    lines += ["", *table_head(["task", "metric", *names])]
    for task in ranks:
        by = {row["contestant"]: row for row in rows if row["task"] == task}
        direction = "↑" if get_metric(by[names[0]]["metric"]).direction == "max" else "↓"
        cells = [task, f"{by[names[0]]['metric']} {direction}"]
        for name in names:
            private, is_first = by[name]["private"], ranks[task][name] == min(ranks[task].values())
            text = "none" if private is None else f"{private:.4g}"
            cells.append(f"**{text}**" if is_first else text)
        lines.append(table_row(cells))
    return "\n".join(lines) + "\n"
