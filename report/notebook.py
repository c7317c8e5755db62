"""What a notebook shows of a run: its score, the curve of its attempts, and the attempts as a table. No script, no style sheet."""

from __future__ import annotations

from pathlib import Path

from report.events import load
from report.formatting import gain, score
from report.model import Attempt, RunView
from report.summary import first_to_best, helped_most

COLOURS = {"accepted": "#0b7350", "tie": "#b07a00", "rejected": "#7b818b", "failed": "#b1342a"}
WIDTH, HEIGHT, EDGE, AXIS = 720, 190, 14, 64
ROWS = 12
PAGE = """<div><p><b>{{ view.task }}</b>, {{ view.metric }}: <b>{{ best }}</b> ({{ reason }})<br>{{ helped }}<br>submission: <code>{{ submission }}</code></p>
<svg viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" style="max-width:100%" role="img" aria-label="scores of {{ points | length }} attempts">
{% for y, text in ticks %}<text x="{{ axis - 10 }}" y="{{ y + 4 }}" text-anchor="end" font-size="11" fill="currentColor" opacity="0.7">{{ text }}</text>
<line x1="{{ axis }}" x2="{{ width }}" y1="{{ y }}" y2="{{ y }}" stroke="currentColor" opacity="0.15"/>{% endfor %}
<polyline points="{{ line }}" fill="none" stroke="{{ colours.accepted }}" stroke-width="1.5" opacity="0.8"/>
{% for x, y, verdict, title in points %}{% if verdict == "accepted" %}<circle cx="{{ x }}" cy="{{ y }}" r="4.5" fill="{{ colours[verdict] }}">{% else -%}
<circle cx="{{ x }}" cy="{{ y }}" r="3.5" fill="none" stroke="{{ colours[verdict] }}" stroke-width="1.5">{% endif %}<title>{{ title }}</title></circle>{% endfor %}</svg>
<p style="font-size:85%">{% for verdict, colour in colours.items() %}{% if verdict in told and verdict != "failed" %}<span style="color:{{ colour }}">{{ "●" if verdict == "accepted" else "○" }}</span> {{ verdict }} &nbsp; {% endif %}{% endfor %}
the line is the best so far{% if "failed" in told %}; failed scripts have no point{% endif %}</p>
<table><thead><tr>{% for name in names %}<th style="text-align:left">{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td style="text-align:left{{ "" if loop.last else ";white-space:nowrap" }}">{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>{% if more %}
<p style="font-size:85%">and {{ more }} before these</p>{% endif %}</div>"""
NAMES = ("attempt", "verdict", "score", "gain", "hypothesis")


def outcome_html(run_dir: Path, submission: str, reason: str) -> str:
    """An HTML fragment; every value is escaped."""
    from jinja2 import Environment, StrictUndefined

    view = load(run_dir)
    rows = [cells(attempt) for attempt in list(view.attempts.values())[-ROWS:]]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    text: str = page.render(
        view=view, best=first_to_best(view), helped=helped_most(view), submission=submission, reason=reason, rows=rows,
        points=points(view), line=line(view), ticks=ticks(view), names=NAMES, more=len(view.attempts) - len(rows),
        told={attempt.verdict for attempt in view.attempts.values()}, colours=COLOURS, axis=AXIS, width=WIDTH, height=HEIGHT,
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


def scored(view: RunView) -> list[Attempt]:
    return [attempt for attempt in view.attempts.values() if attempt.score is not None]


def place(view: RunView, n: int, value: float) -> tuple[float, float]:
    """Where the n-th scored attempt lies; better is always higher."""
    values = [attempt.score or 0.0 for attempt in scored(view)]
    low, span = min(values), (max(values) - min(values)) or 1.0
    share = (value - low) / span if view.rising else 1 - (value - low) / span
    step = (WIDTH - AXIS - 2 * EDGE) / max(len(values) - 1, 1)
    return round(AXIS + EDGE + n * step, 1), round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE), 1)


def points(view: RunView) -> list[tuple[float, float, str, str]]:
    """(x, y, verdict, words) of every scored attempt."""
    return [
        (
            *place(view, n, a.score or 0.0),
            a.verdict,
            f"{a.id}: {score(a.score, a.score_se)}, {a.verdict}",
        )
        for n, a in enumerate(scored(view))
    ]


def line(view: RunView) -> str:
    """The best so far as the points of a stepped line."""
    found, best, height = list[str](), None, 0.0
    for n, attempt in enumerate(scored(view)):
        if leads(attempt) and (best is None or view.better(attempt.score or 0.0, best)):
            x, y = place(view, n, best := attempt.score or 0.0)
            found += [f"{x},{height}"] if found else []
            found, height = [*found, f"{x},{y}"], y
    return " ".join([*found, f"{WIDTH - EDGE},{height}"] if found else [])


def leads(attempt: Attempt) -> bool:
    """It became a best, of its trace or as an ensemble."""
    return attempt.replaces or (attempt.kind == "ensemble" and attempt.verdict == "accepted")


def ticks(view: RunView) -> list[tuple[float, str]]:
    """The best and the worst score beside their heights."""
    values = sorted({attempt.score or 0.0 for attempt in scored(view)})
    return [(place(view, 0, value)[1], score(value)) for value in values[:1] + values[1:][-1:]]
