"""Weights of blends: two candidates, and a score that pays for having chosen between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from task.grade import blend_weights
from task.grade.blend_weights import (
    Blending,
    Nest,
    blend_nested,
    convex_weights,
    deal_blocks,
    limit_to_time,
)
from task.grade.metric import Metric


def rmse(y: Any, p: Any) -> float:
    return float(np.sqrt(np.mean((y - p) ** 2)))


def correlation(y: Any, p: Any) -> float:
    return float(np.corrcoef(y, p)[0, 1])


RMSE = Metric("rmse", "min", "value", rmse)
CORRELATION = Metric("r", "max", "value", correlation, resample="folds")


def make_blending(metric: Metric, seed: int, n: int = 200, *, truth: float = 0.0) -> Blending:
    """Eight members of noise; the first two know the truth with this weight."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    parts = {f"m{i}": rng.normal(size=(n, 1)) * 0.3 for i in range(8)}
    for name in ("m0", "m1"):
        parts[name] = parts[name] + truth * y.reshape(-1, 1)
    fold = np.arange(n) % 5
    empty = np.empty(0)
    return Blending(metric, y, parts, fold, "mean", empty, y.reshape(-1, 1))


def test_convex_weights_share_between_members_that_know_something() -> None:
    weights = convex_weights(make_blending(RMSE, 0, 500, truth=0.9), np.arange(500))
    assert set(weights) == {"m0", "m1"} and sum(weights.values()) == pytest.approx(1)
    assert abs(weights["m0"] - 0.5) < 0.1


def test_the_nested_score_of_noise_does_not_pay_for_weights_and_candidates() -> None:
    """Chosen on all rows noise looks better than chance, 0; nested it does not."""
    nested, flattered = [], []
    for seed in range(16):
        blending = make_blending(CORRELATION, seed, 120)
        total, weights, _ = blend_nested(blending)
        whole = sum(weight * blending.parts[name][:, 0] for name, weight in weights.items())
        nested.append(correlation(blending.y, total[:, 0]))
        flattered.append(correlation(blending.y, whole))
    assert np.mean(flattered) > 0.1 and np.mean(nested) < 0.04


def test_rows_are_blended_by_weights_and_a_candidate_that_do_not_know_them() -> None:
    """Other labels in one block change nothing about how that block is blended."""
    one, two = (make_blending(RMSE, 3, truth=0.5) for _ in range(2))
    held = one.blocks == 2
    two.y = np.where(held, -9.0, two.y)
    two.target = two.y.reshape(-1, 1)
    assert np.array_equal(blend_nested(one)[0][held], blend_nested(two)[0][held])
    assert not np.array_equal(blend_nested(one)[0][~held], blend_nested(two)[0][~held])


def test_one_or_two_folds_are_divided_with_whole_groups() -> None:
    groups = np.repeat(np.arange(20), 5)
    blocks = deal_blocks(np.zeros(100, dtype=int), groups)
    assert len(np.unique(blocks)) == 4
    assert all(len(np.unique(blocks[groups == one])) == 1 for one in range(20))
    assert len(np.unique(deal_blocks(np.arange(100) % 12, None))) == 5


def test_a_slow_metric_chooses_among_fewer_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blend_weights, "SCORING_S", 1e-9)
    limited = limit_to_time(make_blending(RMSE, 0))
    assert (list(limited.parts), limited.n_rounds) == (["m0", "m1"], 2)
    assert Nest(limited).choose() in ("greedy", "convex")
