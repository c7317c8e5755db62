"""`make run`: one real example from a first draft to a better submission, then both private scores side by side."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from evals.harness.common import Result, solve
from graph.settings import Settings
from report.console import make_listener
from run.folder import new_run_folder


def main(example: str) -> int:
    settings = Settings(traces=2, steps=7, time_s=170, memory="runs/memory", seed=0)
    folder = new_run_folder(settings, example)
    with make_listener("live", run_dir=folder) as listener:
        result = asyncio.run(
            solve(
                example,
                Path("tasks") / example,
                settings,
                folder=folder,
                listeners=(listener.on_event,),
            )
        )
    print(account(result))
    return 0 if result.outcome.submission else 1


def account(result: Result) -> str:
    outcome = result.outcome
    lines = [
        f"\nPrivate score of {result.example} ({outcome.metric}, {'higher' if result.direction == 'max' else 'lower'} is better; the answers"
        f" lie in tasks/{result.example}-private, out of the run's reach):",
        f"  first draft        {number(result.draft_private)}   (cross-validated {number(result.draft_score)})",
        f"  final submission   {number(result.final_private)}   (cross-validated {number(outcome.score)})",
        f"  {result.n_accepted} steps accepted beyond noise of {result.n_attempts} attempts",
        f"\nsubmission  {outcome.submission}\nsolution    {outcome.solution}   (runs alone: cd {outcome.folder / 'best'} && python solution.py)",
    ]
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "none" if value is None else f"{value:.5f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "modechoice"))
