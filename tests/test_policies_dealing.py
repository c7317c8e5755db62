"""Executions go where they pay: first drafts, lines, and moves to a better line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from kit import make_record
from sampler_kit import make_attempt, view
from trust_kit import open_run_without_worker

from briefs.dealing import deal_step
from graph.state import Trace, TraceState
from policies.dealing import Standing, choose_start, count_lines
from policies.registry import POLICIES
from run.attempt import best_from, store_attempt
from run.budget import count_first_drafts, expected_attempts, share_first_drafts, used_share
from run.events import iterate_events
from run.registry import close_run
from run.run import Run


def test_first_drafts_grow_with_the_budget_and_are_shared() -> None:
    counts = [count_first_drafts(n, 2) for n in (4, 8, 9, 16, 20, 50, 200, 10_000)]
    assert counts == [2, 2, 4, 5, 6, 8, 8, 8] and count_first_drafts(200, 16) == 16
    for n in (2, 3, 5, 8):
        shares = [share_first_drafts(n, 3, trace) for trace in range(3)]
        assert sum(shares) == n and max(shares) - min(shares) <= 1


def test_fewer_lines_go_on_as_the_budget_is_used() -> None:
    assert [count_lines(100, 4, used) for used in (0, 0.2, 0.3, 0.6, 0.74, 0.75, 1)] == [
        *(4, 4, 3, 2, 2, 1, 1)
    ]
    assert count_lines(10, 4, 0) == 1 and count_lines(25, 4, 0) == 2


def test_a_trace_moves_from_a_line_that_ends_and_when_it_lags_on_its_own() -> None:
    known = [Standing(0, "a", 9.0), Standing(1, "b", 8.9), Standing(2, "a", 8.0)]
    starts = [choose_start(trace, known, 2, noise=1.0) for trace in (0, 1, 2)]
    assert starts == [None, None, 0]
    assert choose_start(1, known, 1, noise=1.0) == 0  # its line ends, however near it is
    assert choose_start(2, known, 2, noise=3.0) is None  # within half a standard error
    assert choose_start(7, known, 1, noise=1.0) is None  # it has nothing to compare


@pytest.mark.parametrize("policy", ["gome", "adaptive"])
def test_both_policies_make_the_drafts_that_they_are_dealt(policy: str) -> None:
    def mode(made: int, drafts: int | None) -> str:
        attempts = [make_attempt(index, mode="draft") for index in range(made)]
        known = view(attempts)._replace(best="ref0", drafts=drafts, steps=4)
        return POLICIES[policy](known, random.Random(0)).mode

    assert [mode(made, 3) for made in (1, 2, 3)] == ["draft", "draft", "directed"]
    assert mode(1, 1) == "directed"


def dealt_run(tmp_path: Path, **settings: Any) -> tuple[Run, TraceState]:
    """Trace 1 is at step 2 of 9, behind trace 0 on another line."""
    run = open_run_without_worker(tmp_path, traces=2, steps=9, **settings)
    heads: dict[int, str] = {}
    for trace, scores in ((0, (0.8, 0.9)), (1, (0.7, 0.71))):
        for step, score in enumerate(scores):
            name, parent = f"t{trace}s{step}", f"t{trace}s0" if step else None
            record = make_record(
                name,
                trace=trace,
                step=step,
                prev=heads.get(trace),
                parent=parent,
                score=score,
                score_se=0.01,
                gain_se=0.01 if step else None,
                replaces=True,
                script=run.artifacts.put(name),
                mode="directed" if step else "draft",
                kind="update" if step else "draft",
                verdict="tie" if step else "accepted",
            )
            heads[trace] = store_attempt(run.artifacts, record).ref
    best = best_from(run.attempt(heads[1]))
    row = Trace(trace=1, step=2, head=heads[1], best=best, stepped=1, diagnosis="d")
    return run, TraceState(run_dir=str(run.folder), row=row, until=3, siblings=[heads[0]])


async def test_a_trace_behind_on_a_line_that_ends_moves_once_and_as_before_after_a_kill(
    tmp_path: Path,
) -> None:
    run, state = dealt_run(tmp_path, max_executions=10)
    try:
        trace, drafts = await deal_step(run, state)
        assert drafts == 2 and trace.best and trace.best.attempt == "t0s1"
        assert (trace.diagnosis, trace.stepped) == (None, 0)
        run.change_settings(max_executions=200)  # what a kill leaves is not decided again
        assert await deal_step(run, state) == (trace, drafts)
        told = [e for e in iterate_events(run.events.path) if e["ev"] == "moved"]
        assert [each["why"] for each in told] == ["continues from t0s1"]
        again = state.evolve(row=trace.evolve(step=3))
        assert (await deal_step(run, again))[0] == again.row  # it is there already
    finally:
        await close_run(run.folder)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"deal": "turns"}, {}),
        ({"max_executions": 2000, "time_s": 1e6}, {}),
        ({}, {"pinned": True}),
        ({}, {"told": "go on here"}),
        ({}, {"step": 1}),
    ],
)
async def test_a_trace_stays_where_its_line_goes_on_or_a_person_said_so(
    settings: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    given = {"max_executions": 10} | settings
    if given["max_executions"] == 2000:
        given["steps"] = 900
    run, state = dealt_run(tmp_path, **{k: v for k, v in given.items() if k != "steps"})
    try:
        if "steps" in given:
            run.change_settings(steps=given["steps"])
        state = state.evolve(row=state.row.evolve(**changes))
        assert (await deal_step(run, state))[0] == state.row
    finally:
        await close_run(run.folder)


async def test_the_used_share_is_that_of_the_budget_nearest_to_its_end(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path, traces=2, steps=10, max_executions=11, time_s=1e6)
    try:
        assert expected_attempts(run) == 10 and used_share(run, 2) == 0.2
        for _ in range(6):
            run.events.emit("execution_finished", seconds=1.0)
        assert used_share(run, 2) == 0.6
    finally:
        await close_run(run.folder)
