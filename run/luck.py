"""The bar of acceptance over a whole run: how much better, after how many tries.

One null change in eight looks better by 1.15 standard errors, so a run that tries eight of them
accepts one in two. Here a run without any real improvement accepts none with probability
1 - `false_accepts`, however long it is (docs/trust.md has formula, sources and measurements):

    level(k) = false_accepts / traces * share(k) / 2,    share(k) = (k + 2)^-1.5 / 1.2588
    bar      = quantile(1 - level(k)) + 0.8 * (luck / sqrt(m) - 1)

`k` counts the trace's comparisons since its last acceptance in which the attempt was better at all
(a worse one cannot be accepted and costs nothing); an acceptance gives the level back. `m` is the
number of changes since the last confirmed best, this one included: each was stepped on because it
looked better, and luck on the same rows adds up. `luck` is m where each was one script; the best of
several variants counts for more (`step_luck`), and its quantile is that of the best of several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from graph.state import Best, Trace

OFFSET, POWER = 2.0, 1.5  # of the share of the k-th comparison
TOTAL = 1.258822  # sum of (k + 2)^-1.5 over k = 1, 2, …: zeta(1.5) - 1 - 2^-1.5
BETTER_HALF = 0.5  # of the comparisons of a null change; the others are not counted
STEPS_COST = 0.8  # standard errors per square root of a step, measured (evals/studies/luck.py)
N_SIMPSON = 32  # even number of parts of an integral
N_SHARED, FAR = 60, 6.0  # of an integral over what variants have in common, to so many deviations
UNIT = NormalDist()

Links = Sequence[float]
"""Correlations along a spanning tree of a line's variants; one less than there are variants."""


def acceptance_bar(
    false_accepts: float,
    n_traces: int,
    n_counted: int,
    n_changes: int,
    links: Links = (),
    luck: float | None = None,
) -> float:
    """Return the standard errors by which an attempt must beat the last confirmed best.

    Args:
        false_accepts: probability with which a run of nulls may accept anything.
        n_traces: traces that share it.
        n_counted: comparisons since the last acceptance, this one included.
        n_changes: changes since the last confirmed best, this one included.
        links: of the variants, where the attempt is the best of several.
        luck: of the changes since then, as `step_luck` counts it; None: one each.
    """
    share = (n_counted + OFFSET) ** -POWER / TOTAL
    level = BETTER_HALF * false_accepts / max(n_traces, 1) * share
    return best_of_bar(level, links) + steps_cost(n_changes, n_changes if luck is None else luck)


def steps_cost(n_changes: int, luck: float) -> float:
    """Return the standard errors that the changes since the last confirmed best cost."""
    return STEPS_COST * max(0.0, luck / math.sqrt(max(n_changes, 1)) - 1)


def trace_bars(
    trace: Trace,
    false_accepts: float,
    n_traces: int,
    links: Links = (),
    anchor_links: Links | None = None,
) -> tuple[float, float]:
    """Return the bars of a trace's next attempt: over the last confirmed best, and over its best.

    The second is for a change that is clear by itself, whatever the steps before it were worth.
    `anchor_links`: of the differences to the last confirmed best, where that is another.
    """
    n_counted = trace.counted + 1
    own = acceptance_bar(false_accepts, n_traces, n_counted, 1, links)
    links = links if anchor_links is None else anchor_links
    n_changes, luck = trace.stepped + 1, max(trace.luck, trace.stepped) + 1
    return acceptance_bar(false_accepts, n_traces, n_counted, n_changes, links, luck), own


# the best of several variants


def best_of_bar(level: float, links: Links = ()) -> float:
    """Return the z that the best of several nulls passes with probability `level` at most.

    By the bound of Hunter (1976) and Worsley (1982): of events A_j that are joined by a tree, the
    union is at most sum P(A_j) - sum over the tree's links P(A_i and A_j).
    """
    low, high = UNIT.inv_cdf(1 - level), UNIT.inv_cdf(1 - level / (len(links) + 1))
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _union_bound(middle, links) > level:
            low = middle
        else:
            high = middle
    return high


def _union_bound(z: float, links: Links) -> float:
    """The most probability with which any of the nulls exceeds z."""
    return (len(links) + 1) * UNIT.cdf(-z) - sum(_both_exceed(z, link) for link in links)


def _both_exceed(z: float, correlation: float) -> float:
    """The probability with which both of two unit normals exceed z (Plackett 1954).

    The derivative by the correlation is the density at (z, z); substituted by its sine.
    """
    top = math.asin(min(max(correlation, -1.0), 1.0))
    step = top / N_SIMPSON
    values = [math.exp(-z * z / (1 + math.sin(i * step))) for i in range(N_SIMPSON + 1)]
    inner = 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])
    area = (values[0] + inner + values[-1]) * step / 3
    return UNIT.cdf(-z) ** 2 + area / (2 * math.pi)


def step_luck(step_p: float, size: int, alike: float) -> float:
    """Return how much luck a step carries that the best of several variants makes; 1: of one.

    On average a null that is stepped on lies so many standard errors above its base as the best of
    `size` does where that passes the threshold. What one script has of it beyond `STEPS_COST` stays
    unpaid; what the best of several may leave unpaid is less as it is stepped on more often.

    Args:
        step_p: p(improved) from which a tie is stepped on.
        size: number of variants.
        alike: mean correlation of their differences to the base.
    """
    if size < 2 or step_p >= 1:
        return 1.0
    threshold = UNIT.inv_cdf(step_p)
    one, p_one = _best_above(threshold, 1, 0.0)
    several, p_several = _best_above(threshold, size, min(max(alike, 0.0), 0.99))
    unpaid = max(0.0, one - STEPS_COST) * math.sqrt(p_one / p_several)
    return (several - unpaid) / STEPS_COST


def _best_above(threshold: float, size: int, alike: float) -> tuple[float, float]:
    """Return mean and probability of the best of equally correlated nulls above a threshold."""
    width = (FAR - threshold) / N_SIMPSON
    tail = [1 - _best_below(threshold + i * width, size, alike) for i in range(N_SIMPSON + 1)]
    inner = 4 * sum(tail[1:-1:2]) + 2 * sum(tail[2:-1:2])
    beyond = (tail[0] + inner + tail[-1]) * width / 3
    return threshold + beyond / tail[0], tail[0]


def _best_below(z: float, size: int, alike: float) -> float:
    """Return the probability with which all of `size` equally correlated unit normals are below."""
    if not alike:
        return UNIT.cdf(z) ** size
    own = math.sqrt(1 - alike)
    shared = [FAR * (2 * i / N_SHARED - 1) for i in range(N_SHARED + 1)]
    total = sum(UNIT.pdf(x) * UNIT.cdf((z - math.sqrt(alike) * x) / own) ** size for x in shared)
    return total * 2 * FAR / N_SHARED


def anchor_of(trace: Trace) -> Best | None:
    """Return the last confirmed best where the trace has stepped on from it; else None."""
    if trace.anchor is None or trace.best is None or trace.anchor.ref == trace.best.ref:
        return None
    return trace.anchor
