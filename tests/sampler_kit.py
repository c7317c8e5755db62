"""Histories of attempts for tests of policies, and the simulated reasoners of evals/studies/sampler.py."""

from __future__ import annotations

from typing import Any

from evals.studies.sampler import attempt, shares
from policies.protocol import View

__all__ = ["attempt", "shares", "view"]


def view(attempts: list[dict[str, Any]]) -> View:
    return View(attempts, None, 0, "max")
