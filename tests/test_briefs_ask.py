"""What a pause leaves running: nothing, because every script ends first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task

from briefs.ask import ask_reasoner, give_up_step
from graph.state import Trace, Work
from reasoner.protocol import ReasonerError, ReasonerUnavailableError, Solution
from run.registry import close_run, open_run
from run.run import Run
from scoring.evaluation import Seeded, run_with_seed
from session.session import start_run

SLOW = "import os, time\nprint(os.environ['GOME_SEED'])\ntime.sleep(2)\n"


async def ask(run: Run) -> None:
    async def answer() -> Solution:
        raise ReasonerUnavailableError("the endpoint is down")

    await ask_reasoner(run, "draft", ["t0s9"], answer, Solution)


async def give_up(run: Run) -> None:
    work = Work(attempt="t0s9", kind="draft", mode="draft")
    await give_up_step(run, Trace(trace=0, step=9), work, ReasonerError("nonsense"))


@pytest.mark.parametrize("failing", [ask, give_up])
async def test_a_script_under_another_seed_ends_before_the_run_pauses(
    tmp_path: Path, failing: Callable[[Run], Awaitable[None]]
) -> None:
    settings = quick(tmp_path, steps=1, max_unanswered=1)
    player = Player([HONEST.format(noise=1)])
    outcome = await start_run(str(write_task(tmp_path / "task")), settings, reasoner=player)
    run = open_run(outcome.folder)
    try:
        script = run.artifacts.put(SLOW)
        seeded = asyncio.create_task(run_with_seed(run, Seeded("t0s0", script, 5.0, {}), 1))
        while not run.board.n_scripts:
            await asyncio.sleep(0.05)
        with pytest.raises(ReasonerUnavailableError):
            await failing(run)
        execution = await asyncio.wait_for(seeded, 1)
        assert execution is not None and execution.ok and execution.wall_s >= 2
        (warning,) = events(outcome.folder, "warning")
        assert "pauses at the end of 1 running script" in warning["message"]
    finally:
        await close_run(outcome.folder)
