"""`make bench-report`: size of report.html, time to write it, time to the browser's first paint.

    python -m evals.bench.report [--traces 4] [--steps 500]

The run is synthetic (2,000 attempts by default), the browser is real: Chromium opens the file from
disk three times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from evals.harness.browser import missing_browser, open_browser
from evals.harness.made_up import synthetic_events
from report.html import write_report

PAINT_SCRIPT = (
    "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"
)
DRAWN_SCRIPT = "return [performance.now(), document.querySelectorAll('#curve .point').length]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        folder = Path(temporary) / "run"
        synthetic_events(options.traces, options.steps, folder=folder)
        began = time.perf_counter()
        path = write_report(folder)
        wall_s = time.perf_counter() - began
        n, size = options.traces * options.steps, path.stat().st_size / 1e6
        print(f"{n} attempts: {size:.1f} MB, written in {wall_s:.1f} s")
        if reason := missing_browser():
            print(reason)
            return
        for _ in range(3):
            paint, drawn = time_first_paint(path, Path(temporary) / "profile")
            print(f"first paint after {paint:.0f} ms, curve and forest drawn after {drawn:.0f} ms")


def time_first_paint(path: Path, profile: Path) -> tuple[float, float]:
    """Return (first contentful paint, all points drawn) in milliseconds since navigation began."""
    with open_browser(profile) as driver:
        driver.get(path.as_uri())
        for _ in range(600):
            now, n = driver.execute_script(DRAWN_SCRIPT)
            paint = driver.execute_script(PAINT_SCRIPT)
            if n and paint:
                return float(paint), float(now)
            time.sleep(0.05)
    raise SystemExit(f"{path} was not drawn within 30 s")


if __name__ == "__main__":
    main()
