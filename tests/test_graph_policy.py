"""Policies on recorded and on simulated histories."""

from __future__ import annotations

import random
from typing import Any

import pytest

from graph.policy import POLICIES, View, adaptive, gome, mcts, posterior, tree


def attempt(index: int, **changes: Any) -> dict[str, Any]:
    base = {"id": f"t0s{index}", "ref": f"ref{index}", "parent": None, "kind": "draft", "mode": "draft", "score": 0.5, "verdict": "tie"}
    return base | {"replaces": False, "gain": 0.0, "seconds": 2.0, "script": "s", "oof": "o"} | changes


def view(attempts: list[dict[str, Any]], best: str | None = None, n_open: int = 0) -> View:
    return View(attempts, best, n_open, "max")


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_starts_with_a_draft(name: str) -> None:
    assert POLICIES[name](view([]), random.Random(0)).mode == "draft"


def test_gome_always_follows_the_gradient_from_the_best() -> None:
    choice = gome(view([attempt(0), attempt(1)], best="ref0"), random.Random(0))
    assert (choice.mode, choice.base) == ("directed", "ref0")


def test_tree_drafts_five_times_then_improves_the_best_or_repairs_a_leaf() -> None:
    drafts = [attempt(index, score=index / 10) for index in range(4)]
    assert tree(view(drafts, best="ref3"), random.Random(0)).mode == "draft"
    drafts.append(attempt(4, score=None, verdict="failed", oof=None))
    seen = {tree(view(drafts, best="ref3"), random.Random(seed))[:2] for seed in range(20)}
    assert seen == {("directed", "ref3"), ("debug", "ref4")}


def test_a_leaf_is_repaired_three_times_at_most() -> None:
    chain = [attempt(index, score=index / 10) for index in range(5)]
    chain += [attempt(5, verdict="failed", score=None, oof=None)]
    for index in range(6, 9):
        chain.append(attempt(index, parent=f"t0s{index - 1}", kind="update", verdict="failed", score=None, oof=None))
    assert {tree(view(chain, best="ref4"), random.Random(seed)).mode for seed in range(20)} == {"directed"}


def test_mcts_fills_the_root_then_goes_down_the_better_child() -> None:
    nodes = [attempt(index, score=index / 10) for index in range(5)]
    assert mcts(view(nodes[:4]), random.Random(0)).mode == "draft"
    assert mcts(view(nodes), random.Random(0)).base == "ref4"


def simulate(skill: float, seed: int, steps: int = 40) -> dict[str, int]:
    """A reasoner whose directed steps improve with chance `skill`; every other kind improves one time in five."""
    rng = random.Random(seed)
    attempts = [attempt(0, verdict="accepted", gain=None, replaces=True)]
    counts: dict[str, int] = {}
    for index in range(1, steps):
        choice = adaptive(view(attempts, best="ref0", n_open=2), rng)
        counts[choice.mode] = counts.get(choice.mode, 0) + 1
        won = rng.random() < (skill if choice.mode == "directed" else 0.2)
        attempts.append(attempt(index, mode=choice.mode, verdict="accepted" if won else "rejected", gain=0.1 if won else -0.1))
    return counts


def test_adaptive_follows_a_good_gradient_and_leaves_a_useless_one() -> None:
    share = {skill: sum(simulate(skill, seed).get("directed", 0) for seed in range(20)) / (20 * 39) for skill in (0.0, 0.5, 1.0)}
    assert share[0.0] < 0.35 < 0.6 < share[0.5] < share[1.0]
    assert share[1.0] > 0.9


def test_older_results_count_less() -> None:
    lost, won = attempt(1, mode="directed", verdict="rejected"), attempt(2, mode="directed", verdict="accepted", gain=0.1)
    recent_win = posterior("directed", [lost] * 5 + [won] * 5)
    recent_loss = posterior("directed", [won] * 5 + [lost] * 5)
    assert recent_win[0] > recent_loss[0] and recent_win[1] < recent_loss[1]
