"""What the success memory brings: no memory, plain similarity, the published formula, momentum.

python -m evals.studies.momentum teach     # fill the memory with runs of other seeds
python -m evals.studies.momentum run       # task x seed x arm; the same command continues
python -m evals.studies.momentum page      # write docs/results/momentum.md from the runs

Reasoner, tasks, folds and luck are the same for all arms. The memory of a measured run contains
what was learnt on the OTHER tasks (evaluation mode) and what the run itself records. The reasoner
is the expert at an adjustable skill (evals/harness/skill.py), so that there is something to learn:
at skill q a share 1 - q of its hypotheses is wrong. Executions are real and recorded by script and
data (evals/harness/recorded.py), shared with the crossover study. Scores are cross-validated on
fixed folds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from evals.harness import suites
from evals.harness.pages import (
    CACHE,
    append_row,
    read_rows,
    study_parser,
    table_head,
    table_row,
    write_study_page,
)
from evals.harness.play import RunAccount, Workbench, open_workbench, play_run
from evals.harness.provenance import provenance_note
from evals.harness.skill import DegradedExpert
from evals.harness.statistics import (
    Interval,
    Scores,
    mean_interval,
    paired_difference,
    scores_by_task,
)
from evals.studies.study import finished_keys
from evals.studies.taught import MEMORY_ONLY, TaughtMemory, taught_folder, teach_memory
from graph.settings import Settings

ARMS = ("off", "similarity", "paper", "momentum")
ABOUT = """\
Folds are fixed for each task; seeds vary the reasoner's luck and are the same for all arms \
(paired). `off` recalls nothing; the other arms recall what was learnt on the other tasks and in \
the run itself, ranked by plain similarity, the published formula, or momentum.

- *steps that improve*: share of steps after the draft that were accepted beyond noise.
- *gain per step*: mean over the run of the best score so far, 0 the draft, 1 the best that any \
run of this task reached.

Mean over tasks and seeds with 95 % bootstrap intervals (tasks and seeds resampled).
"""


class MomentumRow(RunAccount):
    """A cell with its run's account, as one line of the results file."""

    key: str
    q: float
    seed: int
    arm: str
    wall: float


SKILLS = (0.5, 1.0)


def arm_settings(seed: int, arm: str, steps: int, memory: str) -> Settings:
    """Return the settings of one arm of the study."""
    recall = {"memory": "off"} if arm == "off" else {"memory": memory, "ranking": arm}
    return Settings.model_validate(MEMORY_ONLY | recall | {"seed": seed, "steps": steps})


def study_cells(options: argparse.Namespace) -> Iterator[tuple[float, int, str, str]]:
    """Yield every (skill, seed, task, arm)."""
    tasks = suites.task_names(options.tasks)
    yield from itertools.product(options.q, range(options.seeds), tasks, ARMS)


async def run_momentum_cells(bench: Workbench, options: argparse.Namespace) -> None:
    """Run the cells that the results file lacks."""
    finished = finished_keys(options.out)
    memories = {q: TaughtMemory(options.root, q) for q in options.q}
    for q, seed, task, arm in study_cells(options):
        key = f"{task}-{q}-{seed}-{arm}"
        if key in finished:
            continue
        memory = memories[q].memory(key, arm) if arm != "off" else None
        began = time.monotonic()
        settings = arm_settings(seed, arm, options.steps, str(taught_folder(options.root, q)))
        reasoner = DegradedExpert(q, seed)
        account = await play_run(bench, task, settings, reasoner, key, memory=memory)
        wall = round(time.monotonic() - began, 2)
        row = {"key": key, "task": task, "q": q, "seed": seed, "arm": arm, **account, "wall": wall}
        append_row(options.out, row)
        print(
            f"{key}: {account['accepted']} of {account['attempts']} in {wall} s; "
            f"{bench.sandbox.n_run} scripts run",
            flush=True,
        )
    for taught in memories.values():
        taught.close()


def momentum_page(rows: list[MomentumRow]) -> str:
    """Return docs/results/momentum.md."""
    tasks, seeds = sorted({row["task"] for row in rows}), sorted({row["seed"] for row in rows})
    n_attempts = max(row["attempts"] for row in rows)
    scale = draft_scales(rows)
    parts = [
        "# Momentum: what the success memory brings\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), seeds {seeds[0]} to "
        f"{seeds[-1]}, one trace of {n_attempts} attempts. {ABOUT}",
    ]
    for q in sorted({row["q"] for row in rows}):
        own = [row for row in rows if row["q"] == q]
        parts += [f"\n## Skill {q:g}\n", *momentum_tables(own, scale)]
    verbs = ("teach", "run", "page")
    command = " && ".join(f"python -m evals.studies.momentum {verb}" for verb in verbs)
    return "\n".join([*parts, "\n" + provenance_note(command)])


