"""What a notebook shows of a run: its score, the curve of its attempts, and the attempts as a table. No script, no style sheet."""

from __future__ import annotations

from pathlib import Path

from report.events import load
from report.summary import first_to_best, helped_most
from report.view import Attempt, RunView
from report.words import gain, score

COLOURS = {"accepted": "#0b7350", "tie": "#b07a00", "rejected": "#7b818b", "failed": "#b1342a"}
WIDTH, HEIGHT, EDGE = 640, 150, 12
ROWS = 12
PAGE = """<div><p><b>{{ view.task }}</b>, {{ view.metric }}: <b>{{ best }}</b> ({{ reason }})<br>{{ helped }}<br>submission: <code>{{ submission }}</code></p>
<svg viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" role="img" aria-label="scores of {{ points | length }} attempts">
{% for x, y, colour, title in points %}<circle cx="{{ x }}" cy="{{ y }}" r="4" fill="{{ colour }}"><title>{{ title }}</title></circle>{% endfor %}</svg>
<table><thead><tr><th>attempt</th><th>verdict</th><th>score</th><th>gain</th><th>hypothesis</th></tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td style="text-align:left">{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody></table></div>"""


def outcome_html(run_dir: Path, submission: str, reason: str) -> str:
    """An HTML fragment; every value is escaped."""
    from jinja2 import Environment, StrictUndefined

    view = load(run_dir)
    rows = [cells(attempt) for attempt in list(view.attempts.values())[-ROWS:]]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    text: str = page.render(
        view=view, best=first_to_best(view), helped=helped_most(view), submission=submission, reason=reason, rows=rows,
        points=points(view), width=WIDTH, height=HEIGHT,
    )  # fmt: skip
    return text


def cells(attempt: Attempt) -> tuple[str, ...]:
    return (
        attempt.id,
        attempt.verdict,
        score(attempt.score, attempt.score_se),
        gain(attempt.gain, attempt.gain_se),
        attempt.hypothesis[:160],
    )


def points(view: RunView) -> list[tuple[float, float, str, str]]:
    """(x, y, colour, words) of every scored attempt, better always higher."""
    found = [attempt for attempt in view.attempts.values() if attempt.score is not None]
    values = [(attempt.score or 0.0) * (1 if view.rising else -1) for attempt in found]
    low, span = min(values, default=0.0), (max(values, default=0.0) - min(values, default=0.0)) or 1.0
    step = (WIDTH - 2 * EDGE) / max(len(found) - 1, 1)
    return [
        (
            round(EDGE + n * step, 1),
            round(HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE), 1),
            COLOURS[a.verdict],
            f"{a.id}: {score(a.score)}",
        )
        for n, (a, value) in enumerate(zip(found, values, strict=True))
    ]
