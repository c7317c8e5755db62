"""What the success memory brings: no memory, plain similarity, the published formula, momentum.

python -m evals.studies.momentum teach     # fill the memory with runs of other seeds
python -m evals.studies.momentum run       # task x seed x arm; the same command continues
python -m evals.studies.momentum page      # write docs/results/momentum.md from the runs

Reasoner, tasks, folds and luck are the same for all arms. The memory of a measured run contains
what was learnt on the OTHER tasks (evaluation mode) and what the run itself records; the arm `same
task` also what runs of other seeds learnt on its own task, more than any embedding can find. The
reasoner is the expert at an adjustable skill (evals/harness/skill.py), so that there is something
to learn: at skill q a share 1 - q of its hypotheses is wrong. Executions are real and recorded by
script and data (evals/harness/recorded.py), shared with the crossover study. Scores are
cross-validated on fixed folds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from evals.studies.taught import MEMORY_ONLY, Ranked, TaughtMemory, taught_folder, teach_memory
from graph.settings import Settings


class Arm(NamedTuple):
    """What an arm recalls from, and how."""

    ranking: Ranked = "momentum"
    embedding: str = "lexical"
    same_task: bool = False  # also what runs of other seeds learnt on the task itself
    read: bool = False  # hints are proposed as hypotheses, not only weighed


ARMS = {
    "off": None,
    "similarity": Arm("similarity"),
    "paper": Arm("paper"),
    "momentum": Arm(),
    "momentum, MiniLM": Arm(embedding="minilm"),
    "momentum, same task": Arm(same_task=True),
    "momentum, read": Arm(read=True),
    "momentum, MiniLM, read": Arm(embedding="minilm", read=True),
    "momentum, same task, read": Arm(same_task=True, read=True),
}
COMPARED = (
    ("momentum", "similarity"),
    ("momentum, MiniLM", "momentum"),
    ("momentum, read", "momentum"),
    ("momentum, MiniLM, read", "momentum, read"),
)
ABOUT = """\
Folds are fixed for each task; seeds vary the reasoner's luck and are the same for all arms \
(paired). `off` recalls nothing; the other arms recall what was learnt on the other tasks and in \
the run itself, ranked by plain similarity, the published formula, or momentum. Texts are \
compared by the lexical embedding, or by all-MiniLM-L6-v2. `same task` also recalls what runs of \
other seeds learnt on the task itself: more than any embedding can find. Elsewhere hints only \
weigh the hypotheses; with `read` the reasoner replaces a wrong idea by a recalled success that \
its script lacks, so that the memory proposes as well.

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
SHOWN_STEPS = (1, 2, 4, 7, 12, 20)


def arm_settings(seed: int, arm: Arm | None, steps: int, memory: str) -> Settings:
    """Return the settings of one arm of the study; its memory is opened by the study."""
    given = {"memory": memory if arm else "off", "seed": seed, "steps": steps}
    return Settings.model_validate(MEMORY_ONLY | given)


def study_cells(options: argparse.Namespace) -> Iterator[tuple[float, int, str, str]]:
    """Yield every (skill, seed, task, arm)."""
    tasks = suites.task_names(options.tasks)
    yield from itertools.product(options.q, range(options.seeds), tasks, options.arms)


async def run_momentum_cells(bench: Workbench, options: argparse.Namespace) -> None:
    """Run the cells that the results file lacks."""
    finished = finished_keys(options.out)
    memories: dict[tuple[float, str], TaughtMemory] = {}
    for q, seed, task, name in study_cells(options):
        key = f"{task}-{q}-{seed}-{name}"
        if key in finished:
            continue
        arm, memory = ARMS[name], None
        if arm:
            place = (q, arm.embedding)
            if place not in memories:
                memories[place] = TaughtMemory(options.root, *place)
            memory = memories[place].memory(key, arm.ranking, evaluation=not arm.same_task)
        began = time.monotonic()
        settings = arm_settings(seed, arm, options.steps, str(taught_folder(options.root, q)))
        reasoner = DegradedExpert(q, seed, reads_hints=bool(arm and arm.read))
        account = await play_run(bench, task, settings, reasoner, key, memory=memory)
        wall = round(time.monotonic() - began, 2)
        row = {"key": key, "task": task, "q": q, "seed": seed, "arm": name, **account, "wall": wall}
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
    return "\n".join([*parts, "\n" + provenance_note(page_command(rows))])


