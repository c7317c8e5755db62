"""Dealing: how many first drafts a trace makes, and whether it moves to a better line.

What was dealt is stored under the step, so a node that runs again after a kill deals the same.
"""

from __future__ import annotations

import statistics

from pydantic import BaseModel, ConfigDict

from briefs.crossover import Rescue, move_trace, path_entries, rescue_trace
from graph.state import Best, Trace, TraceState
from policies.dealing import Standing, choose_start, count_lines
from run.budget import (
    count_first_drafts,
    expected_attempts,
    is_dealt,
    share_first_drafts,
    used_share,
)
from run.comparator import compare_bests
from run.history import HistoryEntry
from run.run import Run
from run.siblings import read_sibling


class Deal(BaseModel):
    """What a trace gets for its next step: its share of the first drafts, or another start."""

    model_config = ConfigDict(frozen=True)
    drafts: int | None = None  # first drafts that it makes; None: as its policy has it
    rescue: Rescue | None = None


async def deal_step(run: Run, state: TraceState) -> tuple[Trace, int | None]:
    """Return the trace, moved where its line does not go on, and how many first drafts it makes."""
    trace = state.row
    if not is_dealt(run):
        return trace, None

    async def decide() -> Deal:
        drafts = _draft_share(run, trace)
        return Deal(drafts=drafts, rescue=await _plan_move(run, state, drafts))

    best = trace.best.ref if trace.best else ""
    parts = [f"t{trace.trace}s{trace.step}", str(trace.head), best]
    deal = await run.once("deal", parts, decide, Deal)
    if deal.rescue is None:
        return trace, deal.drafts
    place = {"trace": trace.trace, "step": trace.step}
    run.events.emit("moved", key=parts[0], **place, why=deal.rescue.why)
    return move_trace(trace, deal.rescue), deal.drafts


def _draft_share(run: Run, trace: Trace) -> int:
    settings = run.settings
    n_drafts = count_first_drafts(expected_attempts(run), settings.traces)
    return share_first_drafts(n_drafts, settings.traces, trace.trace)


async def _plan_move(run: Run, state: TraceState, drafts: int) -> Rescue | None:
    """Where the trace continues instead of from its own best; None: from that."""
    trace, settings = state.row, run.settings
    if trace.best is None or trace.pinned or trace.told or trace.cross or trace.step < drafts:
        return None
    rows = [trace, *(row for head in state.siblings if (row := read_sibling(run, head)))]
    chains = {row.trace: run.history.chain(row.head) for row in rows}
    known = {entry.id: entry for chain in chains.values() for entry in chain}
    if any(entry.validity for entry in known.values()):  # its scores are not comparable
        return None
    standings = [_standing(run, row, known) for row in rows]
    finer = await _finer_standings(run, trace.best, rows, standings)
    n_lines = count_lines(expected_attempts(run), settings.traces, used_share(run, trace.step))
    noise = 1.0 if finer else _comparison_noise(known, trace.best.se)
    start = choose_start(trace.trace, finer or standings, n_lines, noise)
    if start is None or start == trace.trace:
        return None
    leader = next(row for row in rows if row.trace == start)
    return rescue_trace(run, trace, rows, leader.best)


def _standing(run: Run, row: Trace, known: dict[str, HistoryEntry]) -> Standing:
    assert row.best is not None, "a row has one"
    path = path_entries(known, row.best.attempt)
    line = path[-1].id if path else row.best.attempt
    return Standing(row.trace, line, run.sign * row.best.score)


async def _finer_standings(
    run: Run, own: Best, rows: list[Trace], standings: list[Standing]
) -> list[Standing]:
    """The standings in standard errors over the trace's own best; none where scores alone tell."""
    found: list[Standing] = []
    for row, standing in zip(rows, standings, strict=True):
        assert row.best is not None, "a row has one"
        paired = await compare_bests(run, row.best, own)
        if paired is None and row.best.ref != own.ref:
            return []
        found.append(standing._replace(score=paired.d / paired.se if paired and paired.se else 0.0))
    return found


def _comparison_noise(known: dict[str, HistoryEntry], otherwise: float) -> float:
    """The standard error that comparisons of this run typically have."""
    errors = [entry.gain_se for entry in known.values() if entry.gain_se]
    return statistics.median(errors) if errors else otherwise
