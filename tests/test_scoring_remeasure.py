"""A step may measure again: the best's mean counts from then on, and a rival may pass it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import Player, events, quick, write_task
from test_scoring_average import seeded

from policies.rivals import Rivalry, measure_rivals
from reasoner.protocol import Solution, UpdateBrief
from report.ledger import make_ledger
from run.best import read_best
from run.events import iterate_events
from session.session import start_run


def test_a_policy_measures_rivals_that_noise_cannot_tell_apart() -> None:
    def chosen(**changes: Any) -> str | None:
        given: dict[str, Any] = {"best": "b", "repeatable": {"b": 1, "r": 1, "far": 1}, "used": 0.9}
        given |= {"scores": {"b": 0.8, "r": 0.795, "far": 0.7}, "noise": [0.01, 0.02, 0.03]}
        choice = measure_rivals(Rivalry(**(given | changes)))
        assert choice is None or choice.mode == "remeasure"
        return choice.base if choice else None

    assert chosen() == "b" and chosen(repeatable={"b": 2, "r": 1}) == "r"
    assert chosen(repeatable={"r": 1}) == "r"  # the best reads no seed
    assert chosen(repeatable={"b": 2, "r": 2}) is None
    assert chosen(used=0.7) is None and chosen(noise=[0.001]) is None
    assert chosen(noise=[]) is None and chosen(best=None) is None


class Doubter(Player):
    """Measures the named attempt of its trace again in every update but the first few."""

    def __init__(self, scripts: list[str], names: dict[int, str]) -> None:
        super().__init__([*scripts, *[scripts[-1]] * 9])
        self.names = names
        self.offered: list[dict[str, int]] = []

    async def update(self, brief: UpdateBrief) -> Solution:
        self.offered.append(brief.repeatable)
        if name := self.names.get(brief.stage.step):
            return Solution(script="", summary="once more", remeasure=name)
        return await super().update(brief)


async def test_a_lucky_best_loses_its_luck_when_it_is_measured_again(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Doubter([seeded("x - y")], {1: "t0s0", 2: "t9s9"})
    settings = quick(tmp_path, steps=2)
    folder = (await start_run(str(task), settings, reasoner=player)).folder
    first, again = events(folder, "attempt")
    assert (again["kind"], again["verdict"], again["parent"]) == ("remeasure", "tie", "t0s0")
    assert again["codes"] == ["remeasured"] and "over 2 seeds" in again["reasons"][0]
    assert again["best_score"] == again["score"] < first["score"] and again["gain"] is None
    assert len(events(folder, "execution_finished")) == 2
    assert player.offered == [{"t0s0": 1}]
    best = read_best(folder / "best")
    assert best is not None and (best.attempt, best.score) == ("t0s0", again["score"])
    claims = make_ledger(iterate_events(folder / "events.jsonl")).claims.values()
    (claim,) = (one for one in claims if one.measured)
    assert [one.attempt for one in claim.measured] == ["t0s0"]
    assert claim.measured[0].score == again["score"] and "over 2 seeds" in claim.measured[0].note


@pytest.mark.slow
async def test_a_rival_is_judged_by_its_mean_and_an_unknown_one_fails_the_step_alone(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task", n=400)
    scripts = [seeded("x"), seeded("x - 0.15 * y"), seeded("x - y")]
    player = Doubter(scripts, {3: "t9s9", 4: "t0s1"})
    settings = quick(tmp_path, steps=6, step_p=1, confirm=True, patience=99)
    folder = (await start_run(str(task), settings, reasoner=player)).folder
    made = {event["id"]: event for event in events(folder, "attempt")}
    assert made["t0s3"]["verdict"] == "failed" and "t9s9" in made["t0s3"]["reasons"][0]
    again = made["t0s4"]
    assert again["kind"] == "remeasure" and again["parent"] == "t0s1"
    assert again["gain"] is not None and "over several seeds" in again["reasons"][0]
    assert again["verdict"] == "rejected"  # the best is better by far
