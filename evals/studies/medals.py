"""Synthetic medals: MLE-bench's rank rule over a frozen field of 100 searchers per task. Always "synthetic": no person competed.

python -m evals.studies.medals [--tasks crossover] [--pool 60] [--root ~/.cache/gome/evals]

A searcher draws b random pipelines (b log-uniform from 1 to the pool's size), takes the one with the best cross-validated score and hands
it in. A random pipeline is a first draft with one to six random edits of all that the expert can write, really executed. With 100 teams
gold is the 10th best, silver the best fifth, bronze the best two fifths (MLE-bench's rule for 100 to 249 teams). One run's medal is noise:
tiers are often closer than the error of the private score. Only rates over tasks and seeds mean something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from evals.harness import suites
from evals.harness.play import Bench, open_bench, play
from evals.studies.ensemble import private
from evals.studies.study import QUIET
from graph.settings import Settings
from reasoner.expert import moves
from reasoner.expert.engine import Expert, first_spec, look_of
from reasoner.expert.facts import facts_of
from reasoner.expert.render import describe, render
from reasoner.expert.spec import canonical
from reasoner.protocol import DraftBrief, Solution
from run.events import read_events

DATA = Path(__file__).parents[1] / "data" / "field.json"
N_TEAMS, MAX_EDITS, SEED = 100, 6, 0
TIERS = {"gold": 0.10, "silver": 0.20, "bronze": 0.40}  # of 100 to 249 teams


class Entry(NamedTuple):
    cv: float
    private: float


class Wanderer(Expert):
    """Drafts random pipelines."""

    async def draft(self, brief: DraftBrief) -> Solution:
        luck, facts = random.Random(f"{SEED}/{brief.stage.step}"), facts_of(brief)
        spec = canonical(first_spec(facts, 0, luck.randrange(6)), facts)
        for _ in range(luck.randint(1, MAX_EDITS)):
            look = look_of(brief, spec, facts, {})
            spec = canonical(
                luck.choice([*moves.FIXED, *moves.per_column(look)]).apply(spec), facts
            )
        return Solution(
            script=render(spec, facts, "A random pipeline."), summary=describe(spec, facts)
        )


async def pool_of(bench: Bench, name: str, n: int) -> list[Entry]:
    """Cross-validated and private score of n random pipelines, those that fail left out."""
    settings = Settings.model_validate(
        QUIET
        | {
            "policy": "random",
            "traces": 1,
            "steps": n,
            "max_repairs": 0,
            "audit": False,
            "time_s": 36_000,
        }
    )
    run = f"field-{name}"
    await play(bench, name, settings, Wanderer(), run, keep=True)
    folder = bench.root / "runs" / run
    attempts = [
        event
        for event in read_events(folder / "events.jsonl")
        if event["ev"] == "attempt" and event["score"] is not None
    ]
    found = [
        Entry(float(a["score"]), await private(bench.worker, bench.task(name), folder, a))
        for a in attempts
        if a["verdict"] != "failed"
    ]
    shutil.rmtree(folder)
    return found


def field(pool: list[Entry], direction: str) -> list[float]:
    """Private scores of the searchers, best first."""
    sign = 1 if direction == "max" else -1
    luck, teams = random.Random(SEED), []
    for _ in range(N_TEAMS):
        b = round(math.exp(luck.uniform(0, math.log(len(pool)))))
        teams.append(max(luck.sample(pool, b), key=lambda entry: sign * entry.cv).private)
    return sorted(teams, reverse=direction == "max")


def medal(score: float | None, board: list[float]) -> str:
    """gold | silver | bronze, or empty. `board`: best first."""
    if score is None:
        return ""
    higher = board[0] >= board[-1]
    for tier, share in TIERS.items():
        bar = board[math.ceil(share * len(board)) - 1]
        if score >= bar if higher else score <= bar:
            return tier
    return ""


def boards() -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads(DATA.read_text())["boards"] if DATA.exists() else {}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="crossover")
    parser.add_argument("--pool", type=int, default=60, help="random pipelines per task")
    parser.add_argument("--root", type=Path, default=Path("~/.cache/gome/evals").expanduser())
    options = parser.parse_args()
    asyncio.run(measure(open_bench(options.root), suites.names(options.tasks), options.pool))


async def measure(bench: Bench, names: list[str], n: int) -> None:
    kept: dict[str, Any] = boards()
    for name in names:
        pool = await pool_of(bench, name, n)
        direction = (await bench.template(name))["prepared"]["task"]["direction"]
        kept[name] = field(pool, direction)
        bars = {tier: kept[name][math.ceil(share * N_TEAMS) - 1] for tier, share in TIERS.items()}
        print(
            f"{name:16} {len(pool)} pipelines  "
            + "  ".join(f"{tier} {bar:.5g}" for tier, bar in bars.items()),
            flush=True,
        )
        DATA.write_text(
            json.dumps(
                {
                    "command": f"python -m evals.studies.medals --pool {n}",
                    "seed": SEED,
                    "boards": kept,
                },
                indent=1,
            )
            + "\n"
        )
    await bench.worker.end()


if __name__ == "__main__":
    main()
