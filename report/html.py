"""report.html: one self-contained page of a run, made from its events and artifacts at any moment of its life.

    write_report(Path("runs/20261124-…"))

Nothing in it asks for anything outside: style, script and data stand in the file, and its content policy forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from report.detail import Details
from report.events import load, state
from report.model import RunView
from report.page import facts
from report.payload import chunks, index

WEB = Path(__file__).parent / "web"
STYLES = ("base.css", "parts.css")
SCRIPTS = (
    "vendor/d3.js",
    "vendor/prism.js",
    "dom.js",
    "plot.js",
    "curve.js",
    "forest.js",
    "table.js",
    "diff.js",
    "attempt.js",
    "app.js",
)


def write_report(
    run_dir: Path,
    *,
    alive: bool | None = None,
    refresh_s: float = 0,
    details: Details | None = None,
) -> Path:
    """Writes RUN/report.html in one stroke and gives its path. Raises OSError where the folder cannot be written."""
    page = render(load(run_dir), run_dir, alive=alive, refresh_s=refresh_s, details=details)
    path = run_dir / "report.html"
    temporary = path.with_name(f".report.{os.getpid()}-{threading.get_ident()}.tmp")
    temporary.write_text(page, encoding="utf-8", errors="replace")
    temporary.replace(path)
    return path


def render(
    view: RunView,
    run_dir: Path,
    *,
    now: float | None = None,
    alive: bool | None = None,
    refresh_s: float = 0,
    details: Details | None = None,
) -> str:
    """The page as text. `alive`: whether the run's process is known to live; `refresh_s`: the page reloads itself while the run goes on."""
    now = time.time() if now is None else now
    where = state(view, now, alive)
    style, script = part(STYLES), part(SCRIPTS)
    page: str = template().render(
        facts=facts(view, run_dir, where, now),
        style=style,
        script=script,
        style_hash=digest(style),
        script_hash=digest(script),
        index=index(view) | {"refresh": refresh_s if where == "running" else 0},
        chunks=chunks(view, details or Details(run_dir)),
    )
    return page


@cache
def template() -> Any:
    """Jinja2's page: every value is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(WEB)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template("page.html.j2")


@cache
def part(names: tuple[str, ...]) -> str:
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def digest(text: str) -> str:
    """The source expression by which the content policy lets exactly this text through."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
