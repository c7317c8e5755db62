"""The policy of the paper: draft once, then follow the gradient from the best.  And independent drafts, its control."""

from __future__ import annotations

import random

from policies.protocol import Choice, View


def gome(view: View, rng: random.Random) -> Choice:
    """As published: draft once, then always along the gradient from the best."""
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    return Choice("directed", view.best, "along the gradient from the best")


def random_drafts(view: View, rng: random.Random) -> Choice:
    return Choice("draft", None, "independent draft")
