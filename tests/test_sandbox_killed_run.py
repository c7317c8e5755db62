"""A run is killed while its two traces hold 200 processes each: all die, and the run resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kit import events, write_task

DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kit import HONEST, Player, quick
from session.session import start_run, resume_run
CROWD = '''
import os, signal, time
for _ in range(200):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execv("/bin/sleep", ["{mark}", "300"])
time.sleep(15)
'''
folder = Path({folder!r})
player = Player([HONEST.format(noise=0.5) + CROWD])
if (folder / "run.json").exists():
    asyncio.run(resume_run(folder, reasoner=player))
else:
    settings = quick(Path({root!r}), traces=2, steps=1, slots=2, run_time_s=150, time_s=900)
    asyncio.run(start_run({task!r}, settings, folder=folder, reasoner=player))
"""


def crowd(mark: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0] == mark
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_400_processes_die_with_the_agent_and_the_run_resumes(tmp_path: Path) -> None:
    write_task(tmp_path / "task")
    mark = f"gome-crowd-{os.urandom(6).hex()}"
    folder = tmp_path / "run"
    places = {
        "tests": str(Path(__file__).parent),
        "folder": str(folder),
        "root": str(tmp_path),
        "task": str(tmp_path / "task"),
        "mark": mark,
    }
    code = DRIVER.format(**places)
    agent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    deadline = time.monotonic() + 300
    while len(crowd(mark)) < 400:
        assert time.monotonic() < deadline and agent.poll() is None
        time.sleep(0.1)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    time.sleep(2)
    assert crowd(mark) == []
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[1], timeout=600
        ).returncode
        == 0
    )
    assert crowd(mark) == []
    assert len([event for event in events(folder, "attempt") if event["verdict"] != "failed"]) == 2
    assert events(folder, "run_ended")
