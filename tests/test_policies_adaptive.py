"""The trust policy: what it believes, and what it does with reasoners of known skill."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sampler_kit import make_attempt, mode_shares, view

from policies.adaptive import (
    MAX_WIDTH,
    arm_belief,
    diagnosis_width,
    earlier_bests,
    sample_arms,
)
from report.reliability import Prediction
from run.history import HistoryEntry


def step(index: int, mode: str, z: float | None, **changes: Any) -> HistoryEntry:
    """A measured step: z standard errors of improvement, accepted above 1."""
    verdict = "failed" if z is None else "accepted" if z > 1 else "rejected" if z < -1 else "tie"
    return make_attempt(
        index, mode=mode, verdict=verdict, gain=z, gain_se=None if z is None else 1.0, **changes
    )


def test_the_policy_follows_a_good_gradient_and_leaves_a_useless_one() -> None:
    directed = {skill: mode_shares(skill, seeds=20)["directed"] for skill in (0.0, 0.5, 1.0)}
    assert directed[0.0] < 0.5 < 0.6 < directed[0.5] < directed[1.0]
    assert directed[1.0] > 0.9


def test_a_larger_improvement_counts_more_than_a_small_one_and_a_crash_counts_as_none() -> None:
    small, large, none = (
        arm_belief("directed", view([step(1, "directed", z)])).mean for z in (1.1, 6.0, None)
    )
    assert large > small > 0.5 > none


def test_older_results_count_less() -> None:
    lost, won = step(1, "directed", -3), step(2, "directed", 3)
    assert (
        arm_belief("directed", view([lost] * 5 + [won] * 5)).mean
        > arm_belief("directed", view([won] * 5 + [lost] * 5)).mean
    )


def test_a_mode_untried_for_long_returns_to_its_prior() -> None:
    history = [step(index, "backtrack", -3) for index in range(5)]
    later = history + [step(index, "directed", 3) for index in range(5, 45)]
    fresh = arm_belief("backtrack", view([])).mean
    assert (
        arm_belief("backtrack", view(history)).mean
        < arm_belief("backtrack", view(later)).mean
        == pytest.approx(fresh, rel=0.15)
    )


def test_a_step_that_costs_more_must_bring_more() -> None:
    dear = [step(index, "directed", 2, seconds=60.0) for index in range(6)]
    cheap = [step(index, "broaden", 2, seconds=1.0) for index in range(6, 12)]
    known = view(
        [
            make_attempt(0, verdict="accepted", gain=None),
            *dear,
            *cheap,
            *[step(index, "directed", 0) for index in range(12, 15)],
        ]
    )
    known = known._replace(best="ref0", open_hypotheses=2, tried=1)
    modes = [sample_arms(known, random.Random(seed)).mode for seed in range(200)]
    assert modes.count("broaden") > 150


def test_a_diagnosis_is_tried_wider_after_misses_and_narrow_again_after_a_hit() -> None:
    missed = [step(index, "directed", 0) for index in range(8)]
    assert [diagnosis_width(missed[:n]) for n in (0, 1, 2, 8)] == [1, 2, 3, MAX_WIDTH]
    assert diagnosis_width([*missed, step(9, "directed", 3)]) == 1


def test_the_policy_starts_with_a_few_drafts_over_all_traces() -> None:
    def modes(own: int, others: int, steps: int) -> set[str]:
        drafts = [
            make_attempt(index, mode="draft", verdict="accepted", gain=None, replaces=True)
            for index in range(own)
        ]
        known = view(drafts)._replace(best="ref0", others=drafts[:1] * others, steps=steps)
        return {sample_arms(known, random.Random(seed)).mode for seed in range(30)}

    assert modes(1, 0, 12) == modes(2, 1, 12) == {"draft"}
    assert "directed" in modes(5, 0, 12) and "directed" in modes(1, 4, 40)
    assert "directed" in modes(1, 2, 8) and modes(2, 0, 8) == {"draft"}
    assert "directed" in modes(1, 0, 3)  # a short run has no room for it
    forgotten = view([step(index, "directed", 0) for index in range(40)])._replace(
        best="ref0", steps=300
    )
    assert "directed" in {sample_arms(forgotten, random.Random(seed)).mode for seed in range(30)}


def test_another_hypothesis_is_tried_only_within_the_width() -> None:
    history = [
        make_attempt(0, verdict="accepted", gain=None, replaces=True),
        step(1, "directed", 0),
    ]
    for tried, allowed in ((0, False), (1, True), (2, False)):
        known = view(history)._replace(best="ref0", open_hypotheses=4, tried=tried)
        modes = {sample_arms(known, random.Random(seed)).mode for seed in range(100)}
        assert ("broaden" in modes) is allowed


def test_a_base_without_gain_twice_is_not_chosen_again() -> None:
    history = [
        make_attempt(0, replaces=True),
        make_attempt(1, replaces=True),
        make_attempt(2, replaces=True),
    ]
    vain = [step(index, "backtrack", -2, parent="t0s0") for index in (3, 4)]
    assert earlier_bests(view(history)._replace(best="ref2")) == ["ref0", "ref1"]
    assert earlier_bests(view(history + vain)._replace(best="ref2")) == ["ref1"]


def predicted(index: int, helped: bool) -> HistoryEntry:
    z = 3.0 if helped else -3.0
    prediction = Prediction("model", "small", 0.8, helped, z)
    return step(index, "directed", z, prediction=prediction, trace=1)


def test_predictions_of_other_traces_move_the_prior() -> None:
    good, bad = ([predicted(index, helped) for index in range(8)] for helped in (True, False))
    means = [
        arm_belief("directed", view([])._replace(others=others)).mean for others in (bad, [], good)
    ]
    assert means == sorted(means) and means[0] < 0.25 < 0.75 < means[2]
