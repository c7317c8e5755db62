"""Acceptance under noise, the audit's budget of bits, the finale, and the budget plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit import HONEST, Player, events, quick, write_task
from trust_kit import binary_frames, one_column, write_frames

from graph.settings import Settings
from run import budget
from run.registry import close_run, open_run
from run.folder import make_run_folder
from scoring import audit
from scoring.acceptance import Judgement, Side, doubtful, judge
from scoring.final_choice import Contender, chosen
from session.session import start_run
from task.grade.compare import paired
from task.grade.metrics import get_metric


def grade(d: float, se: float = 1.0, **changes: Any) -> Any:
    found = {"d": d, "se": se, "p_improved": 0.5, "method": "rows", "n": 100}
    return {
        "ok": True,
        "problems": [],
        "paired": {"best": found},
        "audit": {"value": 0.5},
        "audit_leak": None,
        "audit_paired": {},
    } | changes


def run_of(tmp_path: Path, **changes: Any) -> Any:
    """An open run whose setup needs no worker."""
    folder = tmp_path / "run"
    make_run_folder(folder, "task", Settings.model_validate({"memory": "off"} | changes))
    (folder / "setup.json").write_text(json.dumps({"prepared": prepared(tmp_path), "profile": {}}))
    return open_run(folder)


def prepared(tmp_path: Path) -> dict[str, Any]:
    from trust_kit import ready

    return ready(write_task(tmp_path / "task")).model_dump() | {"n_audit": 200}


def test_a_difference_near_the_bar_is_in_doubt_and_a_clear_one_is_not() -> None:
    assert [doubtful(grade(d)) for d in (-1.0, 0.3, 0.9, 2.5, 3.5)] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_second_seed_averages_noise_and_counts_the_spread_over_seeds() -> None:
    rng, metric = np.random.default_rng(0), get_metric("mse")
    y = rng.normal(size=500)
    new, old = ([y + rng.normal(0, 1, 500) for _ in range(2)] for _ in range(2))
    once, twice = paired(metric, y, new[:1], old[:1], None, 0), paired(metric, y, new, old, None, 0)
    assert twice["se"] < once["se"]
    lucky = [old[0] * 0.5 + y * 0.5, old[1]]  # the same pipeline, very different under two seeds
    assert paired(metric, y, lucky, old, None, 0)["se"] > 2 * twice["se"]


async def test_the_audit_answers_until_its_bits_are_spent_and_never_twice_for_one_attempt(
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path, audit_bits=2)
    try:
        accepted = judge(grade(9.0), z=1, has_best=True, new=Side(1, 1), best=Side(1, 1))
        against = {"d": -5.0, "se": 1.0, "p_improved": 0.0, "method": "rows", "n": 100}
        contradicted = grade(9.0, audit_paired={"best": against})
        first = await audit.consult(run, "t0s1r0", contradicted, accepted)
        assert first.codes == ["audit_contradicts"]
        assert (
            await audit.consult(run, "t0s1r0", contradicted, accepted) == first
            and audit.asked(run) == 1
        )
        assert await audit.consult(run, "t0s2r0", grade(9.0), accepted) == accepted
        assert (
            await audit.consult(run, "t0s3r0", contradicted, accepted) == accepted
        )  # the budget is spent: no answer
        told = audit.account(run, more=1.0)
        assert (told["bits"], told["budget"], told["blocked"], told["refused"]) == (3.0, 2, 1, 1)
    finally:
        await close_run(run.folder)


async def test_the_audit_is_not_asked_about_what_is_not_accepted(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    try:
        rejected = Judgement("rejected", False, [{"code": "worse", "message": "worse"}])
        assert (
            await audit.consult(run, "t0s1r0", grade(-9.0), rejected) == rejected
            and audit.asked(run) == 0
        )
    finally:
        await close_run(run.folder)


async def test_the_plan_divides_the_budget_and_keeps_a_reserve(tmp_path: Path) -> None:
    run = run_of(tmp_path, time_s=1000, max_executions=40, max_tokens=1000, run_time_s=600)
    try:
        plan = budget.plan(run)
        assert plan["seconds"] == {"draft": 100, "improve": 800, "finalize": 100}
        assert plan["executions"]["finalize"] == 4 and plan["tokens"]["draft"] == 100
        used: Any = {"time_s": 0.0, "executions": 35, "tokens": 0, "usd": 0.0}
        assert (
            budget.over(run, used) == ""
            and budget.over(run, used | {"executions": 36}) == "budget: executions"
        )
        draft: Any = {"kind": "draft", "mode": "draft", "parent": None}
        assert budget.script_limit_s(run, draft) == pytest.approx(100) and budget.script_limit_s(
            run
        ) == pytest.approx(600, rel=0.01)
    finally:
        await close_run(run.folder)


async def test_a_small_edit_of_a_quick_script_gets_a_short_limit(tmp_path: Path) -> None:
    run = run_of(tmp_path, run_time_s=600)
    try:
        base = run.artifacts.put_json({"seconds": 10.0})
        work: Any = {
            "kind": "update",
            "mode": "directed",
            "parent": "t0s0",
            "base": base,
            "repairs": 0,
            "hypothesis": {"cost": "low"},
        }
        assert budget.script_limit_s(run, work) == pytest.approx(100)
        assert budget.script_limit_s(run, work | {"hypothesis": {"cost": "high"}}) == pytest.approx(
            600, rel=0.01
        )
    finally:
        await close_run(run.folder)


def contender(name: str, scores: list[float], audit_value: float | None, run: Any) -> Contender:
    held = {"audit": {"value": audit_value} if audit_value is not None else None}
    return Contender({"id": name, "trace": 0, "grade": run.artifacts.put_json(held)}, scores, [])


async def test_the_finale_prefers_a_steady_solution_and_asks_the_audit_between_level_ones(
    tmp_path: Path, monkeypatch: Any
) -> None:
    run = run_of(tmp_path)
    level: dict[str, bool] = {}

    async def is_level(run: Any, first: Contender, other: Contender) -> bool:
        return level.get(other.record["id"], False)

    monkeypatch.setattr("scoring.final_choice.is_level", is_level)
    try:
        lucky, steady = (
            contender("a", [0.95, 0.80, 0.80], 0.7, run),
            contender("b", [0.84, 0.85, 0.84], 0.8, run),
        )
        assert (await chosen(run, [lucky, steady]))[0].record["id"] == "b"
        rival = contender("c", [0.84, 0.84, 0.84], 0.9, run)
        assert (await chosen(run, [steady, rival]))[0].record["id"] == "b"
        level["c"] = True
        assert await chosen(run, [steady, rival]) == (rival, 2)
    finally:
        await close_run(run.folder)


async def test_the_finale_runs_leading_scripts_under_seeds(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    scripts = [one_column("x", noise=2.0), one_column("x", noise=0.1, noise_seed=7)]
    outcome = await start_run(
        str(task), quick(tmp_path, steps=2, confirm=False), reasoner=Player(scripts)
    )
    final = events(outcome.folder, "finalized")[0]
    seeds = [
        event["seed"] for event in events(outcome.folder, "execution_finished") if event.get("seed")
    ]
    accepted = [
        event for event in events(outcome.folder, "attempt") if event["verdict"] == "accepted"
    ]
    assert len(accepted) > 1
    assert sorted(seeds) == [1, 1, 2, 2] and all(
        len(one["scores"]) == 3 for one in final["candidates"]
    )
    assert final["sha256"]["submission.csv"] and final["audit"]["bits"] == 0


async def test_a_change_in_doubt_is_run_again_under_another_seed(tmp_path: Path) -> None:
    """Pure noise, other seed: whatever the first difference says, doubt is settled by two seeds of each side."""
    task = write_task(tmp_path / "task", n=300)
    scripts = [one_column("x", noise=1.0, noise_seed=seed * 100) for seed in range(6)]
    outcome = await start_run(str(task), quick(tmp_path, steps=6), reasoner=Player(scripts))
    settled = events(outcome.folder, "confirmed")
    for event in settled:
        attempt = next(
            item
            for item in events(outcome.folder, "attempt")
            if f"{item['id']}r0" == event["attempt"]
        )
        assert attempt["gain"] is not None and "over several seeds" in attempt["reasons"][0]


async def test_the_target_reached_ends_the_run_early(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    outcome = await start_run(
        str(task),
        quick(tmp_path, steps=5, target=0.8),
        reasoner=Player([HONEST.format(noise=0.01)] * 5),
    )
    assert outcome.reason == "target" and len(events(outcome.folder, "attempt")) == 1


async def test_a_limit_of_executions_ends_the_run_with_a_valid_submission(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    scripts = [HONEST.format(noise=noise) for noise in (3, 2, 1, 0.5, 0.1)]
    outcome = await start_run(
        str(task), quick(tmp_path, steps=5, max_executions=3), reasoner=Player(scripts)
    )
    assert (
        outcome.reason == "budget: executions"
        and outcome.submission is not None
        and outcome.submission.exists()
    )
    assert len(events(outcome.folder, "execution_finished")) <= 3


async def test_out_of_time_keeps_the_best_submission(tmp_path: Path) -> None:
    task = write_frames(tmp_path / "task", *binary_frames(300, 60), metric="auc")
    outcome = await start_run(
        str(task),
        quick(tmp_path, steps=5000, time_s=15),
        reasoner=Player([one_column("x", noise=2.0)] * 5000),
    )
    assert (
        outcome.reason == "budget: time"
        and outcome.submission is not None
        and outcome.submission.exists()
    )
