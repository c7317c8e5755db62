"""Show a run in a notebook: score, curve and table of attempts, without script or style sheet."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from report.event_log import load_view
from report.formatting import format_improvement, format_score
from report.html import load_template
from report.model import AttemptView, RunView
from report.summary import describe_best_change, format_score_change
from report.variants import describe_line

COLOURS = {
    "first": "#0b7350",
    "accepted": "#0b7350",
    "tie": "#b07a00",
    "rejected": "#7b818b",
    "failed": "#b1342a",
}
WIDTH, HEIGHT, EDGE, AXIS = 720, 190, 14, 64
ROWS = 12
COLUMNS = ("attempt", "verdict", "score", "gain", "hypothesis")


def outcome_html(run_dir: Path, submission: str, reason: str) -> str:
    """Return an HTML fragment; every value is escaped."""
    view = load_view(run_dir)
    attempts = list(view.attempts.values())
    curve = ScoreCurve(view)
    return load_template("notebook.html.j2").render(
        view=view,
        score=format_score_change(view),
        best_change=describe_best_change(view),
        submission=submission,
        reason=reason,
        points=curve.points(),
        line=curve.best_line(),
        ticks=curve.ticks(),
        columns=COLUMNS,
        rows=[attempt_cells(attempt, rising=view.rising) for attempt in attempts[-ROWS:]],
        n_more=max(0, len(attempts) - ROWS),
        verdicts={attempt.verdict for attempt in attempts},
        colours=COLOURS,
        axis=AXIS,
        width=WIDTH,
        height=HEIGHT,
    )


def attempt_cells(attempt: AttemptView, *, rising: bool) -> tuple[str, ...]:
    """Cells of an attempt's row in the table."""
    line = describe_line(attempt.variants)
    return (
        attempt.id,
        attempt.verdict,
        format_score(attempt.score, attempt.score_se),
        format_improvement(attempt.gain, attempt.gain_se, rising=rising),
        attempt.words[:160] + (f" [{line}]" if line else ""),
    )


class CurvePoint(NamedTuple):
    """A scored attempt in the curve, in pixels."""

    x: float
    y: float
    verdict: str
    title: str


class ScoreCurve:
    """Pixel geometry of the scored attempts in order; better is always higher."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        self.scored = [
            (attempt, attempt.score)
            for attempt in view.attempts.values()
            if attempt.score is not None
        ]
        self.scores = sorted({score for _, score in self.scored})

    def position(self, n: int, score: float) -> tuple[float, float]:
        """Return x of the n-th scored attempt and y of a score."""
        low = self.scores[0]
        share = (score - low) / ((self.scores[-1] - low) or 1.0)
        if not self.view.rising:
            share = 1 - share
        step = (WIDTH - AXIS - 2 * EDGE) / max(len(self.scored) - 1, 1)
        x, y = AXIS + EDGE + n * step, HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)
        return round(x, 1), round(y, 1)

    def points(self) -> list[CurvePoint]:
        """Return a point for every scored attempt."""
        points = []
        for n, (attempt, score) in enumerate(self.scored):
            title = f"{attempt.id}: {format_score(score, attempt.score_se)}, {attempt.verdict}"
            points.append(CurvePoint(*self.position(n, score), attempt.verdict, title))
        return points

    def best_line(self) -> str:
        """Return the best score so far as the points of a stepped SVG line."""
        corners: list[str] = []
        best, height = None, 0.0
        for n, (attempt, score) in enumerate(self.scored):
            is_ahead = best is None or self.view.is_better(score, best)
            if not (attempt.can_lead and is_ahead):
                continue
            x, y = self.position(n, score)
            if corners:
                corners.append(f"{x},{height}")
            corners.append(f"{x},{y}")
            best, height = score, y
        return " ".join([*corners, f"{WIDTH - EDGE},{height}"] if corners else [])

    def ticks(self) -> list[tuple[float, str]]:
        """Return (y, text) of the lowest and the highest score."""
        ends = self.scores if len(self.scores) < 2 else [self.scores[0], self.scores[-1]]
        return [(self.position(0, score)[1], format_score(score)) for score in ends]
