"""report.html: one self-contained page, written from a run's events and artifacts at any time.

    write_report(Path("runs/20261124-…"))

The page loads nothing: it contains style, script and data, and its content policy forbids more.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from report.detail import AttemptDetails
from report.event_log import load_view, run_state
from report.model import RunView
from report.page import report_facts
from report.payload import build_index, pack_details

if TYPE_CHECKING:
    from jinja2 import Template

WEB = Path(__file__).parent / "web"
STYLES = ("base.css", "parts.css", "charts.css")
SCRIPTS = (
    "vendor/d3.js",
    "vendor/prism.js",
    "dom.js",
    "plot.js",
    "curve.js",
    "forest.js",
    "table.js",
    "diff.js",
    "calls.js",
    "attempt.js",
    "charts.js",
    "app.js",
)


def write_report(
    run_dir: Path,
    *,
    alive: bool | None = None,
    refresh_s: float = 0,
    details: AttemptDetails | None = None,
) -> Path:
    """Write RUN/report.html atomically and return its path.

    `alive` tells whether the run's process exists; `refresh_s` makes the page of a running run
    reload itself. Raises OSError where the folder cannot be written.
    """
    page = render_report(
        load_view(run_dir), run_dir, alive=alive, refresh_s=refresh_s, details=details
    )
    path = run_dir / "report.html"
    temporary = path.with_name(f".report.{os.getpid()}-{threading.get_ident()}.tmp")
    temporary.write_text(page, encoding="utf-8", errors="replace")
    temporary.replace(path)
    return path


def render_report(
    view: RunView,
    run_dir: Path,
    *,
    now: float | None = None,
    alive: bool | None = None,
    refresh_s: float = 0,
    details: AttemptDetails | None = None,
) -> str:
    """Return the page as text, as it looks at `now` (Unix seconds; default: the current time)."""
    now = time.time() if now is None else now
    state = run_state(view, now, alive)
    style, script = read_assets(STYLES), read_assets(SCRIPTS)
    return load_template("page.html.j2").render(
        facts=report_facts(view, run_dir, state, now),
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
        index=build_index(view, run_dir, refresh_s if state == "running" else 0),
        chunks=pack_details(view, details or AttemptDetails(run_dir)),
    )


@cache
def load_template(name: str) -> Template:
    """Load a Jinja2 template: every value is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template(name)


@cache
def read_assets(names: tuple[str, ...]) -> str:
    """Read files of the web folder, joined."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def csp_hash(text: str) -> str:
    """Return the source expression by which the content policy allows exactly this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
