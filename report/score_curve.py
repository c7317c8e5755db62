"""The curve that counts: how good the best solution was, at every execution and script second.

    gain(x)  = the best's score after x executions (or script seconds) less the zero, better is +
    area     = the mean of gain(x) over the search: (1/n) sum of gain(1) … gain(n), or
               (1/S) integral of gain(s) ds from 0 to S
    share    = area / the gain at the end; 1: it was reached at once, 0: not before the last script

The zero is the score of the harness's baseline, which is handed over as long as no attempt is
valid; without one, the score of the first valid attempt. The gain is 0 before that. The search ends
where the finale begins; what parallel traces have executed is counted in the order of the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from report.event_log import load_view
from report.formatting import finite_number, format_duration, format_improvement, format_plural
from report.model import Lead, RunView


class CurveArea(NamedTuple):
    """Area under best-so-far in the metric's unit, and its share of the last gain."""

    area: float
    share: float | None


class SearchCurve(NamedTuple):
    """A run's search as a step function of gains over its zero."""

    zero: float
    from_baseline: bool
    rising: bool
    leads: tuple[Lead, ...]
    executions: int
    seconds: float

    def gain(self, score: float) -> float:
        """Return a score as a gain over the zero; positive is better."""
        return (score - self.zero) * (1 if self.rising else -1)

    @property
    def last_gain(self) -> float:
        """The gain at the end of the search."""
        return self.gain(self.leads[-1].score)

    def by_executions(self, extent: int | None = None) -> CurveArea:
        """Return the area over executions; up to `extent` the last best stays."""
        end = max(extent or 0, self.executions, 1)
        # a best that the k-th execution brought counts from that execution on
        starts = [max(lead.executions - 1, 0) for lead in self.leads]
        return self._measure(starts, end)

    def by_seconds(self, extent: float | None = None) -> CurveArea:
        """Return the area over the seconds of scripts; up to `extent` the last best stays."""
        end = max(extent or 0.0, self.seconds)
        if end <= 0:
            return self._measure([0.0] * len(self.leads), 1.0)
        return self._measure([lead.seconds for lead in self.leads], end)

    def _measure(self, starts: Sequence[float], end: float) -> CurveArea:
        stops = [*starts[1:], end]
        gains = [self.gain(lead.score) for lead in self.leads]
        steps = zip(gains, starts, stops, strict=True)
        area = sum(gain * max(0.0, stop - start) for gain, start, stop in steps) / end
        return CurveArea(area, area / gains[-1] if gains[-1] > 0 else None)


def search_curve(view: RunView) -> SearchCurve | None:
    """Return the run's curve; None before its first valid attempt."""
    if not view.leads:
        return None
    baseline = finite_number(view.baseline.get("score")) if view.baseline else None
    zero = view.leads[0].score if baseline is None else baseline
    known = baseline is not None
    n_executions, seconds = view.searched or (view.n_executions, view.script_s)
    return SearchCurve(zero, known, view.rising, view.leads, n_executions, seconds)


def describe_curve(view: RunView) -> str:
    """Say both areas in a line; empty before the first valid attempt.

    `+0.0312 over the baseline, averaged over 12 executions (74% of the last gain); +0.029 over
    3:41 of scripts (69% of it)`
    """
    curve = search_curve(view)
    if curve is None:
        return ""
    zero = "the baseline" if curve.from_baseline else "the first valid attempt"
    by_count, by_time = curve.by_executions(), curve.by_seconds()
    link = "over" if view.rising else "than"
    first, second = (
        format_improvement(found.area, rising=view.rising) for found in (by_count, by_time)
    )
    shares = [
        "" if found.share is None else f" ({found.share:.0%} of {last})"
        for found, last in ((by_count, "the last gain"), (by_time, "it"))
    ]
    return (
        f"{first} {link} {zero}, averaged over {format_plural(curve.executions, 'execution')}"
        f"{shares[0]}; {second} over {format_duration(curve.seconds)} of scripts{shares[1]}"
    )


def curve_json(view: RunView) -> dict[str, Any] | None:
    """Return the curve with its areas as JSON; None before the first valid attempt."""
    curve = search_curve(view)
    if curve is None:
        return None
    return {
        "zero": curve.zero,
        "zero_is": "baseline" if curve.from_baseline else "first valid attempt",
        "last_gain": curve.last_gain,
        "executions": curve.executions,
        "seconds": round(curve.seconds, 3),
        "by_executions": curve.by_executions()._asdict(),
        "by_seconds": curve.by_seconds()._asdict(),
    }


def read_curve(folder: Path) -> dict[str, Any] | None:
    """Return `curve_json` of a run folder as its events stand."""
    return curve_json(load_view(folder))


def compare_areas(views: Sequence[RunView]) -> list[tuple[float, float] | None]:
    """Return each run's areas over executions and seconds on one scale; None: no valid attempt.

    The zero is the lowest zero, 1 the best gain of all, and every curve reaches as far as the
    longest, so that a run which ended early keeps its last best.
    """
    curves = [search_curve(view) for view in views]
    known = [curve for curve in curves if curve is not None]
    if not known:
        return [None] * len(curves)
    sign = 1 if known[0].rising else -1
    zero = sign * min(sign * curve.zero for curve in known)
    top = max(curve._replace(zero=zero).last_gain for curve in known)
    n, seconds = max(curve.executions for curve in known), max(curve.seconds for curve in known)
    areas: list[tuple[float, float] | None] = []
    for curve in curves:
        if curve is None or top <= 0:
            areas.append(None)
            continue
        lift = (curve.zero - zero) * sign  # what its own zero is worth before its first lead
        found = (curve.by_executions(n).area + lift, curve.by_seconds(seconds).area + lift)
        areas.append((found[0] / top, found[1] / top))
    return areas
