"""best/plots.json beside every published best; a worker that cannot draw costs a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from kit import HONEST, Player, events, make_record, quick, write_task
from trust_kit import open_run_without_worker, save

from run.plots import publish_plots
from run.registry import close_run
from session.session import start_run


async def test_the_best_attempt_has_its_plots_and_no_row(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Player([HONEST.format(noise=2), HONEST.format(noise=0.2)])
    done = await start_run(str(task), quick(tmp_path, steps=2), reasoner=player)
    stored = json.loads((done.folder / "best" / "plots.json").read_text())
    best = json.loads((done.folder / "best" / "best.json").read_text())
    assert stored["attempt"] == best["attempt"]
    [panel] = stored["panels"]
    assert panel["kind"] == "binary" and sum(n for n, _ in panel["groups"]) == panel["n"] == 120
    assert min(n for n, _ in panel["groups"]) >= 10
    page = (done.folder / "report.html").read_text()
    assert "Predictions of the best attempt" in page
    ids = set(pd.read_csv(task / "train.csv")["id"])
    assert not [id for id in ids if f'"{id}"' in page]


async def test_a_worker_that_cannot_draw_costs_a_warning(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path)
    try:
        train = pd.read_csv(f"{run.prepared.public}/train.csv")
        path = save(tmp_path / "oof.csv", train["id"], 0.5 + 0.1 * train["x"].clip(-4, 4))
        attempt = make_record(oof=run.artifacts.put_file(Path(path)))
        (run.folder / "best").mkdir(exist_ok=True)
        run.worker.limit_s = lambda: 0.001
        await publish_plots(run, run.folder / "best", attempt)
        [warning] = events(run.folder, "warning")
        assert "the report shows no plots of t0s1: " in str(warning["message"])
        assert not (run.folder / "best" / "plots.json").exists()
        run.worker.limit_s = lambda: 120.0
        await publish_plots(run, run.folder / "best", attempt)
        assert (run.folder / "best" / "plots.json").exists()
        await publish_plots(run, run.folder / "absent", make_record(oof=None))
    finally:
        await close_run(run.folder)
