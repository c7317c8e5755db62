"""What a study would take: calls, tokens and dollars, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evals.harness.pages import table_head, table_row
from evals.models.study import Budget, Cell
from reasoner.chat.endpoint.prices import Price

STEP_S = 60.0  # of an answer with its script; fewer seconds make more steps
OUTPUT_SHARE = 0.15  # of all tokens
N_TRACES = 2
N_COMMANDS, FIRST_TOKENS, TOKENS_A_COMMAND = 30, 1_500, 1_200
CALLS_A_SCRIPT = {"gome": 1.2, "aide": 2.0}
TOKENS_A_SCRIPT = {"gome": 10_000, "aide": 13_000}
ABOUT = (
    f"Expected with {STEP_S:.0f} s for an answer and its script. Per script: Gome"
    f" {CALLS_A_SCRIPT['gome']} calls and {TOKENS_A_SCRIPT['gome']:,} tokens, AIDE"
    f" {CALLS_A_SCRIPT['aide']:.0f} and {TOKENS_A_SCRIPT['aide']:,}; the bare agent sends its whole"
    " conversation with every command. A cell ends at its token budget: see the last column."
    " Dollars are without a prefix cache."
)


class Estimate(NamedTuple):
    """Calls and tokens of one cell."""

    calls: float
    tokens: float


def estimate_cell(cell: Cell, budget: Budget) -> Estimate:
    """Return what a cell is expected to take, within its budget."""
    n_fitting = max(1.0, budget.seconds / STEP_S)
    if cell.agent == "bare":
        n = min(N_COMMANDS, n_fitting)
        tokens = n * (FIRST_TOKENS + n / 2 * TOKENS_A_COMMAND)
        return Estimate(n, min(tokens, budget.tokens))
    n_slots = N_TRACES if cell.agent == "gome" else 1
    n = n_slots * min(budget.steps, n_fitting)
    tokens = n * TOKENS_A_SCRIPT[cell.agent]
    share = min(1.0, budget.tokens / tokens)
    return Estimate(n * CALLS_A_SCRIPT[cell.agent] * share, tokens * share)


def estimate_usd(tokens: float, price: Price) -> float:
    """Return the dollars of so many tokens, none of them cached."""
    n_output = int(tokens * OUTPUT_SHARE)
    return price.usd(int(tokens) - n_output, 0, n_output)


def render_estimate(cells: Sequence[Cell], n_done: int, budget: Budget, price: Price | None) -> str:
    """Return the table of a dry run: a row per contestant, then the sum."""
    head = ["contestant", "cells", "calls", "tokens", "USD", "tokens at most"]
    lines = [ABOUT, "", *table_head(head)]
    calls = tokens = 0.0
    for name in dict.fromkeys(cell.contestant for cell in cells):
        own = [cell for cell in cells if cell.contestant == name]
        found = [estimate_cell(cell, budget) for cell in own]
        sums = Estimate(sum(one.calls for one in found), sum(one.tokens for one in found))
        calls, tokens = calls + sums.calls, tokens + sums.tokens
        lines.append(table_row([name, *_cells(len(own), sums, budget, price)]))
    total = Estimate(calls, tokens)
    lines.append(table_row(["in all", *_cells(len(cells), total, budget, price)]))
    hours = len(cells) * budget.seconds / 3600
    lines += ["", f"{n_done} cells are finished and not counted; at most {hours:.1f} hours."]
    return "\n".join(lines)


def _cells(n: int, found: Estimate, budget: Budget, price: Price | None) -> list[str]:
    usd = "no price" if price is None else f"{estimate_usd(found.tokens, price):.2f}"
    most = n * budget.tokens
    return [str(n), f"{found.calls:.0f}", f"{found.tokens:,.0f}", usd, f"{most:,}"]
