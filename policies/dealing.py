"""Where executions go: how many first drafts there are, how many lines go on, and who moves. Pure.

A *line* is a first draft and what was made of it. Several cheap drafts begin lines; with every
share of the budget that is used fewer of them go on, and a trace whose line does not, or that lags
behind on its line, continues from a better solution. docs/results/dealing.md has the simulations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

ATTEMPTS_PER_LINE = 10  # of a run, for each line that goes on after the drafts
LAST_SHARE = 0.75  # of the budget, after which one line goes on
LAG = 0.5  # standard errors of a comparison by which a trace lags behind on its own line


class Standing(NamedTuple):
    """A trace, the line that its best belongs to, and the score of its best; higher is better."""

    trace: int
    line: str
    score: float


def count_lines(n_attempts: int, n_traces: int, used: float) -> int:
    """Return how many lines go on at a used share of the budget."""
    if used >= LAST_SHARE:
        return 1
    first = max(1, min(n_traces, n_attempts // ATTEMPTS_PER_LINE))
    return max(1, math.ceil(first * (1 - used)))


def choose_start(
    trace: int, standings: Sequence[Standing], n_lines: int, noise: float
) -> int | None:
    """Return the trace whose best this one continues from; None: it goes on with its own.

    It moves to the leader where its line is not among the best `n_lines`, and to the first on its
    line where it lags behind that one. `noise`: standard error of a comparison.
    """
    ranked = sorted(standings, key=lambda each: (-each.score, each.trace))
    own = next((each for each in ranked if each.trace == trace), None)
    if own is None:
        return None
    lines = list(dict.fromkeys(each.line for each in ranked))
    if own.line not in lines[:n_lines]:
        return ranked[0].trace
    first = next(each for each in ranked if each.line == own.line)
    return first.trace if first.score - own.score > LAG * noise else None
