"""What a run may use and what it has used: time, steps, tokens, money."""

from __future__ import annotations

from dataclasses import dataclass

from report.formatting import count, duration, money, number
from report.model import RunView


@dataclass(frozen=True)
class Budget:
    name: str
    used: float
    limit: float | None
    text: str


def budgets(view: RunView, now: float) -> list[Budget]:
    """Those that have a limit or were drawn on; time and steps always."""
    elapsed, step = view.elapsed(now), max((t.step for t in view.traces.values()), default=0)
    limit = "" if view.time_s is None else f" / {duration(view.time_s)}"
    rows = [Budget("time", elapsed, view.time_s, duration(elapsed) + limit)]
    rows.append(
        Budget("steps", step, view.steps, f"{step} / {view.steps}" if view.steps else f"{step}")
    )
    tokens, usd = number(view.settings.get("max_tokens")), number(view.settings.get("max_usd"))
    if view.usage.tokens or tokens:
        rows.append(
            Budget(
                "tokens",
                view.usage.tokens,
                tokens,
                count(view.usage.tokens) + (f" / {count(tokens)}" if tokens else ""),
            )
        )
    if view.usage.usd is not None or usd:
        spent = view.usage.usd or 0.0
        rows.append(Budget("money", spent, usd, money(spent) + (f" / {money(usd)}" if usd else "")))
    return rows


def left_s(view: RunView, now: float) -> float | None:
    """Seconds until the run should end: what the time budget leaves, or less where the steps made so far say so."""
    elapsed = view.elapsed(now)
    left = [view.time_s - elapsed] if view.time_s is not None else []
    done = [t.step for t in view.traces.values()]
    if view.steps and done and min(done) >= 2:  # one step tells little: it holds the draft
        made = sum(min(n, view.steps) for n in done)
        left.append(elapsed * (view.steps * len(done) - made) / made)
    return max(0.0, min(left)) if left and view.ended is None else None
