"""The page of the contest: a block of docs/results/suite.md for each half, from its results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evals.harness.pages import table_head, table_row
from evals.suite.ranks import Contest, Rows
from task.grade.metrics import get_metric

TITLES = {
    "gome": "Gome with its rule-based expert",
    "linear": "a linear model",
    "boosting": "LightGBM as it comes",
    "tuned": "LightGBM tuned by Optuna",
    "autogluon": "AutoGluon",
}
HALF_TITLES = {"tuning": "tuning half", "final": "final half"}


def render_contest(rows: Rows, names: Sequence[str]) -> str:
    """Return the answer in a sentence, then mean ranks with costs, pairs, and all scores."""
    contest = Contest(rows, names)
    parts = [describe_places(contest), "", *summary_lines(contest)]
    if "gome" in names:
        parts += ["", *pair_lines(contest)]
    return "\n".join([*parts, "", *score_lines(contest)]) + "\n"


def describe_places(contest: Contest) -> str:
    """Return the sentence that answers: who is where by mean rank."""
    order = sorted(contest.names, key=lambda name: contest.mean_rank(name).mean)
    places = ", ".join(f"{TITLES[name]} {contest.mean_rank(name).mean:.2f}" for name in order)
    rows = list(contest.rows.values())
    seconds = " and ".join(f"{value:g}" for value in sorted({row["budget_s"] for row in rows}))
    cores = " and ".join(str(value) for value in sorted({row["cores"] for row in rows}))
    return (
        f"**Mean rank on {len(contest.ranks)} tasks, {seconds} CPU seconds on {cores} core "
        f"each (1 is the best of {len(order)}): {places}.**"
    )


def summary_lines(contest: Contest) -> list[str]:
    """Return the table of means and costs."""
    head = ["contestant", "mean rank", "normalised", "first on", "no result"]
    lines = table_head([*head, "seconds", "CPU seconds", "peak MB"])
    for name in contest.names:
        rows = contest.of(name)
        first = sum(by[name] == min(by.values()) for by in contest.ranks.values())
        none = sum(row["private"] is None for row in rows)
        cells = [name, contest.mean_rank(name).unsigned, contest.mean_normalised(name).unsigned]
        cells += [str(first), str(none)]
        for key in ("seconds", "cpu_s", "peak_mb"):
            cells.append(f"{np.median([row[key] for row in rows]):.0f}" if rows else "")
        lines.append(table_row(cells))
    return [
        *lines,
        "",
        "Brackets are 95 % intervals by bootstrap over tasks. Normalised: 0 is the sample "
        "submission, which knows the rates of the labels alone, 1 the best contestant of the "
        "task. Costs are medians; memory is that of all processes at one time.",
    ]


def pair_lines(contest: Contest) -> list[str]:
    """Return the table of Gome against each of the others."""
    head = ["Gome against", "better on", "equal on", "worse on", "normalised difference"]
    lines = table_head(head)
    for name in contest.names:
        if name != "gome":
            counts = [str(n) for n in contest.count_better("gome", name)]
            difference = str(contest.mean_normalised("gome", name))
            lines.append(table_row([name, *counts, difference]))
    return lines


def score_lines(contest: Contest) -> list[str]:
    """Return the table of private scores, with normalised ones in brackets."""
    lines = table_head(["task", "metric", *contest.names])
    for task, ranks in contest.ranks.items():
        metric = contest.rows[task, contest.names[0]]["metric"]
        direction = "↑" if get_metric(metric).direction == "max" else "↓"
        cells = [task, f"{metric} {direction}"]
        for name in contest.names:
            private = contest.rows[task, name]["private"]
            text = "none" if private is None else f"{private:.4g}"
            text = f"**{text}**" if ranks[name] == min(ranks.values()) else text
            cells.append(f"{text} ({contest.normalised[task, name]:.2f})")
        lines.append(table_row(cells))
    return lines


def replace_block(page: Path, half: str, text: str) -> None:
    """Replace the block of a half between its markers. Raises ValueError where there are none."""
    begin, end = f"<!-- {half}: python -m evals.suite page -->", f"<!-- {half} ends -->"
    old = page.read_text()
    if not re.search(f"{re.escape(begin)}.*{re.escape(end)}", old, re.DOTALL):
        raise ValueError(f"{page} lacks the markers {begin} and {end}")
    before, _, rest = old.partition(begin)
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{rest.partition(end)[2]}")
