"""Rules that the conditions of the crossover study change in the loop.

A condition changes who accepts an attempt, or which attempt the tree improves:

- measured: the loop's own rule. Paired scores beyond noise, and validity where the harness itself
  sees a flaw of the data.
- verdict: the reasoner says whether an attempt is accepted, and is right with probability
  .5 + .5 q; right is what the measured rule says.
- score: the higher score is accepted, whatever leak gates and flaws of the data say; a tree search
  as it is mostly built.
- valid tree: the tree improves the best attempt by the measured rule instead of the one with the
  highest score.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from policies.protocol import Choice, Policy, View
from policies.tree import search_tree
from scoring.acceptance import Acceptance, Judgement, judge_attempt, one_reason
from task.types import Grade


class LoopRules(NamedTuple):
    """Acceptance and policy of a run; None for the loop's own."""

    acceptance: Acceptance | None = None
    policy: Policy | None = None


def make_rules(name: str, q: float, seed: int) -> LoopRules:
    """Return the rules called `name` for a reasoner of skill q. Raises ValueError."""
    if name == "measured":
        return LoopRules()
    if name == "verdict":
        return LoopRules(acceptance=judge_by_verdict(q, seed))
    if name == "score":
        return LoopRules(acceptance=judge_by_score)
    if name == "valid tree":
        return LoopRules(policy=choose_in_valid_tree)
    raise ValueError(f"no rule named {name}")


def judge_by_verdict(q: float, seed: int) -> Acceptance:
    """Return an acceptance that is right with probability .5 + .5 q, by the same luck each time."""

    def rule(grade: Grade, *, has_best: bool, **more: Any) -> Judgement:
        right = judge_attempt(grade, has_best=has_best, **more)
        if not has_best or not grade.ok:
            return right  # no opinion on the first valid attempt, nor on one that fails a gate
        paired = grade.paired.get("best")
        d, se = (paired.d, paired.se) if paired else (None, None)
        luck = random.Random(f"{seed}/verdict/{d}/{se}")
        if luck.random() < 0.5 + 0.5 * q:
            return right
        text = f"the reasoner's verdict, wrong here: {right.texts[0]}"
        if right.verdict == "accepted":
            return one_reason("rejected", False, "verdict", text)
        return one_reason("accepted", True, "verdict", text)

    return rule


def judge_by_score(grade: Grade, *, has_best: bool, **more: Any) -> Judgement:
    """Accept the higher score, even where a leak gate objects."""
    others = [problem for problem in grade.problems if not problem.code.startswith("leak_")]
    if others or grade.score is None:
        return judge_attempt(grade, has_best=has_best, **more)
    paired = grade.paired.get("best")
    if not has_best or (paired is not None and paired.d > 0):
        return one_reason("accepted", True, "score", "the higher score")
    return one_reason("rejected", False, "score", "no higher score")


def choose_in_valid_tree(view: View, rng: random.Random) -> Choice:
    """Choose as the policy `tree` does, but improve the accepted best."""
    choice = search_tree(view, rng)
    if choice.mode == "directed" and view.best is not None:
        return Choice("directed", view.best, "improve the best node that is valid")
    return choice
