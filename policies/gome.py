"""The policy of the paper: draft once, then follow the gradient. And its control: drafts alone."""

from __future__ import annotations

import random

from policies.protocol import Choice, View, choose_first_draft


def follow_gradient(view: View, rng: random.Random) -> Choice:
    """Draft, then always step along the gradient from the best (arXiv 2603.01692: one draft)."""
    if view.best is None:
        return Choice("draft", None, "no valid script yet")
    if draft := choose_first_draft(view):
        return draft
    return Choice("directed", view.best, "along the gradient from the best")


def draft_only(view: View, rng: random.Random) -> Choice:
    """Draft independently at every step: best of N."""
    return Choice("draft", None, "independent draft")
