"""Whole runs of the expert with the finer loss and without, on tasks whose metric wants labels.

python -m evals.studies.surrogate_runs [--tasks anes96,rare_class] [--seeds 4] [--first 0]
                                       [--budget 10] [--root ~/.cache/gome/evals]

Two traces, blends and second seeds as by default. A finished run is a line of
surrogate_runs.jsonl; the page of `python -m evals.studies.surrogate` has the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evals.harness import suites
from evals.harness.forked import ForkedSandbox
from evals.harness.pages import CACHE, append_row, read_rows, study_parser, table_head, table_row
from evals.harness.play import FOLDS_SEED, N_FOLDS, RunAccount, SharedWorker, Workbench, play_run
from evals.harness.recorded import RecordedSandbox
from graph.settings import Settings

LIMITS = {"memory": "off", "time_s": 3600, "run_time_s": 120, "review": False, "traces": 2}
RESULTS = "surrogate_runs.jsonl"


def open_bench(root: Path, *, surrogate: bool) -> Workbench:
    """Return a workbench whose tasks are prepared with the finer loss or without."""
    place = root / ("surrogate-on" if surrogate else "surrogate-off")
    place.mkdir(parents=True, exist_ok=True)
    settings = Settings(seed=FOLDS_SEED, memory="off", n_folds=N_FOLDS, surrogate=surrogate)
    sandbox = RecordedSandbox(ForkedSandbox(), place / "recorded")
    return Workbench(place, SharedWorker(place / "grades"), sandbox, settings)


def area_of(account: RunAccount, budget: int) -> float | None:
    """Return the mean private score of what led after each execution; None: nothing ever did."""
    leads = [lead for lead in account["search"]["leads"] if lead["private"] is not None]
    if not leads:
        return None
    scores = []
    for n in range(1, budget + 1):
        known = [lead["private"] for lead in leads if lead["executions"] <= n]
        scores.append(known[-1] if known else leads[0]["private"])
    return float(np.mean([score for score in scores if score is not None]))


async def run_pairs(tasks: Iterable[str], seeds: range, budget: int, root: Path) -> None:
    """Run what is not in the results file yet, both sides of a pair one after the other."""
    out = root / RESULTS
    done = {(row["task"], row["seed"], row["on"]) for row in read_rows(out)}
    benches = {on: open_bench(root, surrogate=on) for on in (False, True)}
    try:
        for seed in seeds:
            for task in tasks:
                for on, bench in benches.items():
                    if (task, seed, on) in done:
                        continue
                    values: dict[str, Any] = {**LIMITS, "steps": budget, "surrogate": on}
                    values |= {"max_executions": budget + 4, "seed": seed}
                    settings = Settings.model_validate(values)
                    account = await play_run(bench, task, settings, None, f"{task}-{seed}")
                    row = {
                        "task": task,
                        "seed": seed,
                        "on": on,
                        "private": account["private"],
                        "area": area_of(account, budget),
                        "executions": account["search"]["executions"],
                    }
                    append_row(out, row)
                    print(row, flush=True)
    finally:
        for bench in benches.values():
            await bench.worker.shut_down()


def describe_runs(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table: private metric at the end and area, off, on and their difference."""
    head = ["task", "seeds", "end, off", "end, on", "difference", "area, off", "area, on"]
    lines = table_head([*head, "difference"])
    for task in dict.fromkeys(row["task"] for row in rows):
        known = {(row["seed"], row["on"]): row for row in rows if row["task"] == task}
        seeds = [seed for seed, on in known if on and (seed, False) in known]
        cells = [task, str(len(seeds))]
        for name in ("private", "area"):
            sides = [np.array([known[seed, on][name] for seed in seeds]) for on in (False, True)]
            gains = sides[1] - sides[0]
            error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
            cells += [f"{side.mean():.4f}" for side in sides]
            cells.append(f"{gains.mean():+.4f} ± {1.96 * error:.4f}")
        lines.append(table_row(cells))
    return lines


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--tasks", default="anes96,rare_class")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--budget", type=int, default=10)
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    tasks = suites.task_names(options.tasks)
    seeds = range(options.first, options.first + options.seeds)
    asyncio.run(run_pairs(tasks, seeds, options.budget, options.root))


if __name__ == "__main__":
    main()
