"""runs/index.html: all runs with links to their reports, as one self-contained file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from report.html import csp_hash, load_template, read_assets, write_report
from report.overview.feed import RunsFeed
from report.overview.rows import RunRow

STYLES = ("base.css", "parts.css", "overview.css")
SPARK_WIDTH, SPARK_HEIGHT = 96, 22


def write_all_reports(runs_dir: Path, is_alive: Callable[[Path], bool]) -> Path:
    """Write report.html of every run and index.html beside them; return the index.

    Raises OSError where a folder cannot be written.
    """
    feed = RunsFeed(runs_dir, is_alive)
    runs = feed.list_runs()
    for run in runs:
        write_report(run.folder, alive=is_alive(run.folder))
    path = runs_dir / "index.html"
    temporary = path.with_name(f".index.{os.getpid()}.tmp")
    temporary.write_text(render_index(runs_dir, feed.list_rows()), "utf-8", errors="replace")
    temporary.replace(path)
    return path


def render_index(runs_dir: Path, rows: list[RunRow]) -> str:
    """Return the index page as text."""
    style = read_assets(STYLES)
    return load_template("runs.html.j2").render(
        runs_dir=str(runs_dir),
        rows=rows,
        sparks=[draw_spark(row["curve"], rising=row["rising"]) for row in rows],
        days=[format_day(row["last"]) for row in rows],
        spark_width=SPARK_WIDTH,
        spark_height=SPARK_HEIGHT,
        style=style,
        style_hash=csp_hash(style),
    )


def draw_spark(curve: list[float], *, rising: bool) -> str:
    """Return the points of a small line; up is better. Empty for fewer than two scores."""
    if len(curve) < 2:
        return ""
    heights = [value if rising else -value for value in curve]
    low, span = min(heights), (max(heights) - min(heights)) or 1.0
    points = [
        (
            2 + index * (SPARK_WIDTH - 4) / (len(heights) - 1),
            SPARK_HEIGHT - 3 - (height - low) / span * (SPARK_HEIGHT - 6),
        )
        for index, height in enumerate(heights)
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def format_day(last: float | None) -> str:
    """Return local date and time of a run's last event."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(last)) if last else "–"
