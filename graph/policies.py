"""The policies by name."""

from __future__ import annotations

from graph.adaptive import adaptive
from graph.policy import Policy, gome, mcts, random_drafts, tree

POLICIES: dict[str, Policy] = {"gome": gome, "adaptive": adaptive, "tree": tree, "mcts": mcts, "random": random_drafts}
