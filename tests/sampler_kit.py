"""Histories of attempts for tests of policies, from the sampler study's simulated reasoners."""

from __future__ import annotations

from evals.studies.sampler import make_attempt, mode_shares
from policies.protocol import View
from run.history import HistoryEntry

__all__ = ["make_attempt", "mode_shares", "view"]


def view(attempts: list[HistoryEntry]) -> View:
    return View(attempts, None, 0, "max")
