"""Time is counted by what a script could use, memory by what is resident."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sandbox_suite import player

from sandbox.local import cgroup
from sandbox.local.backend import LocalSandbox, usable_memory_bytes
from sandbox.local.plan import TierName
from sandbox.local.procs import TreeUsage, count_runnable, tree_pids
from sandbox.local.tiers import probe_tier
from sandbox.local.usage import count_served_s, watch_memory
from task.grade.grade import execution_problem

GIB = 2**30
TIERS: tuple[TierName, ...] = ("bubblewrap", "userns", "landlock", "none")
HOLD = """
import numpy as np
held = np.ones(int({gib} * 2**30), dtype=np.uint8)
reserved = np.empty(6 * 2**30, dtype=np.uint8)  # more than the limit, and never used
print("held", len(held) >> 20)
"""
WORK = """
import time
began = time.process_time()
while time.process_time() - began < {cpu_s}:
    pass
print("done")
"""


def opened(name: TierName) -> LocalSandbox:
    tier, why = probe_tier(name)
    if tier is None:
        pytest.skip(f"{name} does not start here: {why}")
    return LocalSandbox(tier, None)


@pytest.mark.parametrize(
    ("passed_s", "cpu_s", "n_wanted", "counted_s"),
    [(1, 0.25, 1, 0.25), (1, 1, 1, 1), (1, 0.5, 2, 0.25), (1, 0, 0, 1), (1, 3, 2, 1)],
)
def test_seconds_count_as_far_as_the_wanted_cores_were_got(
    passed_s: float, cpu_s: float, n_wanted: int, counted_s: float
) -> None:
    assert count_served_s(passed_s, cpu_s, n_wanted) == counted_s


def test_threads_that_run_or_wait_for_a_core_are_counted() -> None:
    code = "import threading\ndef turn():\n    while True: pass\n"
    code += "for _ in range(3): threading.Thread(target=turn).start()\nprint('up', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            pids = tree_pids(process.pid)
            assert max(count_runnable(pids, 2) for _ in range(50)) <= 2
            assert any(count_runnable(pids, 8) >= 1 for _ in range(200))
        finally:
            process.kill()
    assert count_runnable([process.pid], 8) == 0


@contextmanager
def crowded() -> Iterator[None]:
    """Every core has three more processes that want it."""
    cores = os.sched_getaffinity(0)
    code = "while True: pass"
    crowd = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3 * len(cores))]
    try:
        yield
    finally:
        for process in crowd:
            process.kill()
            process.wait()


@pytest.mark.slow
async def test_a_starved_script_is_not_ended_for_the_wall_clock(tmp_path: Path) -> None:
    play = player(opened("bubblewrap"), tmp_path)
    with crowded():
        done = await play(WORK.format(cpu_s=2.5), wall_s=5, longest_s=200)
        assert (done.end, done.output) == ("exit", "done\n"), done
        asleep = await play("import time\ntime.sleep(100)", wall_s=2, longest_s=200)
        assert asleep.end == "timeout" and asleep.wall_s < 60
        endless = await play("while True: pass", wall_s=1, longest_s=200)
        assert endless.end == "timeout" and endless.cpu_s is not None and endless.cpu_s < 10


async def test_the_longest_wall_time_holds(tmp_path: Path) -> None:
    done = await player(opened("none"), tmp_path)("while True: pass", wall_s=2, longest_s=3)
    assert done.end == "timeout"


@pytest.mark.slow
@pytest.mark.parametrize("with_group", [True, False])
@pytest.mark.parametrize("name", TIERS)
async def test_what_is_resident_is_limited_and_nothing_else(
    name: TierName, with_group: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.5 GB fit into 4 GiB on every tier, 5 GB do not, and what is reserved does not count."""
    if psutil.virtual_memory().available < 8 * GIB:
        pytest.skip("too little memory is free here")
    if not with_group:
        monkeypatch.setattr(cgroup, "make_group", lambda *_: None)
    play = player(opened(name), tmp_path)
    fits = await play(HOLD.format(gib=3.5), memory_bytes=4 * GIB)
    assert (fits.end, fits.output) == ("exit", "held 3584\n"), fits
    assert fits.peak_bytes is not None and fits.peak_bytes > 3 * GIB
    over = await play(HOLD.format(gib=5), memory_bytes=4 * GIB)
    assert over.end == "memory", over
    problem = execution_problem(
        {"end": over.end, "peak_bytes": over.peak_bytes, "limit_mb": 4096.0}
    )
    assert problem is not None
    start = "the script was ended at its memory limit of 4.00 GiB: it held "
    assert problem["message"].startswith(start)
    held = float(problem["message"].removeprefix(start).split()[0])
    assert 3.9 <= held <= 5.2


def test_a_share_of_the_machine_is_less_than_the_machine() -> None:
    assert 0 < usable_memory_bytes() < psutil.virtual_memory().total


async def test_a_busy_machine_does_not_blind_the_watch_of_memory(tmp_path: Path) -> None:
    """A look that waits for a core must not be paid for by a longer pause."""
    looks = []

    class Starved(TreeUsage):
        def sample(self, pid: int, limit: int, disk: int | None = None) -> bool:
            looks.append(time.monotonic())
            time.sleep(0.2)
            return super().sample(pid, limit, disk)

    usage = Starved(began=time.monotonic())
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(watch_memory(os.getpid(), usage, 2**40, None, tmp_path), 3)
    assert len(looks) >= 5


async def test_cancelling_ends_the_watch_of_the_time(tmp_path: Path) -> None:
    play = player(opened("none"), tmp_path)
    task = asyncio.ensure_future(play("import time\ntime.sleep(100)", wall_s=100, longest_s=200))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
