"""Parts of the crossover page: scores against steps, costs, and how predictions came true."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from evals.harness import suites
from evals.harness.pages import draw_figure, skill_head, table_head, table_row
from evals.harness.statistics import Scores, scores_by_task
from evals.studies.study import StudyRow

Unit = Literal["executions", "seconds"]
UNITS: dict[Unit, str] = {"executions": "executed scripts", "seconds": "script seconds"}
Cells = dict[tuple[str, float], Scores]
COLOURS = {
    "gome": "#2563eb",
    "adaptive": "#059669",
    "tree": "#d97706",
    "mcts": "#9333ea",
    "random": "#6b7280",
}


def skills_of(rows: list[StudyRow]) -> tuple[float, ...]:
    """Return the skills of the reasoner that runs had."""
    return tuple(sorted({row["q"] for row in rows}))


def score_curve(row: StudyRow) -> list[float | None]:
    """Return after every executed script the score of what led, with higher = better.

    Rows of earlier versions have no leads but what was accepted after every attempt.
    """
    leads = row["search"]["leads"] if row.get("search") else []
    if not leads:
        return row["best_so_far"]
    ends = suites.load_references()[row["task"]]
    sign = 1 if ends["reference"] > ends["default"] else -1
    n_scripts = max(row["search"]["executions"], leads[-1]["executions"])
    curve: list[float | None] = [None] * n_scripts
    for lead in leads:
        first = max(lead["executions"], 1) - 1
        curve[first:] = [sign * lead["score"]] * (n_scripts - first)
    return curve


def task_scales(rows: list[StudyRow]) -> dict[str, tuple[float, float]]:
    """Return per task the mean first score of a run and the best that any run reached.

    Scores are cross-validated, with higher = better.
    """
    firsts: dict[str, list[float]] = defaultdict(list)
    best: dict[str, float] = {}
    for row in rows:
        scores = [value for value in score_curve(row) if value is not None]
        if scores:
            firsts[row["task"]].append(scores[0])
            best[row["task"]] = max(best.get(row["task"], scores[-1]), *scores)
    return {task: (float(np.mean(values)), best[task]) for task, values in firsts.items()}


def mean_curve(
    rows: list[StudyRow], scale: dict[str, tuple[float, float]], n_steps: int
) -> list[float]:
    """Return the mean best score so far after every step; NaN before any run has one.

    0 is the first draft, 1 the best that any run of the task reached. A run that ended early keeps
    its last score.
    """
    curves = np.full((len(rows), n_steps), np.nan)
    for place, row in enumerate(rows):
        low, high = scale[row["task"]]
        values = [
            np.nan if value is None else (value - low) / max(high - low, 1e-12)
            for value in score_curve(row)
        ]
        values += [values[-1]] * (n_steps - len(values)) if values else []
        curves[place, : len(values)] = values[:n_steps]
    columns = [column[~np.isnan(column)] for column in curves.T]
    return [float(column.mean()) if len(column) else math.nan for column in columns]


def final_scores(rows: list[StudyRow]) -> Cells:
    """Return (strategy, q) -> task -> seed -> last cross-validated score, scaled as the curves."""
    scale = task_scales(rows)

    def last_score(row: StudyRow) -> float:
        return mean_curve([row], scale, len(score_curve(row)))[-1]

    groups: dict[tuple[str, float], list[StudyRow]] = defaultdict(list)
    for row in rows:
        groups[row["strategy"], row["q"]].append(row)
    return {key: scores_by_task(group, last_score) for key, group in groups.items()}


def measure_areas(rows: list[StudyRow], unit: Unit) -> Callable[[StudyRow], float]:
    """Return the function from a row to its area under the private score of what led.

    On the scale of the private scores (0 default script, 1 reference); 0 before the first valid
    attempt. On one task every curve reaches as far as the longest of `rows`.
    """
    extents: dict[str, float] = {}
    for row in rows:
        extents[row["task"]] = max(extents.get(row["task"], 0.0), float(row["search"][unit]))
    return lambda row: area_under_leads(row, unit, extents[row["task"]])


def searched_rows(rows: list[StudyRow]) -> list[StudyRow]:
    """Return the rows that have a search; those of earlier versions have none."""
    return [row for row in rows if row.get("search")]


def area_cells(rows: list[StudyRow], unit: Unit) -> Cells:
    """Return (strategy, q) -> task -> seed -> area."""
    known = searched_rows(rows)
    measure = measure_areas(known, unit)
    groups: dict[tuple[str, float], list[StudyRow]] = defaultdict(list)
    for row in known:
        groups[row["strategy"], row["q"]].append(row)
    return {key: scores_by_task(group, measure) for key, group in groups.items()}


def area_under_leads(row: StudyRow, unit: Unit, extent: float) -> float:
    """Return the mean private score of what led from 0 to `extent`; see `report.score_curve`."""
    leads, ends = row["search"]["leads"], suites.load_references()[row["task"]]
    if not leads or extent <= 0:
        return 0.0
    first = 1 if unit == "executions" else 0  # the k-th execution's result counts from k on
    starts = [max(0.0, float(lead[unit]) - first) for lead in leads]
    stops = [*starts[1:], extent]
    scores = [suites.normalise_score(lead["private"], ends) for lead in leads]
    steps = zip(scores, starts, stops, strict=True)
    return sum(score * max(0.0, stop - start) for score, start, stop in steps) / extent


def draw_curves(rows: list[StudyRow], strategies: tuple[str, ...], path: Path) -> None:
    """Draw score against steps, one panel for every second skill."""
    scale, n_steps = task_scales(rows), max(len(score_curve(row)) for row in rows)
    skills = skills_of(rows)[1::2]
    with draw_figure(path, (10, 3.4), len(skills)) as panels:
        for q, axes in zip(skills, panels, strict=True):
            for strategy in strategies:
                runs = [row for row in rows if row["strategy"] == strategy]
                own = [row for row in runs if row["q"] == q or strategy == "random"]
                if own:
                    curve = mean_curve(own, scale, n_steps)
                    colour = COLOURS[strategy]
                    axes.plot(range(1, n_steps + 1), curve, label=strategy, color=colour)
            axes.set_title(f"skill {q:g}", fontsize=10)
            axes.set_xlabel("executed scripts")
            axes.set_xticks(range(0, n_steps + 1, 2))
        panels[0].set_ylabel("best so far, cross-validated\n(0 first draft, 1 best of all runs)")
        panels[-1].legend(frameon=False)


def cost_section(rows: list[StudyRow], strategies: tuple[str, ...]) -> str:
    """Return the table of scripts, seconds and steps per run."""
    head = [
        "strategy",
        "scripts",
        "seconds of scripts",
        "failed scripts",
        "steps to the final score",
    ]
    lines = [
        "\n## Cost\n",
        "Per run, over all skills: executed scripts, the seconds that they took, and steps until "
        "the run's final score was reached.\n",
        *table_head(head),
    ]
    for strategy in strategies:
        own = [row for row in rows if row["strategy"] == strategy]
        if own:
            cells = [
                strategy,
                f"{np.mean([row['attempts'] for row in own]):.1f}",
                f"{np.mean([row['seconds'] for row in own]):.1f}",
                f"{np.mean([row['failed'] for row in own]):.2f}",
                f"{np.mean([steps_to_final(score_curve(row)) for row in own]):.1f}",
            ]
            lines.append(table_row(cells))
    return "\n".join(lines)


def steps_to_final(values: list[float | None]) -> int:
    """Return the number of the step that reached the final score; 0 without steps."""
    return values.index(values[-1]) + 1 if values else 0


def calibration_section(
    rows: list[StudyRow], skills: tuple[float, ...], strategies: tuple[str, ...]
) -> str:
    """Return stated confidence against the share of measured hypotheses that helped.

    The dial replaces what is claimed, not the claim.
    """
    lines = [
        "\n## Calibration\n",
        "Share of the measured hypotheses that helped beyond noise (mean confidence that the "
        "reasoner stated). A wrong idea keeps the claims of the one that it replaces, so below "
        "full skill the reasoner is overconfident; the engine tells it so and trusts measurements "
        "alone.\n",
        *skill_head("strategy", skills),
    ]
    if not any(row.get("calibration") for row in rows):
        return ""
    for strategy in strategies:
        cells = []
        for q in skills:
            own = [row for row in rows if (row["strategy"], row["q"]) == (strategy, q)]
            cells.append(calibration_cell(own))
        if any(cells):
            lines.append(table_row([strategy, *cells]))
    return "\n".join(lines)


def calibration_cell(rows: list[StudyRow]) -> str:
    """Return the share that helped, with the mean confidence in brackets."""
    reports = [report for row in rows if (report := row.get("calibration"))]
    n = sum(report["n"] for report in reports)
    if not n:
        return ""
    helped = sum(report["helped"] for report in reports)
    stated = sum(report["confidence"] * report["n"] for report in reports)
    return f"{helped / n:.0%} ({stated / n:.0%})"
