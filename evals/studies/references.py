"""Measure the two ends of every task's normalised score, once: default script and reference.

python -m evals.studies.references [--tasks real,planted] [--root ~/.cache/gome/evals]

default: the expert's first draft as it is. reference: on a planted task the score of the law that
made the labels; on a real one the best private score among the final submissions of two long expert
runs (2 traces x 12 steps, seeds 0 and 1): a strong result that was reached, not a ceiling.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from evals.harness import planted, suites
from evals.harness.pages import CACHE, study_parser
from evals.harness.play import RunAccount, Workbench, open_workbench, play_run
from graph.settings import Settings


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--tasks", default="real,planted", help="suites and tasks, comma separated")
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    known = suites.load_references() if suites.DATA.exists() else {}
    bench, names = open_workbench(options.root), suites.task_names(options.tasks)
    asyncio.run(measure_references(bench, names, known))


async def measure_references(
    bench: Workbench, names: list[str], references: dict[str, dict[str, float]]
) -> None:
    """Add the tasks to `references` and write the file after each one."""
    settings = Settings(traces=1, steps=1, memory="off", patience=1)
    for name in names:
        draft = await play_run(bench, name, settings, None, f"default-{name}")
        default = private_of(draft)
        if name in planted.PLANTED:
            reference = planted.ceiling_score(name, bench.task(name))
        else:
            reference = await best_expert_score(bench, name)
        references[name] = {"default": default, "reference": reference}
        print(f"{name:16} default {default:.5g}  reference {reference:.5g}", flush=True)
        data = {"command": "python -m evals.studies.references", "tasks": references}
        suites.DATA.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    await bench.worker.shut_down()


def private_of(account: RunAccount) -> float:
    """Return the run's private score. Raises SystemExit where it has no submission."""
    if account["private"] is None:
        raise SystemExit(f"the expert made no submission for {account['task']}")
    return account["private"]


async def best_expert_score(bench: Workbench, name: str) -> float:
    """Return the best private score of two long expert runs."""
    setup = await bench.template(name)
    scores = []
    for seed in range(2):
        settings = Settings(traces=2, steps=12, seed=seed, memory="off", time_s=3600)
        account = await play_run(bench, name, settings, None, f"reference-{name}-{seed}")
        scores.append(private_of(account))
    return max(scores) if setup["prepared"]["task"]["direction"] == "max" else min(scores)


if __name__ == "__main__":
    main()
