"""Monte Carlo tree search over attempts, with UCT."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from policies.protocol import Choice, View
from run.history import HistoryEntry

UCT_C = 0.25  # exploration on min-max normalised scores (AIRA's setting)
N_CHILDREN = 5

Children = Mapping[str | None, list[HistoryEntry]]


def search_uct(view: View, rng: random.Random) -> Choice:
    """Descend by value plus exploration; add a child where there is room."""
    known = {attempt.id for attempt in view.attempts}
    children: dict[str | None, list[HistoryEntry]] = {}
    for attempt in view.attempts:  # a child of another trace's solution is a child of the root
        parent = attempt.parent if attempt.parent in known else None
        children.setdefault(parent, []).append(attempt)
    values = normalise_scores(view)
    node: HistoryEntry | None = None
    while len(grown := children.get(node.id if node else None, [])) >= N_CHILDREN:
        valid = [child for child in grown if child.score is not None]
        if not valid:
            break
        scores = [_uct_value(child, children, values, len(grown)) for child in valid]
        node = valid[scores.index(max(scores))]
    if node is None:
        return Choice("draft", None, "grow the root")
    return Choice("directed", node.ref, f"grow {node.id}")


def normalise_scores(view: View) -> dict[str, float]:
    """Return scores in 0..1, 1 the best seen; failed attempts count as 0."""
    scores = {each.id: view.sign * each.score for each in view.attempts if each.score is not None}
    low, high = (min(scores.values()), max(scores.values())) if scores else (0.0, 1.0)
    if high <= low:
        return dict.fromkeys(scores, 0.5)
    return {key: (value - low) / (high - low) for key, value in scores.items()}


def _uct_value(
    child: HistoryEntry, children: Children, values: Mapping[str, float], n_parent: int
) -> float:
    below = _subtree_nodes(child, children)
    mean = sum(values.get(node.id, 0.0) for node in below) / len(below)
    return mean + UCT_C * math.sqrt(math.log(n_parent + 1) / len(below))


def _subtree_nodes(node: HistoryEntry, children: Children) -> list[HistoryEntry]:
    nodes = [node]
    for each in nodes:  # grows while it is walked
        nodes += children.get(each.id, [])
    return nodes
