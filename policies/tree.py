"""AIDE's greedy tree search."""

from __future__ import annotations

import random
from collections.abc import Sequence

from policies.protocol import Choice, View
from run.history import HistoryEntry

N_DRAFTS = 5  # drafts before the first improvement (AIDE's num_drafts)
P_DEBUG = 0.5  # chance to repair a failed leaf (AIDE's debug_prob)
MAX_DEBUG_DEPTH = 3


def search_tree(view: View, rng: random.Random) -> Choice:
    """Draft, then repair a failed leaf or improve the best."""
    roots = [each for each in view.attempts if each.kind == "draft" or each.parent is None]
    if len(roots) < N_DRAFTS:
        return Choice("draft", None, f"draft {len(roots) + 1} of {N_DRAFTS}")
    broken = _repairable_leaves(view.attempts)
    if broken and rng.random() < P_DEBUG:
        return Choice("debug", rng.choice(broken).ref, "repair of a failed leaf")
    best = _best_valid(view)
    if best is None:
        return Choice("draft", None, "nothing valid yet")
    return Choice("directed", best, "improve the best node")


def _repairable_leaves(attempts: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Failed leaves that were not yet repaired too often."""
    known = {attempt.id: attempt for attempt in attempts}
    parents = {attempt.parent for attempt in attempts}
    failed = [each for each in attempts if each.verdict == "failed" and each.has_script]
    leaves = [attempt for attempt in failed if attempt.id not in parents]
    return [leaf for leaf in leaves if _failure_depth(leaf, known) < MAX_DEBUG_DEPTH]


def _failure_depth(attempt: HistoryEntry, known: dict[str, HistoryEntry]) -> int:
    """How many consecutive failed attempts lead to this one."""
    depth = 0
    while (parent := known.get(attempt.parent or "")) is not None and parent.verdict == "failed":
        attempt, depth = parent, depth + 1
    return depth


def _best_valid(view: View) -> str | None:
    scored = {
        each.ref: view.sign * each.score
        for each in view.attempts
        if each.score is not None and each.verdict != "failed" and each.has_oof
    }
    return max(scored, key=lambda ref: scored[ref], default=None)
