"""How early each contestant had what it handed over: private score against time and executions.

A score is put on the scale of its task: 0 the sample submission (or, without one, the worst score
of all curves), 1 the best that any contestant handed over. Before a valid submission it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from evals.harness.pages import draw_figure
from evals.models.study import CellResult, Point

GRID = 100
LOWEST = -0.5  # of a drawn value: a submission may be far worse than the sample
Scale = Callable[[float | None], float]


def make_scale(results: Sequence[CellResult]) -> Scale:
    """Return the scale of one task's results."""
    sign = 1 if results[0].direction == "max" else -1
    finals = [sign * one.private for one in results if one.private is not None]
    scores = [sign * p.private for one in results for p in one.curve if p.private is not None]
    sample = results[0].sample
    zero = sign * sample if sample is not None else min([*scores, *finals], default=0.0)
    top = max(finals, default=zero)

    def scale(score: float | None) -> float:
        if score is None:
            return 0.0
        if top <= zero:
            return 0.0
        return max(LOWEST, min(1.0, (sign * score - zero) / (top - zero)))

    return scale


def value_at(
    curve: Sequence[Point], scale: Scale, where: Callable[[Point], float], x: float
) -> float:
    """Return the scaled score of what stood at `x`."""
    before = [point for point in curve if where(point) <= x]
    return scale(before[-1].private) if before else 0.0


def mean_curves(
    results: Sequence[CellResult], where: Callable[[Point], float], ends: Mapping[str, float]
) -> dict[str, list[float]]:
    """Return contestant -> mean over tasks and seeds at each part of the way to the task's end."""
    by_task: dict[str, list[CellResult]] = {}
    for one in results:
        by_task.setdefault(one.task, []).append(one)
    scales = {task: make_scale(own) for task, own in by_task.items()}
    curves = {}
    for name in dict.fromkeys(one.contestant for one in results):
        own = [one for one in results if one.contestant == name]
        curves[name] = [
            mean(
                value_at(one.curve, scales[one.task], where, step / GRID * ends[one.task])
                for one in own
            )
            for step in range(GRID + 1)
        ]
    return curves


def curves_by_seconds(results: Sequence[CellResult], seconds: float) -> dict[str, list[float]]:
    """Return the mean curves over the budget's seconds."""
    ends = {one.task: seconds for one in results}
    return mean_curves(results, lambda point: point.seconds, ends)


def curves_by_executions(results: Sequence[CellResult]) -> dict[str, list[float]]:
    """Return the mean curves over executions, up to the most that a contestant made on the task."""
    ends: dict[str, float] = {}
    for one in results:
        ends[one.task] = max(ends.get(one.task, 1), one.executions)
    return mean_curves(results, lambda point: point.executions, ends)


def draw_curves(path: Path, results: Sequence[CellResult], seconds: float) -> None:
    """Draw both kinds of curves side by side. Raises ImportError without matplotlib.

    Curves of scripted answers say so in the picture.
    """
    is_trial = any(one.is_scripted for one in results)
    with draw_figure(path, (9, 3.4), 2) as panels:
        for axes, curves, label in zip(
            panels,
            (curves_by_seconds(results, seconds), curves_by_executions(results)),
            ("part of the seconds", "part of the executions"),
            strict=True,
        ):
            for name, values in curves.items():
                axes.plot([n / GRID for n in range(GRID + 1)], values, label=name)
            axes.set_xlabel(label)
            if is_trial:
                axes.set_title("scripted answers: no model's", fontsize=9)
        panels[0].set_ylabel("0 the sample, 1 the best")
        panels[1].legend(frameon=False)
