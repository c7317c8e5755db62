"""Monte Carlo tree search over attempts, with UCT."""

from __future__ import annotations

import math
import random

from policies.protocol import Attempt, Choice, View

UCT_C = 0.25  # exploration on min-max normalised scores (AIRA's setting)
N_CHILDREN = 5


def mcts(view: View, rng: random.Random) -> Choice:
    """UCT: walk down by value plus exploration, grow a child where there is room."""
    known = {attempt["id"] for attempt in view.attempts}
    children: dict[str | None, list[Attempt]] = {}
    for attempt in view.attempts:  # what grew from another trace's solution stands below the root
        children.setdefault(attempt["parent"] if attempt["parent"] in known else None, []).append(
            attempt
        )
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


def normalised(view: View) -> dict[str, float]:
    """Scores in 0..1, 1 the best seen; failed attempts are 0."""
    sign = 1 if view.direction == "max" else -1
    scores = {
        attempt["id"]: sign * attempt["score"]
        for attempt in view.attempts
        if attempt["score"] is not None
    }
    low, high = (min(scores.values()), max(scores.values())) if scores else (0.0, 1.0)
    return {
        key: (value - low) / (high - low) if high > low else 0.5 for key, value in scores.items()
    }


def uct(
    child: Attempt,
    children: dict[str | None, list[Attempt]],
    value: dict[str, float],
    n_parent: int,
) -> float:
    below = descendants(child, children)
    mean = sum(value.get(node["id"], 0.0) for node in below) / len(below)
    return mean + UCT_C * math.sqrt(math.log(n_parent + 1) / len(below))


def descendants(node: Attempt, children: dict[str | None, list[Attempt]]) -> list[Attempt]:
    found = [node]
    for child in children.get(node["id"], []):
        found += descendants(child, children)
    return found
