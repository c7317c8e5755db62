"""`python -m evals.bench.report`: size of report.html, time to write it, and time to the browser's first paint.

    python -m evals.bench.report [--traces 4] [--steps 500]

The run is made up (2,000 attempts by default), the browser is real: Chromium opens the file from disk, three times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from evals.harness.browser import browser, missing
from evals.harness.made_up import made_up
from report.html import write_report

PAINT = "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"
DRAWN = "return [performance.now(), document.querySelectorAll('#curve .point').length]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        folder = Path(temporary) / "run"
        made_up(options.traces, options.steps, folder=folder)
        began = time.perf_counter()
        path = write_report(folder)
        print(
            f"{options.traces * options.steps} attempts: {path.stat().st_size / 1e6:.1f} MB, written in {time.perf_counter() - began:.1f} s"
        )
        if missing():
            print(missing())
            return
        for _ in range(3):
            paint, drawn = opened(path, Path(temporary) / "profile")
            print(f"first paint after {paint:.0f} ms, curve and forest drawn after {drawn:.0f} ms")


def opened(path: Path, profile: Path) -> tuple[float, float]:
    """(first contentful paint, all points drawn) in milliseconds since the page was asked for."""
    with browser(profile) as driver:
        driver.get(path.as_uri())
        for _ in range(600):
            now, n = driver.execute_script(DRAWN)
            paint = driver.execute_script(PAINT)
            if n and paint:
                return float(paint), float(now)
            time.sleep(0.05)
    raise SystemExit("the page was not drawn within 30 s")


if __name__ == "__main__":
    main()
