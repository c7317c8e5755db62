"""Chains of steps that the loop's own code judges, for studies of its rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from graph.state import Trace
from nodes.record import advance_trace
from run.attempt import Attempt


class NullChain(Protocol):
    """A chain of null steps that counts what was accepted."""

    n_accepted: int

    def take_step(self, step: int) -> None:
        """Make a step and judge it."""


def record_step(trace: Trace, name: str, step: int, verdict: Any, **facts: Any) -> Trace:
    """Return the trace after an attempt with this verdict and these facts of its judgement."""
    base = {"ref": name, "id": name, "trace": 0, "step": step, "script": name, "score": 0.0}
    base |= {"kind": "update", "mode": "directed", "verdict": verdict}
    attempt = Attempt.model_validate(base | facts).evolve(ref=name)
    return advance_trace(trace, attempt, max_failures=9)


def share_accepting(
    make_chain: Callable[[int], NullChain], n_chains: int, lengths: Sequence[int]
) -> list[float]:
    """Return the share of chains with an acceptance within each length."""
    firsts = []
    for number in range(n_chains):
        chain, first = make_chain(number), lengths[-1] + 1
        for step in range(1, lengths[-1] + 1):
            chain.take_step(step)
            if chain.n_accepted:
                first = step
                break
        firsts.append(first)
    return [float(np.mean([first <= n for first in firsts])) for n in lengths]
