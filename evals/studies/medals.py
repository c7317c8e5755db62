"""Synthetic medals: MLE-bench's rank rule over a frozen field of 100 searchers per task.

python -m evals.studies.medals [--tasks crossover] [--pool 60] [--root ~/.cache/gome/evals]

Always "synthetic": no person competed. A searcher draws b random pipelines (b log-uniform from 1 to
the pool's size) and submits the one with the best cross-validated score. A random pipeline is a
first draft with one to six random edits of all that the expert can make, really executed. With 100
teams gold is the 10th best, silver the best fifth, bronze the best two fifths (MLE-bench's rule for
100 to 249 teams). One run's medal is noise: tiers are often closer than the error of the private
score. Only rates over tasks and seeds mean something.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
from pathlib import Path
from typing import NamedTuple

from evals.harness import suites
from evals.harness.common import read_attempts, score_attempt
from evals.harness.pages import CACHE, study_parser
from evals.harness.play import Workbench, open_workbench, play_run
from evals.studies.plans import PLAIN_SETTINGS
from graph.settings import Settings
from reasoner.expert import moves
from reasoner.expert.drafts import first_spec
from reasoner.expert.engine import Expert, move_context
from reasoner.expert.facts import read_task_facts
from reasoner.expert.render import describe_script, render_script
from reasoner.expert.spec import canonical_spec
from reasoner.protocol import DraftBrief, Solution

DATA = Path(__file__).parents[1] / "data" / "field.json"
N_TEAMS, MAX_EDITS, SEED = 100, 6, 0
TIERS = {"gold": 0.10, "silver": 0.20, "bronze": 0.40}  # of 100 to 249 teams


class PoolEntry(NamedTuple):
    """Cross-validated and private score of one random pipeline."""

    cv: float
    private: float


class RandomDrafter(Expert):
    """Expert that drafts random pipelines."""

    async def draft(self, brief: DraftBrief) -> Solution:
        """Return a first draft with random edits; the step's number is its seed."""
        luck, facts = random.Random(f"{SEED}/{brief.stage.step}"), read_task_facts(brief)
        spec = canonical_spec(first_spec(facts, 0, luck.randrange(6)), facts)
        for _ in range(luck.randint(1, MAX_EDITS)):
            context = move_context(brief, spec, facts, {})
            move = luck.choice([*moves.FIXED_MOVES, *moves.column_moves(context)])
            spec = canonical_spec(move.apply(spec), facts)
        script = render_script(spec, facts, "A random pipeline.")
        return Solution(script=script, summary=describe_script(spec, facts))


async def run_pool(bench: Workbench, name: str, n: int) -> list[PoolEntry]:
    """Run n random pipelines on a task; those that fail are left out."""
    values = {
        "policy": "random",
        "traces": 1,
        "steps": n,
        "max_repairs": 0,
        "audit": False,
        "time_s": 36_000,
    }
    settings = Settings.model_validate(PLAIN_SETTINGS | values)
    run = f"field-{name}"
    await play_run(bench, name, settings, RandomDrafter(), run, keep=True)
    folder = bench.root / "runs" / run
    pool = []
    for attempt in read_attempts(folder):
        if attempt["score"] is not None and attempt["verdict"] != "failed":
            private = await score_attempt(bench.worker, bench.task(name), folder, attempt)
            pool.append(PoolEntry(float(attempt["score"]), private))
    shutil.rmtree(folder)
    return pool


def draw_field(pool: list[PoolEntry], direction: str) -> list[float]:
    """Draw the searchers; return their private scores, best first."""
    sign = 1 if direction == "max" else -1
    luck, teams = random.Random(SEED), []
    for _ in range(N_TEAMS):
        b = round(math.exp(luck.uniform(0, math.log(len(pool)))))
        teams.append(max(luck.sample(pool, b), key=lambda entry: sign * entry.cv).private)
    return sorted(teams, reverse=direction == "max")


def award_medal(score: float | None, board: list[float]) -> str:
    """Return gold, silver, bronze, or an empty string. `board`: private scores, best first."""
    if score is None:
        return ""
    higher = board[0] >= board[-1]
    for tier, bar in medal_bars(board).items():
        if score >= bar if higher else score <= bar:
            return tier
    return ""


def medal_bars(board: list[float]) -> dict[str, float]:
    """Return the score that each tier takes."""
    return {tier: board[math.ceil(share * len(board)) - 1] for tier, share in TIERS.items()}


def load_boards() -> dict[str, list[float]]:
    """Return task -> private scores of its frozen field, best first."""
    if not DATA.exists():
        return {}
    boards: dict[str, list[float]] = json.loads(DATA.read_text())["boards"]
    return boards


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--tasks", default="crossover", help="suites and tasks, comma separated")
    parser.add_argument("--pool", type=int, default=60, help="random pipelines per task")
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    bench, names = open_workbench(options.root), suites.task_names(options.tasks)
    asyncio.run(measure_fields(bench, names, options.pool))


async def measure_fields(bench: Workbench, names: list[str], n: int) -> None:
    """Draw the tasks' fields from pools of n pipelines; write the file after each task."""
    boards = load_boards()
    command = f"python -m evals.studies.medals --pool {n}"
    for name in names:
        pool = await run_pool(bench, name, n)
        direction = (await bench.template(name))["prepared"]["task"]["direction"]
        boards[name] = draw_field(pool, direction)
        bars = [f"{tier} {bar:.5g}" for tier, bar in medal_bars(boards[name]).items()]
        print(f"{name:16} {len(pool)} pipelines  {'  '.join(bars)}", flush=True)
        data = {"command": command, "seed": SEED, "boards": boards}
        DATA.write_text(json.dumps(data, indent=1) + "\n")
    await bench.worker.shut_down()


if __name__ == "__main__":
    main()
