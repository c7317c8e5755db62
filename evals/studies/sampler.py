"""The adaptive policy on simulated reasoners: its kinds of step, and the steps that improve.

python -m evals.studies.sampler [--seeds 200] [--steps 40]

No script is executed. The reasoner's directed steps improve with chance `skill`, another hypothesis
of the same diagnosis with .8 of it, every other kind of step one time in five; an improvement is
worth 3 standard errors. A directed step costs 2 s, a redraft 4 s.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from evals.harness.pages import study_parser, table_head, table_row
from policies.adaptive import sample_arms
from policies.protocol import Choice, View
from report.reliability import Prediction
from run.history import HistoryEntry

ELSEWHERE = 0.2  # chance to improve without the gradient
MODES = ("directed", "broaden", "backtrack", "draft")
SECONDS = {"directed": 2.0, "broaden": 2.0, "backtrack": 2.0, "draft": 4.0}


def make_attempt(index: int, **changes: Any) -> HistoryEntry:
    """Return attempt `index` of trace 0: a draft that tied, with `changes`."""
    base: dict[str, Any] = {"id": f"t0s{index}", "ref": f"ref{index}", "step": index}
    base |= {"kind": "draft", "mode": "draft", "score": 0.5, "gain": 0.0, "gain_se": 1.0}
    return HistoryEntry(**(base | {"seconds": 2.0} | changes))


def simulate_run(skill: float, seed: int, steps: int = 40) -> tuple[Counter[str], int]:
    """Return the steps by mode, and how many of them improved."""
    rng = random.Random(f"{skill}/{seed}")
    attempts = [make_attempt(0, verdict="accepted", gain=None, replaces=True)]
    counts: Counter[str] = Counter()
    best, n_tried, n_improved = "ref0", 0, 0
    for index in range(1, steps):
        view = View(attempts, best, max(0, 4 - n_tried), "max", n_tried)
        choice = sample_arms(view, random.Random(f"{seed}/0/{index}"))
        counts[choice.mode] += 1
        chance = {"directed": skill, "broaden": 0.8 * skill}.get(choice.mode, ELSEWHERE)
        won = rng.random() < chance
        attempts.append(simulate_attempt(index, choice, won))
        n_improved += won
        n_tried = 0 if won else 1 if choice.mode == "directed" else n_tried + 1
        best = f"ref{index}" if won else best
    return counts, n_improved


def simulate_attempt(index: int, choice: Choice, won: bool) -> HistoryEntry:
    """Return the attempt that the chosen step leads to."""
    gain = 3.0 if won else -1.5
    return make_attempt(
        index,
        parent="t0s" + choice.base[3:] if choice.base else None,
        prediction=None if choice.mode == "draft" else Prediction("model", "small", 0.5, won, gain),
        mode=choice.mode,
        verdict="accepted" if won else "rejected",
        gain=gain,
        replaces=won,
        seconds=SECONDS[choice.mode],
    )


def mode_shares(skill: float, seeds: int, steps: int = 40) -> dict[str, float]:
    """Return the mean share of each mode, and of steps that improved."""
    total: Counter[str] = Counter()
    n_improved = 0
    for seed in range(seeds):
        counts, n_won = simulate_run(skill, seed, steps)
        total.update(counts)
        n_improved += n_won
    n = sum(total.values())
    shares = {mode: total[mode] / n for mode in MODES}
    return shares | {"improved": n_improved / n}


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    head = ["skill", "directed", "broaden", "backtrack", "redraft", "steps that improved"]
    print("\n".join(table_head([*head, "always directed", "never directed"])))
    for skill in (0.0, 0.25, 0.5, 0.75, 1.0):
        shares = mode_shares(skill, options.seeds, options.steps)
        figures = [*(shares[mode] for mode in MODES), shares["improved"], skill, ELSEWHERE]
        print(table_row([str(skill), *(f"{figure:.2f}" for figure in figures)]))


if __name__ == "__main__":
    main()
