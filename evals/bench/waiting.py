"""`make bench`: how busy are the slots where answers and scripts take very different times?

    python -m evals.bench.waiting [--traces 4] [--slots 2] [--scripts 40] [--scale 0.5]
        [--ahead 0,4]

The reasoner sleeps 2 to 20 seconds a step and a script 4 to 60, both log-normal, times `--scale`:
neither needs a core. The same seconds are drawn for the same step of a trace, once with the barrier
(`ahead=0`: every trace waits at the merge), once with the default. What the report of each run
states is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import tempfile
from pathlib import Path

from evals.bench.overhead import RANDOM_SCRIPT, TrivialReasoner
from evals.harness.common import write_example_task
from graph.settings import Settings
from reasoner.protocol import DiagnoseBrief, Diagnosis, DraftBrief, Solution, Stage, UpdateBrief
from report.event_log import load_earlier_view
from report.formatting import format_duration
from report.slot_use import busy_share, waiting_share
from session.session import start_run

THINK_S, SCRIPT_S = (2.0, 5.0, 20.0, 0.7), (4.0, 12.0, 60.0, 0.9)  # least, median, most, spread
SLEEPY_SCRIPT = RANDOM_SCRIPT + "\nimport time\ntime.sleep({sleep_s:.3f})\n"


def draw_seconds(what: tuple[float, float, float, float], name: str) -> float:
    """Draw log-normal seconds within bounds; the same for the same name."""
    least, median, most, spread = what
    drawn = median * math.exp(random.Random(name).gauss(0, spread))
    return min(most, max(least, drawn))


class UnevenReasoner(TrivialReasoner):
    """Reasoner that takes its time, and whose scripts do."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    async def _think(self, stage: Stage, part: float) -> str:
        """Sleep for a part of the step's seconds; return a script that sleeps too."""
        name = f"{stage.trace}/{stage.step}"
        await asyncio.sleep(part * self.scale * draw_seconds(THINK_S, f"think {name}"))
        sleep_s = self.scale * draw_seconds(SCRIPT_S, f"script {name}")
        return SLEEPY_SCRIPT.format(seed=1000 * stage.trace + stage.step, sleep_s=sleep_s)

    async def draft(self, brief: DraftBrief) -> Solution:
        """Return a first script."""
        script = await self._think(brief.stage, 1.0)
        return Solution(script=script, summary=f"random predictions {brief.stage.trace}")

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        """Return one hypothesis."""
        await self._think(brief.stage, 0.5)
        return await super().diagnose(brief)

    async def update(self, brief: UpdateBrief) -> Solution:
        """Return a script of another seed."""
        answer = await super().update(brief)
        return answer.model_copy(update={"script": await self._think(brief.stage, 0.5)})


async def measure_waiting(place: Path, options: argparse.Namespace, ahead: int) -> str:
    """Run the task; return a line of the table."""
    settings = Settings(
        traces=options.traces,
        slots=options.slots,
        steps=1_000,
        max_executions=options.scripts,
        finalize_share=0,
        ahead=ahead,
        patience=1_000,
        memory="off",
        confirm=False,
        ensemble=False,
        top_k=1,
        final_seeds=1,
        average_seeds=1,
    )
    folder = place / f"ahead-{ahead}"
    await start_run(
        str(place / "task"), settings, folder=folder, reasoner=UnevenReasoner(options.scale)
    )
    view = load_earlier_view(folder)
    use = view.slot_use
    assert use is not None
    wall = format_duration(use.until_s - use.began_s)
    return (
        f"{ahead:5} {view.n_executions:8} {len(view.merges):7} {wall:>9} {busy_share(use):7.0%} "
        f"{1 - busy_share(use):7.0%} {waiting_share(view):8.0%}"
    )


async def compare_barrier(options: argparse.Namespace) -> None:
    """Print a line for every value of `ahead`: the barrier and the default."""
    with tempfile.TemporaryDirectory(prefix="gome-bench-") as temporary:
        place = Path(temporary)
        await write_example_task("modechoice", place / "task")
        head = f"{'ahead':>5} {'scripts':>8} {'merges':>7} {'time':>9} {'busy':>7} {'idle':>7}"
        print(f"{head} {'waiting':>8}", flush=True)
        for ahead in options.ahead.split(","):
            print(await measure_waiting(place, options, int(ahead)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=4)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--scripts", type=int, default=40)
    parser.add_argument("--scale", type=float, default=0.5)
    default = Settings.model_fields["ahead"].default
    parser.add_argument("--ahead", default=f"0,{default}", help="comma separated")
    asyncio.run(compare_barrier(parser.parse_args()))


if __name__ == "__main__":
    main()
