"""The limits of one script: a share of what is left, told and enforced alike, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import FAULTS, HONEST, Player, events, quick, write_task
from trust_kit import open_run_without_worker, ready

from cli.config import make_settings
from graph.state import Trace, Work
from reasoner.protocol import DraftBrief, RepairBrief, Solution
from run.limits import (
    enforced_limit_s,
    longest_wall_s,
    script_limit_s,
    script_memory_bytes,
    share_memory,
)
from run.registry import close_run
from run.run import Run
from sandbox.protocol import Host
from session.session import start_run
from task.grade.grade import execution_problem
from task.types import ExecutionFacts

GIB = 2**30
DRAFT = Work(attempt="t0s0", kind="draft", mode="draft")


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Opens a run with the settings given, closed at the end."""

    def open_with(**changes: Any) -> Run:
        given = {"traces": 1, "steps": 8, "time_s": 36_000} | changes
        return open_run_without_worker(tmp_path, **given)

    return open_with


@pytest.mark.parametrize(
    ("steps", "done", "share"), [(8, 0, 0.25), (8, 5, 1 / 3), (8, 7, 1.0), (200, 0, 0.04)]
)
async def test_a_script_gets_a_share_of_the_time_left(
    opened: Any, steps: int, done: int, share: float
) -> None:
    run = opened(steps=steps)
    try:
        room_s = 0.9 * run.settings.time_s
        limit_s = script_limit_s(run, Trace(trace=0, step=done))
        assert limit_s == pytest.approx(share * room_s, rel=0.01)
        drafted_s = script_limit_s(run, Trace(trace=0, step=done), drafts=True)
        drafts = {8: 3600, 200: 3600 / 8}  # of the drafts' share; 8 of 200 attempts are drafts
        assert drafted_s == pytest.approx(min(limit_s, drafts[steps]), rel=0.01)
    finally:
        await close_run(run.folder)


async def test_many_short_steps_and_few_executions_have_their_own_shares(opened: Any) -> None:
    run = opened(steps=5000, time_s=7200)
    assert script_limit_s(run, Trace(trace=0)) == 60
    run.change_settings(max_executions=3)  # one of them is the finale's
    assert script_limit_s(run, Trace(trace=0)) == pytest.approx(0.9 * 7200 / 2, rel=0.01)
    run.change_settings(run_time_s=50)
    assert script_limit_s(run, Trace(trace=0)) == 50
    run.change_settings(run_time_s="auto", time_s=20)
    assert 17 < script_limit_s(run, Trace(trace=0, step=4999)) <= 18
    await close_run(run.folder)


async def test_what_was_told_is_enforced_but_for_a_part_of_the_finale(opened: Any) -> None:
    run = opened(time_s=1000)
    try:
        told = DRAFT.evolve(limit_s=700.0)
        assert enforced_limit_s(run, Trace(trace=0), told) == 700
        run.events._began -= 280  # the reasoner took so long
        assert enforced_limit_s(run, Trace(trace=0), told) == pytest.approx(670, abs=1)
        assert enforced_limit_s(run, Trace(trace=0), DRAFT) == pytest.approx(100, abs=1)
        assert longest_wall_s(run, 70) == pytest.approx(280, abs=1)
        assert longest_wall_s(run, 100) == pytest.approx(310, abs=1)  # half of what is left
        assert longest_wall_s(run, 600) == pytest.approx(600, abs=1)
        run.board.in_finale = True
        assert longest_wall_s(run, 600) == pytest.approx(720, abs=1)
    finally:
        await close_run(run.folder)


async def test_memory_is_a_share_of_the_machine(opened: Any) -> None:
    run = opened(traces=4, slots=4)
    try:
        host = Host(packages={}, cpus=8, memory_bytes=30 * GIB, total_memory_bytes=30 * GIB)
        assert share_memory(run, host) == 7.5 * GIB
        apart = host.model_copy(update={"total_memory_bytes": None})
        assert share_memory(run, apart) == 30 * GIB
        assert share_memory(run, Host(packages={}, cpus=1)) is None
        assert script_memory_bytes(run) == 4 * GIB  # an unknown machine
        run.change_settings(run_memory_bytes=GIB)
        assert script_memory_bytes(run) == GIB
    finally:
        await close_run(run.folder)


