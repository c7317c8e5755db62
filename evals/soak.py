"""Does a long run stay flat?  `python -m evals.soak [--rounds 2000]`: memory, checkpoint file and time per round, first fifth against last.

A trivial reasoner and a trivial script: what is left is Gome. The script is executed for real, without a sandbox (--isolation none).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from evals.bench import Trivial
from evals.common import write
from graph.session import start
from graph.settings import Settings

MB = 2**20


class Meter:
    """Looks at every merge."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.last = folder, time.perf_counter()
        self.rows: list[tuple[float, float, float, float]] = []  # seconds of the round, resident, checkpoints, rounds.jsonl; MB

    def on_event(self, event: dict[str, Any]) -> None:
        if event["ev"] != "merged":
            return
        now = time.perf_counter()
        names = ("checkpoints.sqlite", "rounds.jsonl")
        sizes = [(self.folder / name).stat().st_size / MB if (self.folder / name).exists() else 0.0 for name in names]
        self.rows.append((now - self.last, psutil.Process().memory_info().rss / MB, *sizes))  # type: ignore[arg-type]
        self.last = now

    def told(self) -> str:
        fifth = max(1, len(self.rows) // 5)
        early, late = self.rows[fifth : 2 * fifth], self.rows[-fifth:]
        lines = [f"rounds {len(self.rows)}"]
        for index, name in enumerate(("seconds a round", "resident MB", "checkpoints MB", "rounds.jsonl MB")):
            one, two = (statistics.median(row[index] for row in part) for part in (early, late))
            lines.append(f"{name:16} second fifth {one:.3f}, last fifth {two:.3f}, ratio {two / one if one else 1:.2f}")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--example", default="modechoice")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gome-soak-") as temporary:
        asyncio.run(write(options.example, Path(temporary) / "task"))
        settings = Settings(
            traces=1, steps=options.rounds, patience=100_000, time_s=7 * 86_400, memory="off", isolation="none", audit=False,
            confirm=False, ensemble=False, top_k=1, final_seeds=1,
        )  # fmt: skip
        meter = Meter(Path(temporary) / "run")
        asyncio.run(start(f"{temporary}/task", settings, folder=Path(temporary) / "run", listeners=[meter.on_event], reasoner=Trivial()))
        print(meter.told())


if __name__ == "__main__":
    main()
