"""`make pictures`: docs/pictures from a real run: the console, the report in light and dark, the page of an attempt.

    python -m tools.pictures [--run RUN_FOLDER]

Without --run the example is solved first, in /tmp/gome, so that no path of yours stands in a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import sys
import time
from pathlib import Path

from rich.console import Console

from evals.harness.browser import browser, missing
from evals.harness.common import write
from graph.settings import Settings
from report.events import load, read_events
from report.html import write_report
from report.live import screen
from report.projection import fold_all
from session.session import start_run

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
PLACE = Path("/tmp/gome")
WIDTH = 116


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="an ended run; else the example is solved first")
    options = parser.parse_args()
    if missing():
        print(missing())
        return 1
    run = options.run or asyncio.run(solved())
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "console.svg").write_text(console(run))
    shots(write_report(run), load(run).best or "")
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(PICTURES.parent.parent)}  {path.stat().st_size / 1024:.0f} KB")
    return 0


async def solved() -> Path:
    await write("modechoice", PLACE / "modechoice")
    settings = Settings(
        traces=2, steps=7, time_s=900, memory=str(PLACE / "memory"), runs_dir=str(PLACE / "runs")
    )
    return (await start_run(str(PLACE / "modechoice"), settings)).folder


def console(run: Path) -> str:
    """The live view as it stood when two thirds of the attempts were made, as SVG that asks for no outside font."""
    events = list(read_events(run / "events.jsonl"))
    starts = [n for n, event in enumerate(events) if event["ev"] == "execution_started"]
    cut = starts[len(starts) * 2 // 3]
    view = fold_all(events[: cut + 1])
    out = Console(
        width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    out.print(screen(view, (view.last or 0) + 3, WIDTH, 30))
    svg = out.export_svg(title="gome run modechoice")
    return re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)


def shots(page: Path, best: str) -> None:
    for name, dark, hash, height in (
        ("report-light", False, "", 1010),
        ("report-dark", True, "", 1010),
        ("report-attempt", False, f"#/attempt/{best}", 1240),
    ):
        with browser(PLACE / "profile", width=1180, height=height, dark=dark) as driver:
            driver.get(page.as_uri() + hash)
            time.sleep(2)
            driver.save_screenshot(str(PICTURES / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())
