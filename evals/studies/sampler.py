"""The trust policy on simulated reasoners: which kinds of step it takes, and what that brings.  No script is executed.

python -m evals.studies.sampler [--seeds 200] [--steps 40]

The reasoner's directed steps improve with chance `skill`, another hypothesis of the same diagnosis with .8 of it, every other
kind of step one time in five; an improvement is worth 3 standard errors. A directed step costs 2 s, a redraft 4 s.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from typing import Any

from policies.adaptive import adaptive
from policies.protocol import View

ELSEWHERE = 0.2  # chance to improve without the gradient
SECONDS = {"directed": 2.0, "broaden": 2.0, "backtrack": 2.0, "draft": 4.0}


def attempt(index: int, **changes: Any) -> dict[str, Any]:
    base = {
        "id": f"t0s{index}",
        "ref": f"ref{index}",
        "trace": 0,
        "step": index,
        "parent": None,
        "kind": "draft",
        "mode": "draft",
    }
    base |= {
        "score": 0.5,
        "verdict": "tie",
        "replaces": False,
        "gain": 0.0,
        "gain_se": 1.0,
        "seconds": 2.0,
        "script": "s",
        "oof": "o",
    }
    return base | {"hypothesis": None, "problems": []} | changes


def simulate(skill: float, seed: int, steps: int = 40) -> tuple[Counter[str], int]:
    """Steps by mode, and how many of them improved."""
    rng = random.Random(f"{skill}/{seed}")
    attempts = [attempt(0, verdict="accepted", gain=None, replaces=True)]
    counts: Counter[str] = Counter()
    best, tried, improved = "ref0", 0, 0
    for index in range(1, steps):
        choice = adaptive(
            View(attempts, best, max(0, 4 - tried), "max", tried),
            random.Random(f"{seed}/0/{index}"),
        )
        counts[choice.mode] += 1
        chance = {"directed": skill, "broaden": 0.8 * skill}.get(choice.mode, ELSEWHERE)
        won = rng.random() < chance
        z = 3.0 if won else -1.5
        changes = {
            "mode": choice.mode,
            "verdict": "accepted" if won else "rejected",
            "gain": z,
            "replaces": won,
            "seconds": SECONDS[choice.mode],
        }
        parent = "t0s" + choice.base[3:] if choice.base else None
        hypothesis = (
            {"id": f"h{index}", "component": "model", "confidence": 0.5}
            if choice.mode != "draft"
            else None
        )
        attempts.append(attempt(index, parent=parent, hypothesis=hypothesis, **changes))
        improved += won
        tried = 0 if won else 1 if choice.mode == "directed" else tried + 1
        best = f"ref{index}" if won else best
    return counts, improved


def shares(skill: float, seeds: int, steps: int = 40) -> dict[str, float]:
    """Mean share of each mode, and of steps that improved."""
    total: Counter[str] = Counter()
    improved = 0
    for seed in range(seeds):
        counts, won = simulate(skill, seed, steps)
        total.update(counts)
        improved += won
    n = sum(total.values())
    modes = ("directed", "broaden", "backtrack", "draft")
    return {mode: total[mode] / n for mode in modes} | {"improved": improved / n}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    print(
        "| skill | directed | broaden | backtrack | redraft | steps that improved | always directed | never directed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for skill in (0.0, 0.25, 0.5, 0.75, 1.0):
        found = shares(skill, options.seeds, options.steps)
        cells = " | ".join(
            f"{found[mode]:.2f}"
            for mode in ("directed", "broaden", "backtrack", "draft", "improved")
        )
        print(f"| {skill} | {cells} | {skill:.2f} | {ELSEWHERE:.2f} |")


if __name__ == "__main__":
    main()
