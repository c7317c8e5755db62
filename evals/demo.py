"""`make run`: solve one real example and print the private scores of first draft and submission."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from evals.harness.common import ExampleResult, solve_example
from graph.settings import Settings
from report.console import make_listener
from run.folder import new_run_folder


def main(example: str) -> int:
    settings = Settings(
        traces=2, steps=7, time_s=170, memory="runs/memory", embedding="lexical", seed=0
    )
    folder = new_run_folder(settings, example)
    place = Path("tasks") / example
    with make_listener("live", run_dir=folder) as listener:
        result = asyncio.run(
            solve_example(example, place, settings, folder=folder, listeners=(listener.on_event,))
        )
    print(result_summary(result))
    return 0 if result.outcome.submission else 1


def result_summary(result: ExampleResult) -> str:
    """Return both private scores beside the cross-validated ones, and where the files are."""
    outcome = result.outcome
    better = "higher" if result.direction == "max" else "lower"
    lines = [
        f"\nPrivate score of {result.example} ({outcome.metric}, {better} is better; "
        f"the answers are in tasks/{result.example}-private, where the run cannot read them):",
        f"  first draft        {format_number(result.draft_private)}"
        f"   (cross-validated {format_number(result.draft_score)})",
        f"  final submission   {format_number(result.final_private)}"
        f"   (cross-validated {format_number(outcome.score)})",
        f"  {result.n_accepted} of {result.n_attempts} attempts accepted beyond noise",
        f"\nsubmission  {outcome.submission}",
        f"solution    {outcome.solution}"
        f"   (runs on its own: cd {outcome.folder / 'best'} && python solution.py)",
    ]
    return "\n".join(lines)


def format_number(value: float | None) -> str:
    """Return five decimals, or `none`."""
    return "none" if value is None else f"{value:.5f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "modechoice"))