def page_command(rows: list[MomentumRow]) -> str:
    """Return the commands that make these rows and the page."""
    skills = " ".join(f"{q:g}" for q in sorted({row["q"] for row in rows}))
    arms = " ".join(f'"{arm}"' for arm in ARMS if any(row["arm"] == arm for row in rows))
    seeds = max(row["seed"] for row in rows) + 1
    study = "python -m evals.studies.momentum"
    run = f"{study} run --q {skills} --seeds {seeds} --arms {arms}"
    return f"{study} teach --q {skills} && {run} && {study} page"


def momentum_tables(rows: list[MomentumRow], scale: dict[str, tuple[float, float]]) -> list[str]:
    """Return the tables of one skill: by arm, momentum against similarity, by task."""
    rate: dict[str, Scores] = {}
    gain: dict[str, Scores] = {}
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        rate[arm] = scores_by_task(own, lambda row: row["improvement_rate"])
        gain[arm] = scores_by_task(own, lambda row: mean_gain(row, scale))
    arms = [arm for arm in ARMS if rate[arm]]
    head = ["arm", "runs", "steps that improve", "gain per step"]
    head += ["steps that improve, against off", "gain per step, against off"]
    lines = table_head(head)
    lines += [arm_row(arm, rate, gain) for arm in arms]
    for first, second in COMPARED:
        if rate[first] and rate[second]:
            rates = format_difference(paired_difference(rate[first], rate[second]))
            gains = format_difference(paired_difference(gain[first], gain[second]))
            lines.append(f"\n{first} against {second}: steps that improve {rates}, gain {gains}.")
    return [*lines, gain_by_task(gain, arms), gain_by_step(rows, scale, arms)]


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


def gain_by_task(gain: Mapping[str, Scores], arms: Sequence[str]) -> str:
    """Return the table of mean gains by task and arm."""
    head = table_head(["gain per step by task", *arms])
    lines = ["\n" + head[0], head[1]]
    for task in sorted(gain["off"]):
        cells = []
        for arm in arms:
            values = gain[arm].get(task, {}).values()
            cells.append(f"{sum(values) / max(1, len(values)):.2f}")
        lines.append(table_row([task, *cells]))
    return "\n".join(lines)


def gain_by_step(
    rows: list[MomentumRow], scale: dict[str, tuple[float, float]], arms: Sequence[str]
) -> str:
    """Return the table of scaled best scores against off, after some of the steps."""
    steps = [step for step in SHOWN_STEPS if step < max(len(row["best_so_far"]) for row in rows)]
    head = table_head(["best so far, against off", *(f"after step {step}" for step in steps)])
    lines = ["\n" + head[0], head[1]]
    reached = {
        arm: [
            scores_by_task(
                [row for row in rows if row["arm"] == arm], partial(scaled_best, scale, step)
            )
            for step in steps
        ]
        for arm in arms
    }
    for arm in arms:
        if arm != "off":
            pairs = zip(reached[arm], reached["off"], strict=True)
            cells = [format_difference(paired_difference(own, off)) for own, off in pairs]
            lines.append(table_row([arm, *cells]))
    return "\n".join(lines)


def scaled_best(scale: dict[str, tuple[float, float]], step: int, row: MomentumRow) -> float:
    """Return the best score after a step, 0 the worst draft, 1 the best of any run of the task."""
    low, high = scale[row["task"]]
    value = row["best_so_far"][: step + 1][-1]
    return 0.0 if value is None else (value - low) / max(high - low, 1e-12)


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
    parser.add_argument(
        "--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="what is compared"
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
