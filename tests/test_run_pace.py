"""Nobody waits: which traces take a further step while others run, and that a resume repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import make_record
from trust_kit import open_run_without_worker

from graph.state import Trace, TraceState
from report.projection import apply_events
from report.slot_use import describe_slot_use
from run.ahead import plan_meeting
from run.events import iterate_events
from run.pace import Pace
from run.registry import close_run
from run.run import Run


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def paced(*steps_s: float) -> tuple[Pace, Clock]:
    """Traces 0 and 1, after steps of these seconds; both begin a step."""
    clock = Clock()
    pace = Pace(clock)
    for seconds in steps_s:
        pace.begin_step(0)
        clock.now += seconds
        pace.end_step(0, "head")
        pace.leave(0, waits=False)
    pace.begin_step(0)
    pace.begin_step(1)
    return pace, clock


def test_a_trace_waits_only_for_one_that_is_expected_soon() -> None:
    pace, clock = paced()
    clock.now += 10
    pace.end_step(0, "h0")
    assert pace.slower_traces(0) == []  # nothing is known: steps may take as long
    clock.now += 10
    assert pace.slower_traces(0) == [1]
    pace, clock = paced(30, 30, 31, 30, 31, 31)
    clock.now += 29
    pace.end_step(0, "h0")
    assert pace.slower_traces(0) == []  # steps take as long: the other is back at once
    clock.now += 40
    assert pace.slower_traces(0) == [1]  # it takes longer than any step before
    pace.leave(1, waits=True)
    assert pace.slower_traces(0) == []


def test_once_a_trace_waits_the_others_come_back() -> None:
    pace, clock = paced(10, 40)
    pace.begin_step(2)
    clock.now += 12
    pace.end_step(0, "h0")
    assert pace.slower_traces(0) == [1, 2]
    pace.leave(0, waits=True)
    clock.now += 3
    pace.end_step(1, "h1")
    assert pace.slower_traces(1) == []
    pace.leave(1, waits=True)
    clock.now += 5
    assert pace.close_round() == 8 + 5 and pace.slower_traces(2) == []


def open_ahead(tmp_path: Path, **settings: Any) -> tuple[Run, TraceState, list[str]]:
    """Trace 0 has done its step of the round, while trace 1 runs; each has made two attempts."""
    run = open_run_without_worker(tmp_path, traces=2, steps=9, **settings)
    heads = list[str]()
    for name in ("t0s0", "t0s1", "t1s0", "t1s1"):
        trace, step = int(name[1]), int(name[3])
        prev = heads[-1] if step else None
        record = make_record(name, trace=trace, step=step, prev=prev)
        heads.append(run.artifacts.put_json(record.dump()))
    row = Trace(trace=0, step=1, head=heads[0], merged=None)
    state = TraceState(run_dir=str(run.folder), row=row, until=1, siblings=[heads[2]])
    clock = Clock()
    run.pace = Pace(clock)
    run.pace.begin_step(1)
    clock.now = 20
    run.pace.begin_step(0)
    clock.now = 30
    return run, state, heads


async def test_a_trace_goes_ahead_knowing_what_the_others_measured(tmp_path: Path) -> None:
    run, state, heads = open_ahead(tmp_path)
    try:
        run.pace.heads[1] = heads[3]
        meeting = await plan_meeting(run, state, state.row)
        assert (meeting.until, meeting.siblings, meeting.slower) == (2, [heads[3]], [1])
        run.pace.leave(1, waits=True)  # a node that runs again after a kill decides the same
        assert await plan_meeting(run, state, state.row) == meeting
        told = [e for e in iterate_events(run.events.path) if e["ev"] == "went_ahead"]
        assert [(each["trace"], each["step"], each["slower"]) for each in told] == [(0, 1, [1])]
    finally:
        await close_run(run.folder)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"ahead": 0}, {}),
        ({"ahead": 1}, {"step": 2, "head": 1}),
        ({}, {"status": "failed"}),
        ({}, {"step": 9}),
        ({"max_executions": 1}, {}),
    ],
)
async def test_a_trace_returns_at_its_bounds(
    settings: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    run, state, heads = open_ahead(tmp_path, **settings)
    try:
        if "max_executions" in settings:
            run.events.emit("execution_finished", seconds=1.0)
        if "head" in changes:
            changes = changes | {"head": heads[changes["head"]]}
        row = state.row.evolve(**changes)
        until = (await plan_meeting(run, state.evolve(until=row.step), row)).until
        assert until == row.step
    finally:
        await close_run(run.folder)


def test_the_report_says_how_busy_the_slots_were() -> None:
    started = {"ev": "run_started", "elapsed": 10.0, "traces": 4, "slots": 2}
    scripts = [{"ev": "execution_finished", "seconds": seconds} for seconds in (30.0, 60.0)]
    merged = {"ev": "merged", "elapsed": 60.0, "waited_s": 20.0}
    refit = {"ev": "execution_finished", "seconds": 500.0}
    told = describe_slot_use(apply_events([started, *scripts, merged, refit]))
    assert (
        told
        == "scripts ran 90% of the time of 2 slots; traces waited for one another 10% of theirs"
    )
    assert describe_slot_use(apply_events([{"ev": "run_started"}, merged])) == ""  # an earlier run
