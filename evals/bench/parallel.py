"""`make bench`: do traces run side by side? Steps per minute of several traces against one.

    python -m evals.bench.parallel [--traces 1,2,4] [--steps 6]

Reasoner and scripts only sleep, 2 and 4 seconds a step, so neither needs a core: what is lost is
Gome's own work, the wait for the slowest trace at every merge included. Efficiency: speed-up over
one trace, divided by the number of traces.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from evals.bench.overhead import RANDOM_SCRIPT, TrivialReasoner
from evals.harness.common import write_example_task
from graph.settings import Settings
from reasoner.protocol import DiagnoseBrief, Diagnosis, DraftBrief, Solution, UpdateBrief
from session.session import start_run

THINK_S, SCRIPT_S = 2.0, 4.0
SLOW_SCRIPT = RANDOM_SCRIPT + f"\nimport time\ntime.sleep({SCRIPT_S})\n"


class SleepyReasoner(TrivialReasoner):
    """Reasoner that takes THINK_S a step, half of it for the diagnosis."""

    async def draft(self, brief: DraftBrief) -> Solution:
        """Return a slow script after THINK_S."""
        await asyncio.sleep(THINK_S)
        script = SLOW_SCRIPT.format(seed=brief.stage.trace)
        return Solution(script=script, summary="random predictions")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Return one hypothesis after half of THINK_S."""
        await asyncio.sleep(THINK_S / 2)
        return await super().diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        """Return a slow script of another seed after half of THINK_S."""
        await asyncio.sleep(THINK_S / 2)
        answer = await super().update(brief)
        seed = 100 * brief.stage.trace + brief.stage.step
        return answer.model_copy(update={"script": SLOW_SCRIPT.format(seed=seed)})


async def measure_steps_per_minute(place: Path, traces: int, steps: int) -> float:
    """Run the task; return the rate of the steps after the drafts, which include the start-up."""
    moments: list[float] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["ev"] == "attempt":
            moments.append(float(event["t"]))

    settings = Settings(
        traces=traces,
        steps=steps,
        slots=traces,
        patience=steps,
        memory="off",
        confirm=False,
        ensemble=False,
        top_k=1,
        final_seeds=1,
        average_seeds=1,
    )
    await start_run(
        str(place / "task"),
        settings,
        folder=place / f"run-{traces}",
        listeners=[on_event],
        reasoner=SleepyReasoner(),
    )
    after = moments[traces - 1 :]
    return 60 * (len(after) - 1) / (after[-1] - after[0])


async def compare_trace_counts(counts: list[int], steps: int) -> None:
    """Print rate, speed-up and efficiency for every number of traces."""
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        place = Path(temporary)
        await write_example_task("modechoice", place / "task")
        alone = await measure_steps_per_minute(place, 1, steps)
        head = f"{'traces':>6} {'steps per minute':>17} {'speed-up':>9} {'efficiency':>11}"
        print(head, flush=True)
        for n in counts:
            rate = alone if n == 1 else await measure_steps_per_minute(place, n, steps)
            print(f"{n:6} {rate:17.1f} {rate / alone:8.2f}x {rate / alone / n:10.0%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", default="1,2,4", help="comma separated")
    parser.add_argument(
        "--steps", type=int, default=6, help="attempts per trace, the draft included"
    )
    options = parser.parse_args()
    asyncio.run(compare_trace_counts([int(n) for n in options.traces.split(",")], options.steps))


if __name__ == "__main__":
    main()
