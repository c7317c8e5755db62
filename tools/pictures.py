"""`make pictures`: docs/pictures from real runs: console, reports, an attempt, `gome ui`.

    python -m tools.pictures [--run RUN_FOLDER]

Without --run the example is solved first, in /tmp/gome, so that no path of yours is in a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from markdown_it import MarkdownIt
from rich.console import Console

from evals.harness.browser import missing_browser, open_browser
from evals.harness.common import write_example_task
from graph.settings import Settings
from report.event_log import load_view, read_events
from report.html import write_report
from report.live import render_screen
from report.overview.server import open_server
from report.projection import apply_events
from run.lock import is_driven
from session.session import start_run
from tools.media_docs import MEDIA_TEXT

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PLACE = Path("/tmp/gome")
WIDTH = 116
README_STYLE = """
body { margin: 24px auto; max-width: 920px; font: 16px/1.5 -apple-system, "Noto Sans", sans-serif }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em } img { max-width: 100% }
code { background: #818b981f; padding: .2em .4em; border-radius: 6px; font-size: 85% }
pre { background: #f6f8fa; padding: 16px; border-radius: 6px; overflow: auto }
pre code { background: none; padding: 0 } table { border-collapse: collapse }
td, th { border: 1px solid #d1d9e0; padding: 6px 13px } a { color: #0969da }
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a finished run; by default solve the example")
    options = parser.parse_args()
    if reason := missing_browser():
        print(reason)
        return 1
    run = options.run or asyncio.run(solve_examples())
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "console.svg").write_text(draw_console(run))
    take_screenshots(write_report(run), load_view(run).best or "")
    take_screenshot(write_report(solve_documented_example()), "report-sky", height=1010)
    photograph_overview(run.parent)
    photograph_readme()
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(PICTURES.parent.parent)}  {path.stat().st_size / 1024:.0f} KB")
    return 0


async def solve_examples() -> Path:
    """Solve two more examples for the list of runs, then the one whose run is returned."""
    for name, steps in (("breast_cancer", 3), ("diabetes", 3), ("modechoice", 7)):
        await write_example_task(name, PLACE / name)
        settings = Settings(
            traces=2,
            steps=steps,
            time_s=900,
            memory=str(PLACE / "memory"),
            runs_dir=str(PLACE / "runs"),
        )
        folder = (await start_run(str(PLACE / name), settings)).folder
    return folder


def solve_documented_example() -> Path:
    """Run the blocks of the example of docs/task.md in order; return its run folder."""
    place = PLACE / "media"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for language, text in re.findall(r"```(python|bash)\n(.*?)```", MEDIA_TEXT, re.DOTALL):
        program = [sys.executable, "-c"] if language == "python" else ["bash", "-ec"]
        subprocess.run([*program, text], cwd=place, check=True)
    return max((place / "runs").iterdir())


def draw_console(run: Path) -> str:
    """Return the live view after two thirds of the attempts, as SVG without fonts from outside."""
    events = list(read_events(run / "events.jsonl"))
    starts = [n for n, event in enumerate(events) if event["ev"] == "execution_started"]
    cut = starts[len(starts) * 2 // 3]
    view = apply_events(events[: cut + 1])
    console = Console(
        width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(render_screen(view, (view.last or 0) + 3, WIDTH, 30))
    svg = console.export_svg(title="gome run modechoice")
    return re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)


def take_screenshot(
    page: Path, name: str, *, height: int, width: int = 1180, dark: bool = False, hash: str = ""
) -> None:
    """Photograph a page in the headless browser."""
    with open_browser(PLACE / "profile", width=width, height=height, dark=dark) as driver:
        driver.get(page.as_uri() + hash)
        time.sleep(2)
        driver.save_screenshot(str(PICTURES / f"{name}.png"))


def take_screenshots(page: Path, best: str) -> None:
    """Photograph the report: light, dark, on a phone, its plots, and the best attempt."""
    take_screenshot(page, "report-light", height=1010)
    take_screenshot(page, "report-dark", height=1010, dark=True)
    take_screenshot(page, "report-phone", height=860, width=400)
    take_screenshot(page, "report-attempt", height=1240, hash=f"#/attempt/{best}")
    with open_browser(PLACE / "profile", width=1180, height=1010) as driver:
        driver.get(page.as_uri())
        time.sleep(2)
        plots = driver.find_element("css selector", "#plots")
        plots.screenshot(str(PICTURES / "report-plots.png"))


def photograph_readme() -> None:
    """Photograph the first screen of README.md, rendered much as a forge renders it.

    It is to be looked at and shown nowhere, so it goes to PLACE/readme.png.
    """
    text = (ROOT / "README.md").read_text()
    body = MarkdownIt("commonmark").enable("table").render(text)
    page = PLACE / "readme.html"
    base = f'<meta charset="utf-8"><base href="{ROOT.as_uri()}/">'
    page.write_text(f"<!doctype html>{base}<style>{README_STYLE}</style><article>{body}</article>")
    with open_browser(PLACE / "profile", width=1012, height=1400) as driver:
        driver.get(page.as_uri())
        time.sleep(2)
        driver.save_screenshot(str(PLACE / "readme.png"))
    print(PLACE / "readme.png")


def photograph_overview(runs_dir: Path) -> None:
    """Photograph the page of `gome ui`."""
    server = open_server(runs_dir, is_driven, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_browser(PLACE / "profile", width=1180, height=560) as driver:
            driver.get(server.address)
            time.sleep(3)
            driver.save_screenshot(str(PICTURES / "ui.png"))
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(main())
