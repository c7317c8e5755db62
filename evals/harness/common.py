"""What several evals share: write an example, run it, and score it on its private answers."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evals.harness.answers import keep_answer
from evals.harness.provenance import provenance_note
from graph.settings import Settings
from reasoner.protocol import Reasoner
from report.event_log import load_view
from run.artifacts import Artifacts
from run.events import Listener, iterate_events
from session.session import Outcome, start_run
from task.client import TaskWorker
from task.types import Prepared


@dataclass(frozen=True)
class ExampleResult:
    """One run with the private scores of its first draft and its final submission."""

    example: str
    seed: int
    outcome: Outcome
    direction: str
    draft_private: float | None
    final_private: float | None
    draft_score: float | None
    n_accepted: int  # accepted beyond noise after the first drafts, over all traces
    n_attempts: int

    @property
    def is_improved(self) -> bool:
        """Whether the final submission beats the first draft on the private rows."""
        if self.draft_private is None or self.final_private is None:
            return False
        gain = self.final_private - self.draft_private
        return gain > 0 if self.direction == "max" else gain < 0


class PrivateScores(NamedTuple):
    """Scores on the private answers; None where there is no submission."""

    draft: float | None
    final: float | None
    direction: str


async def write_example_task(example: str, folder: Path) -> None:
    """Write the example's task folder unless it exists."""
    if (folder / "task.yaml").exists():
        return
    worker = TaskWorker()
    try:
        await worker.write_example(example, str(folder))
    finally:
        await worker.close()


async def solve_example(
    example: str,
    place: Path,
    settings: Settings,
    *,
    folder: Path | None = None,
    listeners: tuple[Listener, ...] = (),
    reasoner: Reasoner | None = None,
) -> ExampleResult:
    """Write the example to `place`, solve it, and score its first draft and final submission.

    The private answers are beside the task folder, where the run cannot read them.
    """
    await write_example_task(example, place)
    outcome = await start_run(
        str(place), settings, folder=folder, listeners=listeners, reasoner=reasoner
    )
    attempts = read_attempts(outcome.folder)
    first = next((attempt for attempt in attempts if attempt["score"] is not None), None)
    scores = await private_scores(place, outcome, first)
    return ExampleResult(
        example=example,
        seed=settings.seed,
        outcome=outcome,
        direction=scores.direction,
        draft_private=scores.draft,
        final_private=scores.final,
        draft_score=first["score"] if first else None,
        n_accepted=load_view(outcome.folder).n_accepted,
        n_attempts=len(attempts),
    )


def read_attempts(folder: Path) -> list[dict[str, Any]]:
    """Return the run's `attempt` events in order."""
    return [event for event in iterate_events(folder / "events.jsonl") if event["ev"] == "attempt"]


async def private_scores(
    folder: Path, outcome: Outcome, first: dict[str, Any] | None
) -> PrivateScores:
    """Score the attempt `first` and the final submission on the answers beside the task folder."""
    setup = json.loads((outcome.folder / "setup.json").read_text())
    prepared = Prepared.model_validate(setup["prepared"])
    task, answers = str(folder), str(private_answers(folder))
    draft = final = None
    worker = TaskWorker()
    try:
        if outcome.submission:
            final = await worker.score_private(task, answers, str(outcome.submission))
        if first is not None:
            store = Artifacts(outcome.folder / "artifacts")
            submission, oof = (str(store.path(first[name])) for name in ("submission", "oof"))
            path = outcome.folder / "first-draft.csv"
            await worker.final_submission(prepared, submission, str(path), oof)
            draft = await worker.score_private(task, answers, str(path))
    finally:
        await worker.close()
    return PrivateScores(draft, final, prepared.task.direction)


async def score_attempt(
    worker: TaskWorker, task: Path, folder: Path, attempt: dict[str, Any]
) -> float:
    """Score the attempt's own submission on the private answers."""
    prepared = Prepared.model_validate(json.loads((folder / "setup.json").read_text())["prepared"])
    store = Artifacts(folder / "artifacts")
    source, oof = (str(store.path(attempt[name])) for name in ("submission", "oof"))
    out = folder / "one.csv"
    await worker.final_submission(prepared, source, str(out), oof)
    return await worker.score_private(str(task), str(private_answers(task)), str(out))


def private_answers(folder: Path) -> Path:
    """Return the file of answers that belongs to a task folder."""
    return folder.with_name(folder.name + "-private") / "answers.csv"


def parse_run_options(
    about: str, examples: str, *, traces: int, steps: int, seeds: int
) -> argparse.Namespace:
    """Parse the command line of an eval that runs examples over seeds."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", default=examples, help="comma separated")
    parser.add_argument("--seeds", type=int, default=seeds, help="seeds of each example, from 0")
    parser.add_argument("--traces", type=int, default=traces)
    parser.add_argument("--steps", type=int, default=steps, help="steps of each trace")
    parser.add_argument("--time", type=float, default=1800, help="seconds per run")
    parser.add_argument("--out", type=Path, help="page that the table is written to")
    return parser.parse_args()


def write_results_page(
    path: Path | None, title: str, command: str, lines: list[str], about: str = ""
) -> None:
    """Write the lines as a page of docs/results with its provenance; nothing without a path."""
    if path is not None:
        parts = [
            f"# {title}\n",
            *([about] if about else []),
            "```",
            *lines,
            "```\n",
            provenance_note(command),
        ]
        path.write_text(keep_answer(path, "\n".join(parts)))
