"""What a run's answers cost: per verb, per trace, in all; Rich tables for `gome show`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from report.formatting import count, money
from report.model import RunView, Usage

Row = tuple[str, Usage]


def by_verb(view: RunView) -> list[Row]:
    """check, draft, diagnose … in the order of their first use; `unanswered` is what was spent in vain."""
    return [(verb, usage) for verb, usage in view.spent.items() if usage.calls or usage.tokens]


def by_trace(view: RunView) -> list[Row]:
    totals: dict[int, Usage] = {}
    for attempt in view.attempts.values():
        if attempt.trace >= 0 and attempt.usage.tokens:
            totals[attempt.trace] = totals.get(attempt.trace, Usage()) + attempt.usage
    return [(f"trace {trace}", totals[trace]) for trace in sorted(totals)]


def costs_table(view: RunView) -> Table | None:
    """Calls, tokens read and written, money; None where no model was asked. An unknown price shows as a dash."""
    if not view.usage.tokens:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    for name in ("cost", "calls", "read", "written", "money"):
        table.add_column(name, justify="left" if name == "cost" else "right", no_wrap=True)
    for label, usage in (*by_verb(view), *by_trace(view), ("in all", view.usage)):
        cells = (
            label,
            str(usage.calls),
            count(usage.input_tokens),
            count(usage.output_tokens),
            money(usage.usd),
        )
        table.add_row(*(Text(cell, "bold" if label == "in all" else "") for cell in cells))
    return table
