"""What the evals share: a task written out, a run of it, private scores that no run can reach."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.harness.provenance import provenance
from graph.settings import Settings
from reasoner.protocol import Reasoner
from run.artifacts import Artifacts
from run.events import Listener, read_events
from session.session import Outcome
from session.session import start_run
from task.client import TaskWorker
from task.types import Prepared


@dataclass(frozen=True)
class Result:
    """One run with the private scores of its first draft and its final submission."""

    example: str
    seed: int
    outcome: Outcome
    direction: str
    draft_private: float | None
    final_private: float | None
    draft_score: float | None
    n_accepted: int  # accepted beyond noise after the first draft, over all traces
    n_attempts: int

    @property
    def improved(self) -> bool:
        if self.draft_private is None or self.final_private is None:
            return False
        return (
            self.final_private > self.draft_private
            if self.direction == "max"
            else self.final_private < self.draft_private
        )


async def write(example: str, folder: Path) -> None:
    """The example's task folder, unless it is there already."""
    if (folder / "task.yaml").exists():
        return
    worker = TaskWorker()
    try:
        await worker.write_example(example, str(folder))
    finally:
        await worker.close()


async def solve(
    example: str,
    place: Path,
    settings: Settings,
    *,
    folder: Path | None = None,
    listeners: tuple[Listener, ...] = (),
    reasoner: Reasoner | None = None,
) -> Result:
    """Writes the example, solves it and scores first draft and final submission with the answers held back beside it."""
    await write(example, place)
    outcome = await start_run(
        str(place), settings, folder=folder, listeners=listeners, reasoner=reasoner
    )
    attempts = [
        event for event in read_events(outcome.folder / "events.jsonl") if event["ev"] == "attempt"
    ]
    first = next((attempt for attempt in attempts if attempt["score"] is not None), None)
    draft, final, direction = await private_scores(place, outcome, first)
    accepted = [
        attempt
        for attempt in attempts
        if attempt["verdict"] == "accepted" and attempt["gain"] is not None
    ]
    return Result(
        example=example,
        seed=settings.seed,
        outcome=outcome,
        direction=direction,
        draft_private=draft,
        final_private=final,
        draft_score=first["score"] if first else None,
        n_accepted=len(accepted),
        n_attempts=len(attempts),
    )


async def private_scores(
    folder: Path, outcome: Outcome, first: dict[str, Any] | None
) -> tuple[float | None, float | None, str]:
    answers = folder.with_name(folder.name + "-private") / "answers.csv"
    prepared = Prepared.model_validate(
        json.loads((outcome.folder / "setup.json").read_text())["prepared"]
    )
    worker = TaskWorker()
    try:
        final = (
            await worker.score_private(str(folder), str(answers), str(outcome.submission))
            if outcome.submission
            else None
        )
        if first is None:
            return None, final, prepared.task.direction
        kept = Artifacts(outcome.folder / "artifacts").path(first["submission"])
        path = outcome.folder / "first-draft.csv"
        await worker.final_submission(prepared, str(kept), str(path))
        return (
            await worker.score_private(str(folder), str(answers), str(path)),
            final,
            prepared.task.direction,
        )
    finally:
        await worker.close()


def run_options(
    about: str, examples: str, *, traces: int, steps: int, seeds: int
) -> argparse.Namespace:
    """The command line of an eval that runs examples over seeds."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", default=examples)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--traces", type=int, default=traces)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--time", type=float, default=1800, help="seconds per run")
    parser.add_argument("--out", type=Path, help="page that the table is written to")
    return parser.parse_args()


def write_page(path: Path | None, title: str, command: str, lines: list[str]) -> None:
    if path is not None:
        path.write_text("\n".join([f"# {title}\n", "```", *lines, "```\n", provenance(command)]))
