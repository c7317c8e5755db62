"""AIDE's greedy tree search."""

from __future__ import annotations

import random
from collections.abc import Sequence

from policies.protocol import Attempt, Choice, View

N_DRAFTS = 5  # tree and mcts: drafts before the first improvement (AIDE's num_drafts)
P_DEBUG = 0.5  # tree: chance to repair a failed leaf (AIDE's debug_prob)
MAX_DEBUG_DEPTH = 3


def tree(view: View, rng: random.Random) -> Choice:
    """AIDE's greedy search: drafts, then repair a failed leaf or improve the best."""
    roots = [
        attempt
        for attempt in view.attempts
        if attempt["kind"] == "draft" or attempt["parent"] is None
    ]
    if len(roots) < N_DRAFTS:
        return Choice("draft", None, f"draft {len(roots) + 1} of {N_DRAFTS}")
    broken = debuggable(view.attempts)
    if broken and rng.random() < P_DEBUG:
        return Choice("debug", rng.choice(broken)["ref"], "repair of a failed leaf")
    best = top(view)
    return (
        Choice("directed", best, "improve the best node")
        if best
        else Choice("draft", None, "nothing valid yet")
    )


def debuggable(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Failed leaves that were not yet repaired too often."""
    parents = {attempt["parent"] for attempt in attempts}
    return [
        a
        for a in attempts
        if a["verdict"] == "failed"
        and a["script"]
        and a["id"] not in parents
        and depth(a, attempts) < MAX_DEBUG_DEPTH
    ]


def depth(attempt: Attempt, attempts: Sequence[Attempt]) -> int:
    """How many failed attempts in a row lead to this one."""
    known = {other["id"]: other for other in attempts}
    n = 0
    while (parent := known.get(attempt["parent"] or "")) is not None and parent[
        "verdict"
    ] == "failed":
        attempt, n = parent, n + 1
    return n


def top(view: View) -> str | None:
    valid = [
        attempt
        for attempt in view.attempts
        if attempt["score"] is not None and attempt["verdict"] != "failed" and attempt["oof"]
    ]
    if not valid:
        return None
    sign = 1 if view.direction == "max" else -1
    return str(max(valid, key=lambda attempt: sign * attempt["score"])["ref"])
