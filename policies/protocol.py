"""The policy protocol: which step a trace takes next, and from which solution.

`gome` follows the gradient from the trace's best (arXiv 2603.01692); `tree` is AIDE's greedy
search, `mcts` UCT over attempts, `random` best of N drafts; `adaptive` measures during the run
which kind of step pays. All use the same nodes. A policy is a pure function of the attempts; all
chance comes from the generator argument, seeded by run, trace and step, so a resume chooses the
same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from graph.state import Mode
from run.history import HistoryEntry


class Choice(NamedTuple):
    """The next step: its mode, the ref of its starting point (None: nothing), and the reason."""

    mode: Mode
    base: str | None
    why: str


class View(NamedTuple):
    """What a policy may see."""

    attempts: Sequence[HistoryEntry]  # the trace's own, oldest first
    best: str | None  # ref of the trace's best
    open_hypotheses: int  # of the last diagnosis of the best, not tried yet
    direction: Literal["max", "min"]
    tried: int = 0  # hypotheses of that diagnosis that were run
    others: Sequence[HistoryEntry] = ()  # of the other traces, as of the last merge
    steps: int = 0  # that the trace may make in all
    drafts: int | None = None  # first drafts that the trace is dealt; None: the policy has its own

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.direction == "max" else -1


def choose_first_draft(view: View) -> Choice | None:
    """Return the next of the first drafts that a trace is dealt; None: it has made them."""
    made = len(view.attempts)
    if view.drafts is None or made >= view.drafts:
        return None
    if any(attempt.mode != "draft" for attempt in view.attempts):
        return None
    why = "no gradient leads from one kind of model to all others"
    return Choice("draft", None, f"start {made + 1} of {view.drafts}: {why}")


class Policy(Protocol):
    """Which step next, from which solution."""

    def __call__(self, view: View, rng: random.Random) -> Choice:
        """Choose the next step."""