def test_auto_is_a_word_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = make_settings({}, ["run_time_s=2h", "run_memory_bytes=123"])
    assert (chosen.run_time_s, chosen.run_memory_bytes) == (7200, 123)
    chosen = make_settings({}, ["run_time_s=auto", "run_memory_bytes=auto"])
    assert (chosen.run_time_s, chosen.run_memory_bytes) == ("auto", "auto")
    for pair in ("run_time_s=0", "run_memory_bytes=much"):
        with pytest.raises(BaseException, match="2"):
            make_settings({}, [pair])
        assert "auto, or a number above 0" in capsys.readouterr().err


SENTENCES: list[tuple[ExecutionFacts, str, str]] = [
    (
        {"end": "timeout", "wall_s": 601.2, "limit_s": 600, "cpu_s": 157.3, "cpus": 1},
        "timeout",
        "the script was ended at its time limit of 600 s after 601 s (157 CPU seconds on 1 core); "
        "make it cheaper",
    ),
    (
        {"end": "timeout", "wall_s": 203.1, "limit_s": 60, "cpu_s": 35.2, "cpus": 2},
        "timeout",
        "the script was ended at its time limit of 60 s after 203 s (35 CPU seconds on 2 cores; "
        "the limit was stretched, because other processes kept its cores busy); make it cheaper",
    ),
    (
        {"end": "memory", "limit_mb": 4096, "peak_bytes": int(4.12 * GIB)},
        "memory",
        "the script was ended at its memory limit of 4.00 GiB: it held 4.12 GiB and asked for more;"
        " hold less at a time",
    ),
    (
        {
            "end": "exit",
            "exit_code": 1,
            "limit_mb": 4096,
            "peak_bytes": GIB // 10,
            "output": "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 90. GiB\n",
        },
        "memory",
        "the script crashed: _ArrayMemoryError: Unable to allocate 90. GiB; its memory limit was of"
        " 4.00 GiB: it held 0.10 GiB and asked for more",
    ),
    (
        {
            "end": "exit",
            "exit_code": 1,
            "output": "ValueError: boom\n",
            "rehearsed": {"rows": 300, "of": 7500},
        },
        "crash",
        "in a rehearsal on 300 of 7,500 training rows: the script crashed: ValueError: boom",
    ),
    ({"end": "timeout"}, "timeout", "the script was ended at its time limit; make it cheaper"),
]


@pytest.mark.parametrize(("facts", "code", "sentence"), SENTENCES)
def test_the_message_says_which_limit_and_what_was_used(
    facts: ExecutionFacts, code: str, sentence: str
) -> None:
    problem = execution_problem(facts)
    assert problem is not None
    assert (problem["code"], problem["message"]) == (code, sentence)


class Drafter(Player):
    """Drafts a script that hangs, and the same again; it remembers its briefs."""

    def __init__(self) -> None:
        super().__init__([FAULTS["hang"]])
        self.briefs: list[DraftBrief | RepairBrief] = []

    async def draft(self, brief: DraftBrief) -> Solution:
        self.briefs.append(brief)
        is_last = len(brief.history) == 2
        script = HONEST.format(noise=0.1) if is_last else FAULTS["hang"]
        return Solution(script=script, summary="a draft")

    async def repair(self, brief: RepairBrief) -> Solution:
        self.briefs.append(brief)
        return Solution(script=FAULTS["hang"], summary="the same", cause="time", fix="hope")


@pytest.mark.slow
async def test_a_draft_out_of_time_is_not_run_again(tmp_path: Path) -> None:
    drafter = Drafter()
    settings = quick(tmp_path, run_time_s=5, max_repairs=1, steps=3)
    outcome = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=drafter)
    attempts = events(outcome.folder, "attempt")
    assert [event["verdict"] for event in attempts] == ["failed", "failed", "accepted"]
    assert len(events(outcome.folder, "execution_finished")) == 2
    assert "time limit of 5 s" in attempts[1]["reasons"][0]
    second = next(brief for brief in drafter.briefs if len(brief.history) == 1)
    assert "timeout" in second.history[0].codes
    told = {brief.resources.wall_s for brief in drafter.briefs}
    limits = {event["limit_s"] for event in events(outcome.folder, "execution_started")}
    assert told == limits == {5.0}


def test_a_task_may_set_the_limit(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task")
    with (folder / "task.yaml").open("a") as file:
        file.write("run_time_s: 77\n")
    assert ready(folder).task.run_time_s == 77
