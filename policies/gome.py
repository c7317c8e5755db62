"""The policy of the paper: draft once, then follow the gradient from the best. And its control: drafts alone."""

from __future__ import annotations

import random

from policies.protocol import Choice, View


def follow_gradient(view: View, rng: random.Random) -> Choice:
    """As published: draft once, then always along the gradient from the best."""
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    return Choice("directed", view.best, "along the gradient from the best")


def draft_only(view: View, rng: random.Random) -> Choice:
    """Best of N independent drafts."""
    return Choice("draft", None, "independent draft")
