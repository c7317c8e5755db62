"""What the conditions of the crossover study change in the loop: who accepts an attempt, and what the tree improves.

- measured: the loop's own rule. Paired scores beyond noise, and validity where the harness itself sees a flaw of the data.
- verdict: the reasoner says whether an attempt is accepted, right with probability .5 + .5 q; right is what the measured rule says.
- score: the higher score is taken, whatever the leak gates and the data's flaws say; a tree search as it is mostly built.
- valid tree: the tree improves the best attempt by the measured rule rather than the one with the highest score.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from policies.protocol import Choice, View
from policies.tree import tree
from scoring.acceptance import Judgement, judge, one
from task.types import GradeJson


class Rules(NamedTuple):
    """None: the loop's own."""

    judge: Callable[..., Judgement] | None = None
    policy: Callable[[View, random.Random], Choice] | None = None


def rules_of(name: str, q: float, seed: int) -> Rules:
    if name == "measured":
        return Rules()
    if name == "verdict":
        return Rules(judge=by_verdict(q, seed))
    if name == "score":
        return Rules(judge=by_score)
    if name == "valid tree":
        return Rules(policy=valid_tree)
    raise ValueError(f"no rule named {name}")


def by_verdict(q: float, seed: int) -> Callable[..., Judgement]:
    def rule(grade: GradeJson, *, has_best: bool, **more: Any) -> Judgement:
        right = judge(grade, has_best=has_best, **more)
        if not has_best or not grade["ok"]:
            return right  # the first valid attempt, and what fails a gate, leave nothing to say
        paired = grade["paired"].get("best") or {}
        luck = random.Random(f"{seed}/verdict/{paired.get('d')}/{paired.get('se')}")
        if luck.random() < 0.5 + 0.5 * q:
            return right
        if right.verdict == "accepted":
            return one(
                "rejected",
                False,
                "verdict",
                f"the reasoner's verdict, wrong here: {right.texts[0]}",
            )
        return one(
            "accepted", True, "verdict", f"the reasoner's verdict, wrong here: {right.texts[0]}"
        )

    return rule


def by_score(grade: GradeJson, *, has_best: bool, **more: Any) -> Judgement:
    others = [problem for problem in grade["problems"] if not problem["code"].startswith("leak_")]
    if others or grade["score"] is None:
        return judge(grade, has_best=has_best, **more)
    paired = grade["paired"].get("best")
    if not has_best or (paired is not None and paired["d"] > 0):
        return one("accepted", True, "score", "the higher score")
    return one("rejected", False, "score", "no higher score")


def valid_tree(view: View, rng: random.Random) -> Choice:
    choice = tree(view, rng)
    if choice.mode == "directed" and view.best is not None:
        return Choice("directed", view.best, "improve the best node that is valid")
    return choice
