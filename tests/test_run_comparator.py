"""One comparator for bests, finalists and blends: the finer loss, unless the metric tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kit import make_record
from numpy.typing import NDArray
from test_task_soft import make_task
from trust_kit import open_run_without_worker, save

from run.attempt import Attempt, ExecutionRecord, best_from
from run.comparator import find_leader, leads, measured_oofs, rank_solutions
from run.registry import close_run
from run.run import Run
from run.variants import seeded_parts
from scoring.final_blend import Rival, is_ahead
from scoring.final_choice import Contender, choose_single, is_level
from task.types import Grade


def add_attempt(run: Run, name: str, values: NDArray[np.float64], score: float) -> Attempt:
    """Store an attempt with these probabilities of `yes`."""
    ids = pd.read_csv(run.prepared.inputs["train.csv"])["id"]
    oof = run.artifacts.put_file(Path(save(run.folder / f"{name}.csv", ids, values)))
    files: dict[str, Any] = {"oof": oof, "script": run.artifacts.put(name), "score": score}
    files |= {"grade": run.artifacts.put_json(Grade(ok=True).model_dump())}
    made = make_record(name, verdict="accepted", submission=oof, **files)
    return made.evolve(ref=run.artifacts.put_json(made.dump()))


async def test_a_lucky_row_does_not_beat_better_probabilities(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path, final_seeds=2)
    prepared = make_task(tmp_path / "soft", "accuracy", 2)
    run.setup = run.setup.model_copy(update={"prepared": prepared})
    try:
        x = pd.read_csv(prepared.inputs["train.csv"])["x"].to_numpy()
        sound = 1 / (1 + np.exp(-3 * x))
        vague = 0.5 + np.sign(x) * np.random.default_rng(0).uniform(0.01, 0.49, len(x))
        known = {
            "t0s0": add_attempt(run, "t0s0", vague, 0.81),
            "t1s0": add_attempt(run, "t1s0", sound, 0.80),
            "t2s0": add_attempt(run, "t2s0", 1 - sound, 0.2),
        }
        lucky, better, wrong = (best_from(attempt) for attempt in known.values())
        assert await leads(run, better, lucky) and not await leads(run, lucky, better)
        assert await leads(run, lucky, wrong) and not await leads(run, wrong, better)
        assert not await leads(run, better, better) and await leads(run, wrong, None)
        assert await find_leader(run, [lucky, None, better]) == better
        assert await rank_solutions(run, [wrong, lucky, better]) == [better, lucky, wrong]
        rivals = {
            name: Contender(each, [each.score or 0.0], [str(each.oof)])
            for name, each in known.items()
        }
        chosen, n_level = await choose_single(run, [rivals["t0s0"], rivals["t1s0"]])
        assert (chosen.attempt.id, n_level) == ("t1s0", 1)
        assert not await is_level(run, rivals["t1s0"], rivals["t0s0"])
        assert await is_ahead(run, better, Rival(lucky, [str(known["t0s0"].oof)]))
        record = ExecutionRecord(exit_code=0, files={"oof.csv": str(known["t1s0"].oof)})

        async def execute() -> ExecutionRecord:
            return record

        script = str(known["t0s0"].script)
        for seed in (1, 3):  # a step may measure again more often than the finale does
            await run.once("seeded", seeded_parts(script, seed, ""), execute, ExecutionRecord)
        first, other = (str(known[name].oof) for name in ("t0s0", "t1s0"))
        assert measured_oofs(run, known["t0s0"]) == [first, other, other]
    finally:
        await close_run(run.folder)
