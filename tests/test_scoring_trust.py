"""Acceptance under noise, the audit's budget of bits, and the finale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from kit import Player, events, make_record, quick, write_task
from trust_kit import one_column, open_run_without_worker

from run.registry import close_run
from scoring import audit
from scoring.acceptance import Judgement, TieBreak, is_doubtful, judge_attempt
from scoring.final_choice import Contender, choose_single
from session.session import start_run
from task.grade.compare import compare_predictions
from task.grade.metrics import get_metric
from task.types import Grade, Paired, Problem, Score


def grade(d: float, se: float = 1.0, **changes: Any) -> Grade:
    best = Paired(d=d, se=se, p_improved=0.5)
    base = Grade(ok=True, paired={"best": best}, audit=Score(value=0.5, se=0.1))
    return base.model_copy(update=changes)


def test_a_difference_near_the_bar_is_doubtful_and_a_clear_one_is_not() -> None:
    assert [is_doubtful(grade(d)) for d in (-1.0, 0.3, 0.9, 2.5, 3.5)] == [
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
    once, twice = (
        compare_predictions(metric, y, new[:1], old[:1], None, 0),
        compare_predictions(metric, y, new, old, None, 0),
    )
    assert twice["se"] < once["se"]
    lucky = [old[0] * 0.5 + y * 0.5, old[1]]  # the same pipeline, very different under two seeds
    assert compare_predictions(metric, y, lucky, old, None, 0)["se"] > 2 * twice["se"]


async def test_the_audit_answers_until_its_bits_are_spent_and_never_twice_for_one_attempt(
    tmp_path: Path,
) -> None:
    run = open_run_without_worker(tmp_path, audit_bits=2)
    try:
        accepted = judge_attempt(
            grade(9.0), z=1, has_best=True, new=TieBreak(1, 1), best=TieBreak(1, 1)
        )
        against = Paired(d=-5.0, se=1.0, p_improved=0.0)
        contradicted = grade(9.0, audit_paired={"best": against})
        first = await audit.consult_audit(run, "t0s1r0", contradicted, accepted)
        assert first.codes == ["audit_contradicts"]
        assert (
            await audit.consult_audit(run, "t0s1r0", contradicted, accepted) == first
            and audit.count_audit_bits(run) == 1
        )
        assert await audit.consult_audit(run, "t0s2r0", grade(9.0), accepted) == accepted
        assert (
            await audit.consult_audit(run, "t0s3r0", contradicted, accepted) == accepted
        )  # the budget is spent: no answer
        told = audit.audit_account(run, more=1.0)
        assert (told["bits"], told["budget"], told["blocked"], told["refused"]) == (3.0, 2, 1, 1)
    finally:
        await close_run(run.folder)


async def test_the_audit_is_not_consulted_about_rejected_attempts(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path)
    try:
        rejected = Judgement("rejected", False, [Problem(code="worse", message="worse")])
        assert (
            await audit.consult_audit(run, "t0s1r0", grade(-9.0), rejected) == rejected
            and audit.count_audit_bits(run) == 0
        )
    finally:
        await close_run(run.folder)


def contender(name: str, scores: list[float], audit_value: float | None, run: Any) -> Contender:
    audit = Score(value=audit_value, se=0.1) if audit_value is not None else None
    held = run.artifacts.put_json(Grade(ok=True, audit=audit).model_dump())
    return Contender(make_record(id=name, grade=held), scores, [])


async def test_the_finale_prefers_a_steady_solution_and_asks_the_audit_between_level_ones(
    tmp_path: Path, monkeypatch: Any
) -> None:
    run = open_run_without_worker(tmp_path)
    level: dict[str, bool] = {}

    async def is_level(run: Any, first: Contender, other: Contender) -> bool:
        return level.get(other.attempt.id, False)

    monkeypatch.setattr("scoring.final_choice.is_level", is_level)
    try:
        lucky, steady = (
            contender("a", [0.95, 0.80, 0.80], 0.7, run),
            contender("b", [0.84, 0.85, 0.84], 0.8, run),
        )
        assert (await choose_single(run, [lucky, steady]))[0].attempt.id == "b"
        rival = contender("c", [0.84, 0.84, 0.84], 0.9, run)
        assert (await choose_single(run, [steady, rival]))[0].attempt.id == "b"
        level["c"] = True
        assert await choose_single(run, [steady, rival]) == (rival, 2)
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
    """With pure noise, a difference in doubt is decided by two seeds of each side."""
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