def momentum_tables(rows: list[MomentumRow], scale: dict[str, tuple[float, float]]) -> list[str]:
    """Return the tables of one skill: by arm, momentum against similarity, by task."""
    rate: dict[str, Scores] = {}
    gain: dict[str, Scores] = {}
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        rate[arm] = scores_by_task(own, lambda row: row["improvement_rate"])
        gain[arm] = scores_by_task(own, lambda row: mean_gain(row, scale))
    head = ["arm", "runs", "steps that improve", "gain per step"]
    head += ["steps that improve, against off", "gain per step, against off"]
    lines = table_head(head)
    for arm in ARMS:
        if rate[arm]:
            lines.append(arm_row(arm, rate, gain))
    rates = format_difference(paired_difference(rate["momentum"], rate["similarity"]))
    gains = format_difference(paired_difference(gain["momentum"], gain["similarity"]))
    comparison = f"steps that improve {rates}, gain per step {gains}"
    return [
        *lines,
        f"\nMomentum against plain similarity: {comparison}.",
        gain_by_task(gain),
    ]


def arm_row(arm: str, rate: Mapping[str, Scores], gain: Mapping[str, Scores]) -> str:
    """Return one arm's row of the table."""
    against = ["", ""]
    if arm != "off":
        against = [
            format_difference(paired_difference(values[arm], values["off"]))
            for values in (rate, gain)
        ]
    n_runs = sum(len(by_seed) for by_seed in rate[arm].values())
    means = [mean_interval(rate[arm]).unsigned, mean_interval(gain[arm]).unsigned]
    return table_row([arm, str(n_runs), *means, *against])


def format_difference(interval: Interval) -> str:
    """Return the interval with three decimals."""
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def gain_by_task(gain: Mapping[str, Scores]) -> str:
    """Return the table of mean gains by task and arm."""
    head = table_head(["gain per step by task", *ARMS])
    lines = ["\n" + head[0], head[1]]
    for task in sorted(gain["off"]):
        cells = []
        for arm in ARMS:
            values = gain[arm].get(task, {}).values()
            cells.append(f"{sum(values) / max(1, len(values)):.2f}")
        lines.append(table_row([task, *cells]))
    return "\n".join(lines)


def draft_scales(rows: list[MomentumRow]) -> dict[str, tuple[float, float]]:
    """Return per task the worst draft and the best score of any run, with higher = better."""
    scales: dict[str, tuple[float, float]] = {}
    for row in rows:
        scores = [value for value in row["best_so_far"] if value is not None]
        low, high = scales.get(row["task"], (scores[0], scores[-1]))
        scales[row["task"]] = (min(low, scores[0]), max(high, *scores))
    return scales


def mean_gain(row: MomentumRow, scale: dict[str, tuple[float, float]]) -> float:
    """Return the mean best score so far after the draft, scaled to 0..1."""
    low, high = scale[row["task"]]
    values = [value for value in row["best_so_far"] if value is not None][1:]
    return sum((value - low) / max(high - low, 1e-12) for value in values) / max(1, len(values))


async def run_verb(options: argparse.Namespace) -> None:
    """Teach the memories, or run the cells."""
    options.root.mkdir(parents=True, exist_ok=True)
    bench = open_workbench(options.evals)
    try:
        if options.verb == "run":
            await run_momentum_cells(bench, options)
            return
        tasks = suites.task_names(options.tasks)
        for q in options.q:
            await teach_memory(bench, options.root, q, tasks, options.steps + 2)
    finally:
        await bench.worker.shut_down()


def main() -> None:
    options = parse_momentum_options()
    options.root = options.evals / "momentum"
    options.out = options.root / "runs.jsonl"
    if options.verb == "page":
        write_study_page(
            options.page.parent, options.page.name, momentum_page(read_rows(options.out))
        )
    else:
        asyncio.run(run_verb(options))


def parse_momentum_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = study_parser(__doc__)
    parser.add_argument("verb", choices=("teach", "run", "page"))
    parser.add_argument(
        "--tasks",
        default="clean,rare_class,skewed_amount",
        help="suites and tasks of evals/harness/suites.py, comma separated",
    )
    parser.add_argument(
        "--q", type=float, nargs="+", default=list(SKILLS), help="skills of the reasoner"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument(
        "--evals", type=Path, default=CACHE, help="recorded executions of all studies"
    )
    parser.add_argument("--page", type=Path, default=Path("docs/results/momentum.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
