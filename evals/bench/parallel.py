"""Do traces really run side by side?  Steps per minute of several traces against one, where reasoner and scripts only sleep.

    python -m evals.bench.parallel [--traces 1,2,4] [--steps 6]

The reasoner takes 2 seconds a step and the script 4, so that neither needs a core: what is lost is Gome's own doing, the wait for the
slowest trace at every merge included. Efficiency: speed-up over one trace, divided by the number of traces.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from evals.bench.overhead import SCRIPT, Trivial
from evals.harness.common import write
from graph.settings import Settings
from reasoner.protocol import DiagnoseBrief, Diagnosis, DraftBrief, Solution, UpdateBrief
from session.session import start_run

THINK_S, SCRIPT_S = 2.0, 4.0
SLOW_SCRIPT = SCRIPT + f"\nimport time\ntime.sleep({SCRIPT_S})\n"


class Sleepy(Trivial):
    """Thinks for two seconds a step, half of it in the diagnosis."""

    async def draft(self, brief: DraftBrief) -> Solution:
        await asyncio.sleep(THINK_S)
        return Solution(
            script=SLOW_SCRIPT.format(seed=brief.stage.trace), summary="random predictions"
        )

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        await asyncio.sleep(THINK_S / 2)
        return await super().diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        await asyncio.sleep(THINK_S / 2)
        answer = await super().update(brief)
        return answer.model_copy(
            update={"script": SLOW_SCRIPT.format(seed=100 * brief.stage.trace + brief.stage.step)}
        )


async def steps_per_minute(place: Path, traces: int, steps: int) -> float:
    """Of the steps after the drafts, which hold the start-up."""
    moments: list[float] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["ev"] == "attempt":
            moments.append(float(event["t"]))

    settings = Settings(
        traces=traces, steps=steps, slots=traces, patience=steps, memory="off", confirm=False, ensemble=False, top_k=1, final_seeds=1
    )  # fmt: skip
    await start_run(
        str(place / "task"),
        settings,
        folder=place / f"run-{traces}",
        listeners=[on_event],
        reasoner=Sleepy(),
    )
    after = moments[traces - 1 :]
    return 60 * (len(after) - 1) / (after[-1] - after[0])


async def compare(counts: list[int], steps: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        await write("modechoice", Path(temporary) / "task")
        alone = await steps_per_minute(Path(temporary), 1, steps)
        print(
            f"{'traces':>6} {'steps per minute':>17} {'speed-up':>9} {'efficiency':>11}", flush=True
        )
        for n in counts:
            rate = alone if n == 1 else await steps_per_minute(Path(temporary), n, steps)
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
    asyncio.run(compare([int(n) for n in options.traces.split(",")], options.steps))


if __name__ == "__main__":
    main()
