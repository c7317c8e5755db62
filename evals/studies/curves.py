"""What the runs of the crossover study cost, how their scores rise with the steps, and how the reasoner's predictions fared."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from evals.harness.statistics import Scores, table

Rows = list[dict[str, Any]]
Cells = dict[tuple[str, float], Scores]
SHOWN = (0.2, 0.6, 1.0)  # skills of the figure
COLOURS = {
    "gome": "#2563eb",
    "adaptive": "#059669",
    "tree": "#d97706",
    "mcts": "#9333ea",
    "random": "#6b7280",
}


def scales(rows: Rows) -> dict[str, tuple[float, float]]:
    """Per task the mean first score of a run and the best that any run reached, cross-validated, with higher = better."""
    firsts: dict[str, list[float]] = defaultdict(list)
    best: dict[str, float] = {}
    for row in rows:
        known = [value for value in row["best_so_far"] if value is not None]
        if known:
            firsts[row["task"]].append(known[0])
            best[row["task"]] = max(best.get(row["task"], known[-1]), *known)
    return {task: (float(np.mean(found)), best[task]) for task, found in firsts.items()}


def curve(rows: Rows, scale: dict[str, tuple[float, float]], n_steps: int) -> list[float]:
    """Mean score of the best so far after every step: 0 the first draft, 1 the best that any run of the task reached."""
    found = np.full((len(rows), n_steps), np.nan)
    for place, row in enumerate(rows):
        low, high = scale[row["task"]]
        values = [
            np.nan if value is None else (value - low) / max(high - low, 1e-12)
            for value in row["best_so_far"]
        ]
        values += [values[-1]] * (n_steps - len(values)) if values else []
        found[place, : len(values)] = values[:n_steps]
    known = ~np.isnan(found)
    return [
        float(found[known[:, place], place].mean()) if known[:, place].any() else math.nan
        for place in range(n_steps)
    ]


def final(rows: Rows) -> Cells:
    """(strategy, q) -> task -> seed -> the run's last cross-validated score on the scale of the figure."""
    scale, grouped = scales(rows), defaultdict(list)
    for row in rows:
        grouped[row["strategy"], row["q"]].append(row)
    return {
        key: table(found, lambda row: curve([row], scale, len(row["best_so_far"]))[-1])
        for key, found in grouped.items()
    }


def figure(rows: Rows, strategies: tuple[str, ...], path: Path) -> None:
    """Score against steps, one panel per skill."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    scale, n_steps = scales(rows), max(len(row["best_so_far"]) for row in rows)
    plot, panels = plt.subplots(1, len(SHOWN), figsize=(10, 3.4), dpi=110, sharey=True)
    for q, axes in zip(SHOWN, panels, strict=True):
        for strategy in strategies:
            own = [
                row
                for row in rows
                if row["strategy"] == strategy and (row["q"] == q or strategy == "random")
            ]
            if own:
                axes.plot(
                    range(1, n_steps + 1),
                    curve(own, scale, n_steps),
                    label=strategy,
                    color=COLOURS[strategy],
                )
        axes.set_title(f"skill {q:g}", fontsize=10)
        axes.set_xlabel("executed scripts")
        axes.set_xticks(range(0, n_steps + 1, 2))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("best so far, cross-validated\n(0 first draft, 1 best of all runs)")
    panels[-1].legend(frameon=False)
    plot.tight_layout()
    plot.savefig(path)


def costs(rows: Rows, strategies: tuple[str, ...]) -> str:
    lines = [
        "\n## Cost\n",
        "Per run, over all skills: executed scripts, seconds that they took, and steps until the run's final score was reached.\n",
        "| strategy | scripts | seconds of scripts | failed scripts | steps to the final score |",
        "|---" * 5 + "|",
    ]
    for strategy in strategies:
        own = [row for row in rows if row["strategy"] == strategy]
        if own:
            means = [
                np.mean([row[name] for row in own]) for name in ("attempts", "seconds", "failed")
            ]
            reached = np.mean([steps_to_final(row["best_so_far"]) for row in own])
            lines.append(
                f"| {strategy} | {means[0]:.1f} | {means[1]:.1f} | {means[2]:.2f} | {reached:.1f} |"
            )
    return "\n".join(lines)


def steps_to_final(values: list[float | None]) -> int:
    return values.index(values[-1]) + 1 if values else 0


def calibrated(rows: Rows, skills: tuple[float, ...], strategies: tuple[str, ...]) -> str:
    """Stated confidence against the share of measured hypotheses that helped; the dial degrades what is claimed, not the claim."""
    known = [row for row in rows if row.get("calibration")]
    if not known:
        return ""
    lines = [
        "\n## Calibration\n",
        "Share of the measured hypotheses that helped beyond noise (mean confidence that the reasoner stated). A wrong idea keeps the claims of the one "
        "that it replaces, so below full skill the reasoner is too sure; the engine tells it so and trusts measurements alone.\n",
        "| strategy | " + " | ".join(f"q = {q:g}" for q in skills) + " |",
        "|---" * (len(skills) + 1) + "|",
    ]
    for strategy in strategies:
        cells = []
        for q in skills:
            own = [
                row["calibration"] for row in known if (row["strategy"], row["q"]) == (strategy, q)
            ]
            n = sum(each["n"] for each in own)
            stated = sum(each["confidence"] * each["n"] for each in own) / n if n else 0
            cells.append(
                f"{sum(each['helped'] for each in own) / n:.0%} ({stated:.0%})" if n else ""
            )
        if any(cells):
            lines.append(f"| {strategy} | {' | '.join(cells)} |")
    return "\n".join(lines)
