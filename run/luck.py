"""The bar of acceptance over a whole run: how much better, after how many tries.

One null change in eight looks better by 1.15 standard errors, so a run that tries eight of them
accepts one in two. Here a run without any real improvement accepts none with probability
1 - `false_accepts`, however long it is (docs/trust.md has formula, sources and measurements):

    level(k) = false_accepts / traces * share(k) / 2,    share(k) = (k + 2)^-1.5 / 1.2588
    bar      = quantile(1 - level(k)) + 0.8 * (sqrt(m) - 1)

`k` counts the trace's comparisons since its last acceptance in which the attempt was better at all
(a worse one cannot be accepted and costs nothing); an acceptance gives the level back. `m` is the
number of changes since the last confirmed best, this one included: each was stepped on because it
looked better, and luck on the same rows adds up.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from graph.state import Best, Trace

OFFSET, POWER = 2.0, 1.5  # of the share of the k-th comparison
TOTAL = 1.258822  # sum of (k + 2)^-1.5 over k = 1, 2, …: zeta(1.5) - 1 - 2^-1.5
BETTER_HALF = 0.5  # of the comparisons of a null change; the others are not counted
STEPS_COST = 0.8  # standard errors per square root of a step, measured (evals/studies/luck.py)


def acceptance_bar(false_accepts: float, n_traces: int, n_counted: int, n_changes: int) -> float:
    """Return the standard errors by which an attempt must beat the last confirmed best.

    Args:
        false_accepts: probability with which a run of nulls may accept anything.
        n_traces: traces that share it.
        n_counted: comparisons since the last acceptance, this one included.
        n_changes: changes since the last confirmed best, this one included.
    """
    share = (n_counted + OFFSET) ** -POWER / TOTAL
    level = BETTER_HALF * false_accepts / max(n_traces, 1) * share
    return NormalDist().inv_cdf(1 - level) + STEPS_COST * (math.sqrt(max(n_changes, 1)) - 1)


def trace_bars(trace: Trace, false_accepts: float, n_traces: int) -> tuple[float, float]:
    """Return the bars of a trace's next attempt: over the last confirmed best, and over its best.

    The second is for a change that is clear by itself, whatever the steps before it were worth.
    """
    n_counted = trace.counted + 1
    own = acceptance_bar(false_accepts, n_traces, n_counted, 1)
    return acceptance_bar(false_accepts, n_traces, n_counted, trace.stepped + 1), own


def anchor_of(trace: Trace) -> Best | None:
    """Return the last confirmed best where the trace has stepped on from it; else None."""
    if trace.anchor is None or trace.best is None or trace.anchor.ref == trace.best.ref:
        return None
    return trace.anchor
