"""Ensembles in a run: proposed by merge or reasoner, and a best/ that runs alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kit import HONEST, Player, events, quick, write_task
from trust_kit import one_column

from reasoner.protocol import Solution, UpdateBrief
from report.event_log import load_view
from session.session import start_run


class Halves(Player):
    """Trace 0 knows one column, trace 1 the other; then each proposes the given script."""

    async def draft(self, brief: Any) -> Solution:
        return Solution(script=self.scripts[brief.stage.trace], summary=f"half {brief.stage.trace}")


async def test_the_merge_blends_traces_and_best_holds_a_solution_that_runs_alone(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Halves([one_column("x", noise=0.4), one_column("y", sign=-1, noise=0.4)])
    settings = quick(tmp_path, traces=2, steps=1, average_seeds=2)
    outcome = await start_run(str(task), settings, reasoner=player)
    blended = [event for event in events(outcome.folder, "attempt") if event["kind"] == "ensemble"]
    assert [event["verdict"] for event in blended] == ["accepted"]
    assert set(blended[0]["members"]) == {"t0s0", "t1s0"} and outcome.score == blended[0]["score"]
    final = events(outcome.folder, "finalized")[0]
    assert final["ensemble"]["wins"] and "members/t0s0/solution.py" in final["sha256"]
    assert final["averaged"]["seeds"] == {"t0s0": [0, 1], "t1s0": [0, 1]}
    best = outcome.folder / "best"
    before = pd.read_csv(best / "submission.csv")
    subprocess.run([sys.executable, "solution.py"], cwd=best, check=True, timeout=120)
    after = pd.read_csv(best / "submission.csv").set_index("id")["label"]
    assert np.allclose(after[before["id"]], before["label"], atol=1e-6)


@pytest.mark.slow
async def test_ensemble_off_blends_nothing(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Halves([one_column("x"), one_column("y", sign=-1)])
    outcome = await start_run(
        str(task), quick(tmp_path, traces=2, steps=1, ensemble=False), reasoner=player
    )
    assert not [event for event in events(outcome.folder, "attempt") if event["kind"] == "ensemble"]


class Proposer(Halves):
    """Its first update names attempts instead of writing a script."""

    def __init__(self, scripts: list[str], names: list[str]) -> None:
        super().__init__(scripts)
        self.names = names
        self.told: list[list[str]] = []

    async def update(self, brief: UpdateBrief) -> Solution:
        self.told.append([fact.attempt for fact in brief.members])
        return Solution(
            script="",
            summary="blend both halves",
            hypothesis=brief.diagnosis.hypotheses[0],
            ensemble=self.names,
        )


async def test_a_reasoner_is_offered_nothing_that_its_ensemble_may_not_name(
    tmp_path: Path,
) -> None:
    player = Proposer([one_column("x"), one_column("y", sign=-1)], ["t0s0", "t1s0"])
    player.scripts += player.scripts  # a third step has a diagnosis too
    task = write_task(tmp_path / "task", n=300)
    outcome = await start_run(str(task), quick(tmp_path, traces=2, steps=3), reasoner=player)
    made = {e["id"] for e in events(outcome.folder, "attempt") if e["kind"] == "ensemble"}
    assert made & {"t0s1", "t1s1"}
    assert player.told[-1] and not made & {name for told in player.told for name in told}


async def test_a_reasoner_proposes_an_ensemble_by_attempt_ids(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Proposer([one_column("x"), one_column("y", sign=-1)], ["t0s0", "t1s0"])
    settings = quick(tmp_path, traces=2, steps=2, ahead=0)
    outcome = await start_run(str(task), settings, reasoner=player)
    proposed = [
        event
        for event in events(outcome.folder, "attempt")
        if event["step"] == 1 and event["trace"] >= 0
    ]
    assert player.told and set(player.told[0]) == {"t0s0", "t1s0"}
    assert {event["kind"] for event in proposed} == {"ensemble"} and {
        event["verdict"] for event in proposed
    } == {"accepted"}
    merged = events(outcome.folder, "merged")[-1]["best"]
    made = {e["id"]: e for e in events(outcome.folder, "attempt") if e["kind"] == "ensemble"}
    assert merged["attempt"] in made and outcome.score == merged["score"]
    assert load_view(outcome.folder).best == merged["attempt"]
    parts = [made[merged["attempt"]]["members"][name] for name in ("t0s0", "t1s0")]
    assert all(part["score"] > 0.5 and part["alike"] is not None for part in parts)


@pytest.mark.slow
async def test_an_ensemble_of_unknown_attempts_fails_and_the_run_continues(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Proposer([HONEST.format(noise=0.5), HONEST.format(noise=1)], ["t9s9", "t0s0"])
    outcome = await start_run(str(task), quick(tmp_path, steps=2), reasoner=player)
    failed = events(outcome.folder, "attempt")[1]
    assert (
        failed["verdict"] == "failed"
        and "t9s9" in failed["reasons"][0]
        and outcome.score is not None
    )
