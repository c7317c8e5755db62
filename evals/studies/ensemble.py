"""Best single solution against the ensemble of the merge, on private rows of real data.

python -m evals.studies.ensemble [--examples modechoice,anes96,…] [--traces 3] [--steps 3] [--seeds 1]

Each run is made by the expert; the last ensemble that a merge made and the run's best single solution are scored with the answers held back.
`gain` is positive where the ensemble is better; `chosen` tells whether its nested score beat the single one's beyond noise, so that the run
hands it over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from evals.harness.common import run_options, solve, write_page
from graph.settings import Settings
from run.artifacts import Artifacts
from run.events import read_events
from task.client import TaskWorker
from task.types import Prepared

DEFAULT = "modechoice,breast_cancer,diabetes,anes96,co2,fair,randhie"


class Row(NamedTuple):
    example: str
    seed: int
    metric: str
    direction: str
    single: float
    ensemble: float | None
    chosen: bool
    n_members: int

    @property
    def gain(self) -> float | None:
        if self.ensemble is None:
            return None
        return (
            self.ensemble - self.single if self.direction == "max" else self.single - self.ensemble
        )


async def compare(example: str, seed: int, place: Path, options: argparse.Namespace) -> Row:
    settings = Settings(
        traces=options.traces,
        steps=options.steps,
        time_s=options.time,
        seed=seed,
        memory="off",
        confirm=False,
        top_k=1,
        runs_dir=str(place / "runs"),
    )
    result = await solve(example, place / example, settings)
    folder = result.outcome.folder
    attempts = [event for event in read_events(folder / "events.jsonl") if event["ev"] == "attempt"]
    ensembles = [
        attempt
        for attempt in attempts
        if attempt["kind"] == "ensemble" and attempt["score"] is not None
    ]
    sign = 1 if result.direction == "max" else -1
    kept = [
        a
        for a in attempts
        if a["kind"] != "ensemble"
        and a["verdict"] in ("accepted", "tie")
        and a["score"] is not None
    ]
    single = max(kept, key=lambda attempt: sign * attempt["score"])
    last = ensembles[-1] if ensembles else None
    worker = TaskWorker()
    try:
        scores = [
            await private(worker, place / example, folder, attempt)
            for attempt in (single, last)
            if attempt
        ]
    finally:
        await worker.close()
    chosen = bool(last and last["verdict"] == "accepted")
    return Row(
        example,
        seed,
        result.outcome.metric,
        result.direction,
        scores[0],
        scores[1] if last else None,
        chosen,
        len(last["members"]) if last else 0,
    )


async def private(worker: TaskWorker, task: Path, folder: Path, attempt: dict[str, Any]) -> float:
    """The attempt's own submission on the answers held back."""
    prepared = Prepared.model_validate(json.loads((folder / "setup.json").read_text())["prepared"])
    out = folder / "one.csv"
    await worker.final_submission(
        prepared, str(Artifacts(folder / "artifacts").path(attempt["submission"])), str(out)
    )
    return await worker.score_private(
        str(task), str(task.with_name(task.name + "-private") / "answers.csv"), str(out)
    )


def main() -> None:
    options = run_options(__doc__ or "", DEFAULT, traces=3, steps=3, seeds=1)
    lines = [
        f"{'example':14} {'seed':>4} {'metric':>9} {'single':>10} {'ensemble':>10} {'gain':>9} {'members':>8} chosen"
    ]
    print(lines[0], flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="gome-ensemble-") as temporary:
        for example in options.examples.split(","):
            for seed in range(options.seeds):
                rows.append(asyncio.run(compare(example, seed, Path(temporary), options)))
                lines.append(text(rows[-1]))
                print(lines[-1], flush=True)
    made = [row for row in rows if row.gain is not None]
    handed = [row for row in made if row.chosen]
    lines.append(
        f"\nensemble better on the private rows: {sum((row.gain or 0) > 0 for row in made)} of {len(made)}; among those handed over: "
        f"{sum((row.gain or 0) > 0 for row in handed)} of {len(handed)}"
    )
    print(lines[-1])
    write_page(
        options.out, "Best single solution and ensemble", "python -m evals.studies.ensemble", lines
    )


def text(row: Row) -> str:
    start = f"{row.example:14} {row.seed:4} {row.metric:>9} {row.single:10.5g}"
    if row.ensemble is None:
        return f"{start} {'none made':>10}"
    return f"{start} {row.ensemble:10.5g} {row.gain:+9.2g} {row.n_members:8} {'yes' if row.chosen else 'no'}"


if __name__ == "__main__":
    main()
