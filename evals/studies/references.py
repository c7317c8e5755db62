"""Fixes the two ends of the normalised score of every task, once: the default script and the reference.

python -m evals.studies.references [--tasks real,planted] [--root ~/.cache/gome/evals]

default: the expert's first draft, as it stands. reference: on a planted task the score of the law that made the labels; on a real one
the best private score among the final submissions of two long expert runs (2 traces x 12 steps, seeds 0 and 1): a strong result that was
reached, not a ceiling.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from evals.harness import planted, suites
from evals.harness.play import Bench, open_bench, play
from graph.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="real,planted")
    parser.add_argument("--root", type=Path, default=Path("~/.cache/gome/evals").expanduser())
    options = parser.parse_args()
    known = suites.references() if suites.DATA.exists() else {}
    asyncio.run(measure(open_bench(options.root), suites.names(options.tasks), known))


async def measure(bench: Bench, names: list[str], found: dict[str, dict[str, float]]) -> None:
    """Adds the tasks to `found` and keeps it after each one."""
    for name in names:
        draft = await play(
            bench,
            name,
            Settings(traces=1, steps=1, memory="off", patience=1),
            None,
            f"default-{name}",
        )
        reference = (
            planted.ceiling(name, bench.task(name))
            if name in planted.PLANTED
            else await strong(bench, name)
        )
        found[name] = {"default": draft["private"], "reference": reference}
        print(f"{name:16} default {draft['private']:.5g}  reference {reference:.5g}", flush=True)
        suites.DATA.write_text(
            json.dumps(
                {"command": "python -m evals.studies.references", "tasks": found},
                indent=1,
                sort_keys=True,
            )
            + "\n"
        )
    await bench.worker.end()


async def strong(bench: Bench, name: str) -> float:
    setup = await bench.template(name)
    pick = max if setup["prepared"]["task"]["direction"] == "max" else min
    scores = []
    for seed in range(2):
        settings = Settings(traces=2, steps=12, seed=seed, memory="off", time_s=3600)
        account = await play(bench, name, settings, None, f"reference-{name}-{seed}")
        scores.append(account["private"])
    return float(pick(scores))


if __name__ == "__main__":
    main()
