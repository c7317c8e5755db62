"""`make bench`: the framework's own cost per step and the memory of the main process.

    python -m evals.bench.overhead [--steps 300] [--example modechoice]

The cost is wall time less reasoner and script. A trivial reasoner and a trivial script leave
nothing but the framework; one run on a small real task gives every figure.
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

from evals.harness.common import write_example_task
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

RANDOM_SCRIPT = '''"""Random but reproducible predictions."""
import csv, random

random.seed({seed})
with open("input/sample_submission.csv") as sample:
    columns = next(csv.reader(sample))


def predict(source, target):
    with open("input/" + source) as file, open(target, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for row in csv.DictReader(file):
            if row.get("fold") != "-1":
                values = (round(random.random(), 6) for _ in columns[1:])
                writer.writerow([row[columns[0]], *values])


predict("folds.csv", "oof.csv")
predict("sample_submission.csv", "submission.csv")
'''


class TrivialReasoner:
    """Reasoner that does not think: every step is a new seed."""

    name = "trivial"

    async def draft(self, brief: DraftBrief) -> Solution:
        """Return the script with seed 0."""
        return Solution(script=RANDOM_SCRIPT.format(seed=0), summary="random predictions")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Return one hypothesis."""
        statement = f"seed {brief.stage.step}"
        hypothesis = Hypothesis(
            id="h0", challenge="random", statement=statement, component="workflow"
        )
        return Diagnosis(hypotheses=[hypothesis])

    async def update(self, brief: UpdateBrief) -> Solution:
        """Return the script with the step's number as its seed."""
        return Solution(
            script=RANDOM_SCRIPT.format(seed=brief.stage.step),
            summary="another seed",
            hypothesis=brief.diagnosis.hypotheses[0],
        )

    async def repair(self, brief: RepairBrief) -> Solution:
        """Return the script unchanged."""
        return Solution(script=brief.script, summary="unchanged")

    async def review(self, brief: ReviewBrief) -> Review:
        """Find nothing."""
        return Review()

    async def close(self) -> None:
        """Do nothing."""


class OverheadClock:
    """Listener that measures per step what the framework itself takes: wall less script.

    Events count writing briefs and recalling from memory as the reasoner's time, so `asking_s` is
    kept too and the overhead can be given with and without it.
    """

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.script_s = self.asking_s = 0.0
        self.overhead_s: list[float] = []
        self.asking_of_step_s: list[float] = []
        self.peak_bytes = 0

    def on_event(self, event: dict[str, Any]) -> None:
        """Add up an event's seconds; an attempt ends the step."""
        if event["ev"] == "execution_finished":
            self.script_s += event["seconds"]
        if event["ev"] in ("drafted", "diagnosed", "updated", "repaired"):
            self.asking_s += event["seconds"]
        if event["ev"] == "attempt":
            now = time.perf_counter()
            self.overhead_s.append(now - self.last - self.script_s)
            self.asking_of_step_s.append(self.asking_s)
            self.last, self.script_s, self.asking_s = now, 0.0, 0.0
            self.peak_bytes = max(self.peak_bytes, psutil.Process().memory_info().rss)


def machine_speed_ms() -> float:
    """Time a fixed piece of plain Python, median of 30.

    Shared hosts change their speed by half within minutes.
    """
    seconds = []
    for _ in range(30):
        began, total = time.perf_counter(), 0
        for number in range(200_000):
            total += number * number
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e3


def format_spread(seconds: list[float]) -> str:
    """Return median and 90th percentile in milliseconds."""
    ordered = sorted(seconds)
    p90 = ordered[int(len(ordered) * 0.9)]
    return f"median {statistics.median(ordered) * 1e3:.1f} ms, 90th percentile {p90 * 1e3:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--example", default="modechoice")
    options = parser.parse_args()
    before_ms = machine_speed_ms()
    clock, wall_s, checkpoint_bytes = run_trivially(options.example, options.steps)
    n = len(clock.overhead_s) - 1
    print(
        f"steps {n}, wall {wall_s:.1f} s; machine: 200,000 multiplications in "
        f"{before_ms:.1f} ms before, {machine_speed_ms():.1f} ms after"
    )
    print_overhead(clock)
    print(
        f"main process: peak {clock.peak_bytes / 1e6:.0f} MB resident; "
        f"checkpoints {checkpoint_bytes / n / 1024:.0f} KB per step"
    )


def run_trivially(example: str, steps: int) -> tuple[OverheadClock, float, int]:
    """Run the trivial reasoner; return its clock, wall seconds and the bytes of checkpoints."""
    clock = OverheadClock()
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        task = Path(temporary) / "task"
        asyncio.run(write_example_task(example, task))
        settings = Settings(
            traces=1,
            steps=steps,
            patience=steps,
            memory=f"{temporary}/memory",
            embedding="lexical",
            runs_dir=f"{temporary}/runs",
        )
        clock.last = began = time.perf_counter()
        outcome = asyncio.run(
            start_run(str(task), settings, listeners=[clock.on_event], reasoner=TrivialReasoner())
        )
        wall_s = time.perf_counter() - began
        return clock, wall_s, (outcome.folder / "checkpoints.sqlite").stat().st_size


def print_overhead(clock: OverheadClock) -> None:
    """Print the overhead per step, without the first step, which includes the start-up."""
    steps, asking = clock.overhead_s[1:], clock.asking_of_step_s[1:]
    own = [step_s - asking_s for step_s, asking_s in zip(steps, asking, strict=True)]
    tenth = max(1, len(steps) // 10)
    early, late = statistics.median(steps[:tenth]), statistics.median(steps[-tenth:])
    print(
        "overhead per step (wall less reasoner and script, as the events count): "
        + format_spread(own)
    )
    print(
        f"with briefs and recall, which the events count as the reasoner's: {format_spread(steps)}"
    )
    print(
        f"flat: first tenth {early * 1e3:.1f} ms, last tenth {late * 1e3:.1f} ms, "
        f"ratio {late / early:.2f}"
    )


if __name__ == "__main__":
    main()
