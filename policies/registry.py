"""The policies by name."""

from __future__ import annotations

from policies.adaptive import sample_arms
from policies.gome import draft_only, follow_gradient
from policies.mcts import search_uct
from policies.protocol import Policy
from policies.tree import search_tree

POLICIES: dict[str, Policy] = {
    "gome": follow_gradient,
    "adaptive": sample_arms,
    "tree": search_tree,
    "mcts": search_uct,
    "random": draft_only,
}
