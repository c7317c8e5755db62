"""Tokens and money that a run spent on model answers, as a Rich table for `gome show`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from report.formatting import format_count, format_usd
from report.model import RunView, TokenUsage

UsageRow = tuple[str, TokenUsage]


def usage_by_verb(view: RunView) -> list[UsageRow]:
    """Usage by activity in order of first use; `unanswered` collects requests without an answer."""
    return [
        (verb, usage)
        for verb, usage in view.usage_by_activity.items()
        if usage.calls or usage.tokens
    ]


def usage_by_trace(view: RunView) -> list[UsageRow]:
    """Usage by trace, summed over its attempts."""
    totals: dict[int, TokenUsage] = {}
    for attempt in view.attempts.values():
        if attempt.trace >= 0 and attempt.usage.tokens:
            totals[attempt.trace] = totals.get(attempt.trace, TokenUsage()) + attempt.usage
    return [(f"trace {trace}", totals[trace]) for trace in sorted(totals)]


def cached_share(usage: TokenUsage) -> float:
    """Return the share of the input tokens that the endpoint had in its prefix cache."""
    return usage.cached_tokens / max(1, usage.input_tokens)


def costs_table(view: RunView) -> Table | None:
    """Table of calls, tokens (and the input's share from a cache) and money; None without them."""
    if not view.usage.tokens:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for name in ("activity", "calls", "input", "cached", "output", "money"):
        table.add_column(name, justify="left" if name == "activity" else "right", no_wrap=True)
    for label, usage in (*usage_by_verb(view), *usage_by_trace(view), ("total", view.usage)):
        cells = (
            label,
            str(usage.calls),
            format_count(usage.input_tokens),
            f"{cached_share(usage):.0%}" if usage.cached_tokens else "–",
            format_count(usage.output_tokens),
            format_usd(usage.usd),
        )
        table.add_row(*(Text(cell, "bold" if label == "total" else "") for cell in cells))
    return table
