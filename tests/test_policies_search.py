"""Policies on recorded and on simulated histories."""

from __future__ import annotations

import random
from typing import Any

import pytest

from policies.gome import follow_gradient
from policies.mcts import search_uct
from policies.protocol import View
from policies.registry import POLICIES
from policies.tree import search_tree
from run.history import HistoryEntry


def attempt(index: int, **changes: Any) -> HistoryEntry:
    base: dict[str, Any] = {"id": f"t0s{index}", "ref": f"ref{index}", "kind": "draft"}
    base |= {"mode": "draft", "score": 0.5, "gain": 0.0, "gain_se": 1.0, "seconds": 2.0}
    return HistoryEntry(**(base | changes))


def view(attempts: list[HistoryEntry], best: str | None = None, n_open: int = 0) -> View:
    return View(attempts, best, n_open, "max")


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_starts_with_a_draft(name: str) -> None:
    assert POLICIES[name](view([]), random.Random(0)).mode == "draft"


def test_gome_always_follows_the_gradient_from_the_best() -> None:
    choice = follow_gradient(view([attempt(0), attempt(1)], best="ref0"), random.Random(0))
    assert (choice.mode, choice.base) == ("directed", "ref0")


def test_tree_drafts_five_times_then_improves_the_best_or_repairs_a_leaf() -> None:
    drafts = [attempt(index, score=index / 10) for index in range(4)]
    assert search_tree(view(drafts, best="ref3"), random.Random(0)).mode == "draft"
    drafts.append(attempt(4, score=None, verdict="failed", has_oof=False))
    seen = {search_tree(view(drafts, best="ref3"), random.Random(seed))[:2] for seed in range(20)}
    assert seen == {("directed", "ref3"), ("debug", "ref4")}


def test_a_leaf_is_repaired_three_times_at_most() -> None:
    chain = [attempt(index, score=index / 10) for index in range(5)]
    chain += [attempt(5, verdict="failed", score=None, has_oof=False)]
    for index in range(6, 9):
        chain.append(
            attempt(
                index,
                parent=f"t0s{index - 1}",
                kind="update",
                verdict="failed",
                score=None,
                has_oof=False,
            )
        )
    assert {
        search_tree(view(chain, best="ref4"), random.Random(seed)).mode for seed in range(20)
    } == {"directed"}


def test_mcts_fills_the_root_then_descends_to_the_better_child() -> None:
    nodes = [attempt(index, score=index / 10) for index in range(5)]
    assert search_uct(view(nodes[:4]), random.Random(0)).mode == "draft"
    assert search_uct(view(nodes), random.Random(0)).base == "ref4"


def test_mcts_counts_what_grew_from_another_traces_solution_as_a_root() -> None:
    nodes = [attempt(index, score=index / 10) for index in range(4)] + [
        attempt(4, parent="t1s3", kind="update", score=0.9)
    ]
    assert search_uct(view(nodes), random.Random(0)).base == "ref4"


@pytest.mark.parametrize("name", list(POLICIES))
def test_the_same_state_and_seed_give_the_same_choice(name: str) -> None:
    nodes = [
        attempt(
            index,
            score=index / 10,
            replaces=index % 2 == 0,
            verdict="accepted" if index % 2 else "rejected",
        )
        for index in range(9)
    ]
    choices = {
        POLICIES[name](view(nodes, best="ref8", n_open=2), random.Random("7/0/9")) for _ in range(5)
    }
    assert len(choices) == 1
