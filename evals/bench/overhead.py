"""`make bench`: the framework's own cost per step (wall minus reasoner minus script) and the main process's memory.

    python -m evals.bench.overhead [--steps 300] [--traces 1]

A trivial reasoner and a trivial script leave nothing but the framework; one run on a small real task gives every figure.
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

from evals.harness.common import write
from graph.settings import Settings
from reasoner.protocol import (
    DiagnoseBrief,
    Diagnosis,
    DraftBrief,
    Hypothesis,
    RepairBrief,
    Review,
    ReviewBrief,
    Solution,
    UpdateBrief,
)
from session.session import start_run

SCRIPT = '''"""Random but reproducible predictions."""
import csv, random

random.seed({seed})
for source, target in (("folds.csv", "oof.csv"), ("sample_submission.csv", "submission.csv")):
    with open("input/" + source) as file, open("input/sample_submission.csv") as sample, open(target, "w", newline="") as out:
        rows, columns = list(csv.DictReader(file)), next(csv.reader(sample))
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows([row[columns[0]], *(round(random.random(), 6) for _ in columns[1:])] for row in rows if row.get("fold") != "-1")
'''


class Trivial:
    """A reasoner that thinks nothing: every step is a new seed."""

    name = "trivial"

    async def draft(self, brief: DraftBrief) -> Solution:
        return Solution(script=SCRIPT.format(seed=0), summary="random predictions")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        hypothesis = Hypothesis(
            id="h0", challenge="random", statement=f"seed {brief.stage.step}", component="workflow"
        )
        return Diagnosis(hypotheses=[hypothesis])

    async def update(self, brief: UpdateBrief) -> Solution:
        return Solution(
            script=SCRIPT.format(seed=brief.stage.step),
            summary="another seed",
            hypothesis=brief.diagnosis.hypotheses[0],
        )

    async def repair(self, brief: RepairBrief) -> Solution:
        return Solution(script=brief.script, summary="unchanged")

    async def review(self, brief: ReviewBrief) -> Review:
        return Review()

    async def close(self) -> None:
        return None


class Clock:
    """Listens to the events and adds up, per step, what the framework itself took: wall minus reasoner minus script.

    Events count the writing of briefs and the recall from memory as the reasoner's, so both are told: without them and with them.
    """

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.script_s = self.asking_s = 0.0
        self.overhead_s: list[float] = []
        self.of_asking_s: list[float] = []
        self.peak_bytes = 0

    def on_event(self, event: dict[str, Any]) -> None:
        if event["ev"] == "execution_finished":
            self.script_s += event["seconds"]
        if event["ev"] in ("drafted", "diagnosed", "updated", "repaired"):
            self.asking_s += event["seconds"]
        if event["ev"] == "attempt":
            now = time.perf_counter()
            self.overhead_s.append(now - self.last - self.script_s)
            self.of_asking_s.append(self.asking_s)
            self.last, self.script_s, self.asking_s = now, 0.0, 0.0
            self.peak_bytes = max(self.peak_bytes, psutil.Process().memory_info().rss)


def speed_ms() -> float:
    """A fixed piece of plain Python, median of 30: shared hosts change their speed by half within minutes."""
    taken = []
    for _ in range(30):
        began, total = time.perf_counter(), 0
        for number in range(200_000):
            total += number * number
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"median {statistics.median(ordered) * 1e3:.1f} ms, 90th percentile {ordered[int(len(ordered) * 0.9)] * 1e3:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--example", default="modechoice")
    options = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        asyncio.run(write(options.example, Path(temporary) / "task"))
        settings = Settings(
            traces=1,
            steps=options.steps,
            patience=options.steps,
            memory=f"{temporary}/memory",
            runs_dir=f"{temporary}/runs",
        )
        before = speed_ms()
        began = time.perf_counter()
        clock.last = began
        outcome = asyncio.run(
            start_run(f"{temporary}/task", settings, listeners=[clock.on_event], reasoner=Trivial())
        )
        wall = time.perf_counter() - began
        checkpoint = (outcome.folder / "checkpoints.sqlite").stat().st_size
    steps = clock.overhead_s[1:]  # the first one holds the start-up
    tenth = max(1, len(steps) // 10)
    early, late = statistics.median(steps[:tenth]), statistics.median(steps[-tenth:])
    print(
        f"steps {len(steps)}, wall {wall:.1f} s; machine: 200,000 multiplications in {before:.1f} ms before, {speed_ms():.1f} ms after"
    )
    own = [whole - asking for whole, asking in zip(steps, clock.of_asking_s[1:], strict=True)]
    print(
        f"overhead per step (wall minus reasoner minus script, as the events count): {spread(own)}"
    )
    print(f"with briefs and recall, which the events count as the reasoner's: {spread(steps)}")
    print(
        f"flat: first tenth {early * 1e3:.1f} ms, last tenth {late * 1e3:.1f} ms, ratio {late / early:.2f}"
    )
    print(
        f"main process: peak {clock.peak_bytes / 1e6:.0f} MB resident; checkpoints {checkpoint / len(steps) / 1024:.0f} KB per step"
    )


if __name__ == "__main__":
    main()
