"""Best single solution against the ensemble of a merge, on private rows of real data.

python -m evals.studies.ensemble [--examples modechoice,anes96,…] [--traces 3] [--steps 3]
                                 [--seeds 1]

The expert makes each run; its last ensemble and its best single solution are scored on the private
answers. `gain` is positive where the ensemble is better; `chosen` says whether its nested score
beat the single one's beyond noise, so that the run submits it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from evals.harness.common import (
    parse_run_options,
    private_answers,
    read_attempts,
    solve_example,
    write_results_page,
)
from graph.settings import Settings
from run.artifacts import Artifacts
from task.client import TaskWorker
from task.types import Prepared

DEFAULT = "modechoice,breast_cancer,diabetes,anes96,co2,fair,randhie"


class EnsembleRow(NamedTuple):
    """Private scores of one run's best single solution and last ensemble."""

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
        """How much better the ensemble is; None without one."""
        if self.ensemble is None:
            return None
        gain = self.ensemble - self.single
        return gain if self.direction == "max" else -gain


async def compare_ensemble(
    example: str, seed: int, place: Path, options: argparse.Namespace
) -> EnsembleRow:
    """Run the example below `place` and score both solutions."""
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
    task = place / example
    result = await solve_example(example, task, settings)
    folder = result.outcome.folder
    single, ensemble = pick_attempts(read_attempts(folder), result.direction)
    worker = TaskWorker()
    try:
        attempts = [attempt for attempt in (single, ensemble) if attempt]
        scores = [await score_attempt(worker, task, folder, attempt) for attempt in attempts]
    finally:
        await worker.close()
    return EnsembleRow(
        example=example,
        seed=seed,
        metric=result.outcome.metric,
        direction=result.direction,
        single=scores[0],
        ensemble=scores[1] if ensemble else None,
        chosen=ensemble is not None and ensemble["verdict"] == "accepted",
        n_members=len(ensemble["members"]) if ensemble else 0,
    )


def pick_attempts(
    attempts: list[dict[str, Any]], direction: str
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the best single attempt that the run accepted, and the last ensemble that ran."""
    scored = [attempt for attempt in attempts if attempt["score"] is not None]
    ensembles = [attempt for attempt in scored if attempt["kind"] == "ensemble"]
    singles = [
        attempt
        for attempt in scored
        if attempt["kind"] != "ensemble" and attempt["verdict"] in ("accepted", "tie")
    ]
    sign = 1 if direction == "max" else -1
    best = max(singles, key=lambda attempt: sign * attempt["score"])
    return best, ensembles[-1] if ensembles else None


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


def main() -> None:
    options = parse_run_options(__doc__ or "", DEFAULT, traces=3, steps=3, seeds=1)
    lines = [HEAD]
    print(HEAD, flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="gome-ensemble-") as temporary:
        for example, seed in itertools.product(options.examples.split(","), range(options.seeds)):
            row = asyncio.run(compare_ensemble(example, seed, Path(temporary), options))
            rows.append(row)
            lines.append(ensemble_line(row))
            print(lines[-1], flush=True)
    lines.append(ensemble_summary(rows))
    print(lines[-1])
    write_results_page(
        options.out, "Best single solution and ensemble", "python -m evals.studies.ensemble", lines
    )


def ensemble_summary(rows: list[EnsembleRow]) -> str:
    """Return how often the ensemble is better, over all runs and over those that submit it."""
    gains = [(row.gain, row.chosen) for row in rows if row.gain is not None]
    chosen = [gain for gain, is_chosen in gains if is_chosen]
    n_better = sum(gain > 0 for gain, _ in gains)
    n_chosen_better = sum(gain > 0 for gain in chosen)
    return (
        f"\nensemble better on the private rows: {n_better} of {len(gains)}; "
        f"among those submitted: {n_chosen_better} of {len(chosen)}"
    )


HEAD = (
    f"{'example':14} {'seed':>4} {'metric':>9} {'single':>10} {'ensemble':>10} {'gain':>9} "
    f"{'members':>8} chosen"
)


def ensemble_line(row: EnsembleRow) -> str:
    """Return the row as one line of the table."""
    start = f"{row.example:14} {row.seed:4} {row.metric:>9} {row.single:10.5g}"
    if row.ensemble is None:
        return f"{start} {'none made':>10}"
    chosen = "yes" if row.chosen else "no"
    return f"{start} {row.ensemble:10.5g} {row.gain:+9.2g} {row.n_members:8} {chosen}"


if __name__ == "__main__":
    main()
