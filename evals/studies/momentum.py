"""What the success memory brings: off, plain similarity, the published formula, momentum; the same reasoner, tasks, folds and luck.

python -m evals.studies.momentum teach     # runs on every task that fill the memory (other seeds than those measured)
python -m evals.studies.momentum run       # task x seed x arm; goes on where it stopped
python -m evals.studies.momentum page      # docs/results/momentum.md from what was run

The memory of a measured run holds what was learnt on the OTHER tasks (evaluation mode) and what the run itself records. The reasoner is
the expert behind the dial of evals/harness/skill.py, so that there is something to learn: at skill q a share 1 - q of its hypotheses is wrong.
Executions are real and recorded by script and data (evals/harness/recorded.py), shared with the crossover study. Scores are cross-validated on fixed folds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.harness import suites
from evals.harness.play import Bench, open_bench, play
from evals.harness.provenance import provenance
from evals.harness.skill import Degraded
from evals.harness.statistics import Interval, Scores, difference, mean, table
from evals.studies.taught import ALONE, Taught, place, teach
from graph.settings import Settings

ARMS = ("off", "similarity", "paper", "momentum")
SKILLS = (0.5, 1.0)


def settings_of(seed: int, arm: str, steps: int, memory: str) -> Settings:
    where = {"memory": "off"} if arm == "off" else {"memory": memory, "ranking": arm}
    return Settings.model_validate(ALONE | where | {"seed": seed, "steps": steps})


def cells(options: argparse.Namespace) -> Iterator[tuple[float, int, str, str]]:
    yield from itertools.product(options.q, range(options.seeds), suites.names(options.tasks), ARMS)


async def measure(bench: Bench, options: argparse.Namespace) -> None:
    done = (
        {json.loads(line)["key"] for line in options.out.read_text().splitlines()}
        if options.out.exists()
        else set()
    )
    taught = {q: Taught(options.root, q) for q in options.q}
    for q, seed, task, arm in cells(options):
        key = f"{task}-{q}-{seed}-{arm}"
        if key in done:
            continue
        memory = taught[q].memory(key, arm) if arm != "off" else None
        began = time.monotonic()
        settings = settings_of(seed, arm, options.steps, str(place(options.root, q)))
        account = await play(bench, task, settings, Degraded(q, seed), key, memory=memory)
        row = {
            "key": key,
            "task": task,
            "q": q,
            "seed": seed,
            "arm": arm,
            **account,
            "wall": round(time.monotonic() - began, 2),
        }
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(
            f"{key}: {account['accepted']} of {account['attempts']} in {row['wall']} s; {bench.sandbox.n_run} scripts run",
            flush=True,
        )
    for each in taught.values():
        each.close()


# the page


def page(rows: list[dict[str, Any]]) -> str:
    tasks, seeds = sorted({row["task"] for row in rows}), sorted({row["seed"] for row in rows})
    scale = scales(rows)
    parts = [
        "# Momentum: what the success memory brings\n",
        f"{len(rows)} runs: {len(tasks)} tasks ({', '.join(tasks)}), seeds {seeds[0]} to {seeds[-1]}, one trace of {max(r['attempts'] for r in rows)} attempts. "
        "Folds are fixed for each task; seeds vary the reasoner's luck and are the same for all arms (paired). `off` recalls nothing; the other "
        "arms recall what was learnt on the other tasks and in the run itself, ranked by plain similarity, the published formula, or momentum.\n",
        "- *steps that improve*: share of steps after the draft that were accepted beyond noise.\n"
        "- *gain per step*: mean over the run of the best score so far, 0 the draft, 1 the best that any run of this task reached.\n",
        "Mean over tasks and seeds with 95 % bootstrap intervals (tasks and seeds resampled).\n",
    ]
    for q in sorted({row["q"] for row in rows}):
        found = [row for row in rows if row["q"] == q]
        parts += [f"\n## Skill {q:g}\n", *tables(found, scale)]
    return "\n".join(
        [
            *parts,
            "\n"
            + provenance(
                "python -m evals.studies.momentum teach && python -m evals.studies.momentum run && python -m evals.studies.momentum page"
            ),
        ]
    )


def tables(rows: list[dict[str, Any]], scale: dict[str, tuple[float, float]]) -> list[str]:
    rate = {
        arm: table([r for r in rows if r["arm"] == arm], lambda r: float(r["improvement_rate"]))
        for arm in ARMS
    }
    gain = {
        arm: table([r for r in rows if r["arm"] == arm], lambda r: curve(r, scale)) for arm in ARMS
    }
    lines = [
        "| arm | runs | steps that improve | gain per step | steps that improve, against off | gain per step, against off |",
        "|---" * 6 + "|",
    ]
    for arm in (arm for arm in ARMS if rate[arm]):
        n = sum(len(by_seed) for by_seed in rate[arm].values())
        against = [
            fine(difference(values[arm], values["off"])) if arm != "off" else ""
            for values in (rate, gain)
        ]
        lines.append(
            f"| {arm} | {n} | {mean(rate[arm]).plain} | {mean(gain[arm]).plain} | {' | '.join(against)} |"
        )
    pairs = [fine(difference(values["momentum"], values["similarity"])) for values in (rate, gain)]
    return [
        *lines,
        f"\nMomentum against plain similarity: steps that improve {pairs[0]}, gain per step {pairs[1]}.",
        by_task(gain),
    ]


def fine(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def by_task(gain: dict[str, Scores]) -> str:
    lines = [
        "\n| gain per step by task | " + " | ".join(ARMS) + " |",
        "|---" * (len(ARMS) + 1) + "|",
    ]
    for task in sorted(gain["off"]):
        shown = [
            f"{sum(gain[arm].get(task, {0: 0.0}).values()) / max(1, len(gain[arm].get(task, {0: 0.0}))):.2f}"
            for arm in ARMS
        ]
        lines.append(f"| {task} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def scales(rows: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Per task the worst draft and the best score that any run reached, with higher = better."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        signed = [value for value in row["best_so_far"] if value is not None]
        low, high = found.get(row["task"], (signed[0], signed[-1]))
        found[row["task"]] = (min(low, signed[0]), max(high, *signed))
    return found


def curve(row: dict[str, Any], scale: dict[str, tuple[float, float]]) -> float:
    low, high = scale[row["task"]]
    values = [value for value in row["best_so_far"] if value is not None][1:]
    return sum((value - low) / max(high - low, 1e-12) for value in values) / max(1, len(values))


async def amain(options: argparse.Namespace) -> None:
    options.root.mkdir(parents=True, exist_ok=True)
    bench = open_bench(options.evals)
    try:
        if options.verb == "run":
            return await measure(bench, options)
        for q in options.q:
            await teach(bench, options.root, q, suites.names(options.tasks), options.steps + 2)
    finally:
        await bench.worker.end()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("teach", "run", "page"))
    parser.add_argument(
        "--tasks",
        default="clean,rare_class,skewed_amount",
        help="tasks or suites of evals/harness/suites.py",
    )
    parser.add_argument(
        "--q", type=float, nargs="+", default=list(SKILLS), help="skills of the reasoner"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument(
        "--evals",
        type=Path,
        default=Path("~/.cache/gome/evals").expanduser(),
        help="recorded executions of all studies",
    )
    parser.add_argument("--page", type=Path, default=Path("docs/results/momentum.md"))
    options = parser.parse_args()
    options.root = options.evals / "momentum"
    options.out = options.root / "runs.jsonl"
    if options.verb != "page":
        return asyncio.run(amain(options))
    text = page([json.loads(line) for line in options.out.read_text().splitlines()])
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(text)
    print(text)
    return None


if __name__ == "__main__":
    main()
