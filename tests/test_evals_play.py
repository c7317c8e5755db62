"""Runs of studies: what they share, and what a condition changes in the data that they get."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.harness.play import open_prepared_run, open_workbench
from graph.settings import Settings
from run.registry import close_run
from scoring.baseline import make_method


@pytest.mark.slow
async def test_runs_of_a_task_share_its_baseline_and_a_condition_without_surrogate_has_none(
    tmp_path: Path,
) -> None:
    bench = open_workbench(tmp_path)
    made, forms = [], []
    try:
        for surrogate in (True, True, False):
            settings = Settings(memory="off", surrogate=surrogate)
            run = await open_prepared_run(bench, "rare_class", settings, tmp_path / "runs" / "one")
            forms.append(run.prepared.soft is not None)
            if surrogate:
                made.append(await make_method(run, "plain model"))
            await close_run(run.folder)
    finally:
        await bench.worker.shut_down()
        await bench.sandbox.inner.close()
    assert forms == [True, True, False]
    assert made[0] == made[1] and set(made[0].files) > {"solution.py", "submission.csv"}
    assert len([*(bench.root / "grades" / "baselines").iterdir()]) == 1
