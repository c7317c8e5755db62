"""What a run may use and has used: time, steps, tokens and money."""

from __future__ import annotations

from dataclasses import dataclass

from report.formatting import finite_number, format_count, format_duration, format_usd
from report.model import RunView


@dataclass(frozen=True)
class BudgetUse:
    """One budget: used amount and limit in its own unit, and both as text."""

    name: str
    used: float
    limit: float | None
    text: str


def measure_budgets(view: RunView, now: float) -> list[BudgetUse]:
    """List time and steps, then tokens and money where they have a limit or were used."""
    elapsed = view.elapsed(now)
    step = max((trace.step for trace in view.traces.values()), default=0)
    time_limit = None if view.time_s is None else format_duration(view.time_s)
    step_limit = str(view.steps) if view.steps else None
    rows = [
        BudgetUse("time", elapsed, view.time_s, _with_limit(format_duration(elapsed), time_limit)),
        BudgetUse("steps", step, view.steps, _with_limit(str(step), step_limit)),
    ]
    tokens = finite_number(view.settings.get("max_tokens"))
    usd = finite_number(view.settings.get("max_usd"))
    if view.usage.tokens or tokens:
        text = _with_limit(
            format_count(view.usage.tokens), format_count(tokens) if tokens else None
        )
        rows.append(BudgetUse("tokens", view.usage.tokens, tokens, text))
    if view.usage.usd is not None or usd:
        cost = view.usage.usd or 0.0
        text = _with_limit(format_usd(cost), format_usd(usd) if usd else None)
        rows.append(BudgetUse("money", cost, usd, text))
    return rows


def _with_limit(used: str, limit: str | None) -> str:
    return used if limit is None else f"{used} / {limit}"


def estimate_remaining_s(view: RunView, now: float) -> float | None:
    """Estimate the seconds until the run ends; None where it has ended or has no limit.

    The estimate is the remaining time budget, or the remaining steps at the pace so far if that
    is less.
    """
    elapsed = view.elapsed(now)
    estimates = [view.time_s - elapsed] if view.time_s is not None else []
    steps = [trace.step for trace in view.traces.values()]
    if view.steps and steps and min(steps) >= 2:  # the first step includes the draft: no pace yet
        n_done = sum(min(step, view.steps) for step in steps)
        estimates.append(elapsed * (view.steps * len(steps) - n_done) / n_done)
    return max(0.0, min(estimates)) if estimates and view.ended is None else None
