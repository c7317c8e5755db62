"""The momentum formula, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from memory import recall
from memory.protocol import Record


def a_record(name: str, kind: str = "accepted", gain: float = 0.04, se: float = 0.01) -> Record:
    return Record.model_validate(
        {
            "id": name,
            "kind": kind,
            "challenge": "",
            "hypothesis": name,
            "component": "model",
            "task_hash": "t",
            "gain": gain,
            "gain_se": se,
        }
    )


def test_gain_counts_in_units_of_noise_whatever_the_scale_of_the_metric() -> None:
    assert recall.noise_gain(a_record("a", gain=0.04, se=0.01)) == pytest.approx(math.tanh(1))
    assert recall.noise_gain(a_record("a", gain=4000, se=1000)) == pytest.approx(math.tanh(1))


def test_refuted_never_votes_for_and_zero_noise_is_bounded() -> None:
    assert recall.noise_gain(a_record("a", "refuted", gain=-0.04)) == pytest.approx(-math.tanh(1))
    assert recall.noise_gain(a_record("a", "refuted", gain=0.04)) == 0
    assert recall.noise_gain(a_record("a", gain=1, se=0)) == 1


def test_near_is_zero_at_the_floor_and_one_for_the_same_text() -> None:
    assert recall.hypothesis_kernel(np.array([0.1, 0.25, 0.625, 1.0]), 0.25) == pytest.approx(
        [0, 0, 0.5, 1]
    )


def test_evidence_from_unlike_challenges_keeps_fifteen_percent() -> None:
    assert recall.challenge_kernel(np.array([-1, 0.3, 0.65, 1.0])) == pytest.approx(
        [0.15, 0.15, 0.575, 1]
    )


def test_vote_is_the_shrunken_weighted_mean_of_neighbours() -> None:
    y, kernel, locality = np.array([0.8, -0.6]), np.array([[1, 0.5], [0.5, 1]]), np.array([1, 0.4])
    assert recall.neighbor_vote(y, kernel, locality) == pytest.approx(
        [(0.8 - 0.12) / (1 + 1.2), (0.4 - 0.24) / (1 + 0.9)]
    )


def test_score_is_fit_times_prior_plus_vote_times_what_is_not_applied() -> None:
    got = recall.ranking_score(
        np.array([0.64, -0.1, 0.64]), np.array([0.35, 0.9, -0.3]), np.array([0.5, 0, 0])
    )
    assert got == pytest.approx([0.64**1.5 * 0.6 * (1 - 0.65 * 0.5), 0, 0])


def test_the_published_formula_decays_over_the_path_and_is_clamped() -> None:
    fresh = recall.paper_logits(np.array([0.8]), np.array([0.1]), 0)
    assert fresh == pytest.approx([0.8 + math.tanh(0.1)])
    assert recall.paper_logits(np.array([0.8]), np.array([0.1]), 30) == pytest.approx(
        [0.4 + math.tanh(0.1)]
    )
    assert recall.paper_logits(np.array([0.8]), np.array([50.0]), 0, alpha=5) == pytest.approx([2])


def test_three_hints_best_first_then_two_warnings_worst_first() -> None:
    records = [a_record(n) for n in "abcd"] + [a_record(n, "refuted") for n in "xyz"]
    weight, m = np.array([1, 3, 2, 0.5, 9, 9, 9.0]), np.array([0, 0, 0, 0, -0.3, -0.5, -0.4])
    got = recall.choose_recalls(records, np.full(7, 0.5), weight, m, 3)
    assert [r.record.id for r in got] == ["b", "c", "a", "y", "z"]
    assert [r.weight for r in got] == [3, 2, 1, -0.5, -0.4]


def test_the_same_words_are_shown_once_and_a_warning_needs_weight() -> None:
    records = [a_record("Log target"), a_record("log  target"), a_record("w", "refuted")]
    got = recall.choose_recalls(
        records, np.full(3, 0.5), np.array([2, 1, 0.0]), np.array([0, 0, -0.1]), 3
    )
    assert [r.record.id for r in got] == ["Log target"]


def test_an_accepted_record_that_its_neighbours_refute_is_a_warning() -> None:
    got = recall.choose_recalls(
        [a_record("a")], np.array([0.9]), np.array([0.01]), np.array([-0.24]), 3
    )
    assert [(r.record.id, r.weight) for r in got] == [("a", -0.24)]
