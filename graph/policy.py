"""Policies: which step a trace takes next, and from which solution.  Pure functions of the trace's attempts.

`gome` follows the gradient from the trace's best (arXiv 2603.01692); `tree` is AIDE's greedy search, `mcts` UCT over attempts,
`random` best of N drafts; `adaptive` (graph/adaptive.py) measures inside the run which kind of step pays.  All run on the same nodes.
A policy takes all chance from the generator that it is given, which is seeded by run, trace and step: a resume chooses the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

Attempt = dict[str, Any]  # an attempt's gist (graph/gists.py), or its record with its own hash as `ref`
Mode = Literal["draft", "directed", "broaden", "backtrack", "debug", "crossover"]

N_DRAFTS = 5  # tree and mcts: drafts before the first improvement (AIDE's num_drafts)
P_DEBUG = 0.5  # tree: chance to repair a failed leaf (AIDE's debug_prob)
MAX_DEBUG_DEPTH = 3
UCT_C = 0.25  # exploration on min-max normalised scores (AIRA's setting)
N_CHILDREN = 5


class Choice(NamedTuple):
    """The next step: its mode and the record that it starts from (None: from nothing)."""

    mode: Mode
    base: str | None
    why: str


class View(NamedTuple):
    """What a policy may see."""

    attempts: Sequence[Attempt]  # the trace's own, oldest first
    best: str | None  # ref of the trace's best
    open_hypotheses: int  # of the last diagnosis of the best, not tried yet
    direction: Literal["max", "min"]
    tried: int = 0  # hypotheses of that diagnosis that were run
    others: Sequence[Attempt] = ()  # of the other traces, as of the last merge
    steps: int = 0  # that the trace may make in all


class Policy(Protocol):
    """Which step next, from which solution."""

    def __call__(self, view: View, rng: random.Random) -> Choice: ...


def gome(view: View, rng: random.Random) -> Choice:
    """As published: draft once, then always along the gradient from the best."""
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    return Choice("directed", view.best, "along the gradient from the best")


def random_drafts(view: View, rng: random.Random) -> Choice:
    return Choice("draft", None, "independent draft")


def tree(view: View, rng: random.Random) -> Choice:
    """AIDE's greedy search: drafts, then repair a failed leaf or improve the best."""
    roots = [attempt for attempt in view.attempts if attempt["kind"] == "draft" or attempt["parent"] is None]
    if len(roots) < N_DRAFTS:
        return Choice("draft", None, f"draft {len(roots) + 1} of {N_DRAFTS}")
    broken = debuggable(view.attempts)
    if broken and rng.random() < P_DEBUG:
        return Choice("debug", rng.choice(broken)["ref"], "repair of a failed leaf")
    best = top(view)
    return Choice("directed", best, "improve the best node") if best else Choice("draft", None, "nothing valid yet")


def mcts(view: View, rng: random.Random) -> Choice:
    """UCT: walk down by value plus exploration, grow a child where there is room."""
    known = {attempt["id"] for attempt in view.attempts}
    children: dict[str | None, list[Attempt]] = {}
    for attempt in view.attempts:  # what grew from another trace's solution stands below the root
        children.setdefault(attempt["parent"] if attempt["parent"] in known else None, []).append(attempt)
    value = normalised(view)
    node: Attempt | None = None
    while len(grown := children.get(node["id"] if node else None, [])) >= N_CHILDREN:
        valid = [child for child in grown if child["score"] is not None]
        if not valid:
            break
        node = max(valid, key=lambda child: uct(child, children, value, len(grown)))
    if node is None:
        return Choice("draft", None, "grow the root")
    return Choice("directed", node["ref"], f"grow {node['id']}")


# what the policies compute with


def debuggable(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Failed leaves that were not yet repaired too often."""
    parents = {attempt["parent"] for attempt in attempts}
    return [
        a for a in attempts if a["verdict"] == "failed" and a["script"] and a["id"] not in parents and depth(a, attempts) < MAX_DEBUG_DEPTH
    ]


def depth(attempt: Attempt, attempts: Sequence[Attempt]) -> int:
    """How many failed attempts in a row lead to this one."""
    known = {other["id"]: other for other in attempts}
    n = 0
    while (parent := known.get(attempt["parent"] or "")) is not None and parent["verdict"] == "failed":
        attempt, n = parent, n + 1
    return n


def top(view: View) -> str | None:
    valid = [attempt for attempt in view.attempts if attempt["score"] is not None and attempt["verdict"] != "failed" and attempt["oof"]]
    if not valid:
        return None
    sign = 1 if view.direction == "max" else -1
    return str(max(valid, key=lambda attempt: sign * attempt["score"])["ref"])


def normalised(view: View) -> dict[str, float]:
    """Scores in 0..1, 1 the best seen; failed attempts are 0."""
    sign = 1 if view.direction == "max" else -1
    scores = {attempt["id"]: sign * attempt["score"] for attempt in view.attempts if attempt["score"] is not None}
    low, high = (min(scores.values()), max(scores.values())) if scores else (0.0, 1.0)
    return {key: (value - low) / (high - low) if high > low else 0.5 for key, value in scores.items()}


def uct(child: Attempt, children: dict[str | None, list[Attempt]], value: dict[str, float], n_parent: int) -> float:
    below = descendants(child, children)
    mean = sum(value.get(node["id"], 0.0) for node in below) / len(below)
    return mean + UCT_C * math.sqrt(math.log(n_parent + 1) / len(below))


def descendants(node: Attempt, children: dict[str | None, list[Attempt]]) -> list[Attempt]:
    found = [node]
    for child in children.get(node["id"], []):
        found += descendants(child, children)
    return found
