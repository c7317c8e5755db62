"""The policies by name."""

from __future__ import annotations

from policies.adaptive import adaptive
from policies.gome import gome, random_drafts
from policies.mcts import mcts
from policies.protocol import Policy
from policies.tree import tree

POLICIES: dict[str, Policy] = {
    "gome": gome,
    "adaptive": adaptive,
    "tree": tree,
    "mcts": mcts,
    "random": random_drafts,
}
