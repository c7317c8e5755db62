"""A run is killed at random moments and resumed: nothing finished is repeated or recorded twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from kit import write_task

from run.events import iterate_events

DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kit import HONEST, Player, quick
from session.session import start_run, resume_run
uneven = "import random, time; time.sleep(random.SystemRandom().choice((0.1, 0.2, 2.5)))"
scripts = [HONEST.format(noise=n) + uneven for n in (3, 1, 5, 0.5, 0.01)]
folder = Path({folder!r})
settings = quick(Path({root!r}), traces=2, steps=5, memory={memory!r})
if (folder / "run.json").exists():
    asyncio.run(resume_run(folder, reasoner=Player(scripts)))
else:
    asyncio.run(start_run({task!r}, settings, folder=folder, reasoner=Player(scripts)))
"""


def drive(tmp_path: Path) -> subprocess.Popen[bytes]:
    values = {
        "root": tmp_path,
        "task": tmp_path / "task",
        "folder": tmp_path / "run",
        "memory": tmp_path / "memory",
    }
    code = DRIVER.format(
        tests=str(Path(__file__).parent), **{key: str(value) for key, value in values.items()}
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], start_new_session=True
    )


def kill_and_resume(tmp_path: Path, kills: int, seed: int) -> Path:
    write_task(tmp_path / "task")
    moments = random.Random(seed)
    for _ in range(kills):
        process = drive(tmp_path)
        time.sleep(moments.uniform(1.0, 6.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert drive(tmp_path).wait(120) == 0
    return tmp_path / "run"


def check(folder: Path) -> None:
    happened = list(iterate_events(folder / "events.jsonl"))
    attempts = [event for event in happened if event["ev"] == "attempt"]
    assert sorted(attempt["id"] for attempt in attempts) == sorted(
        f"t{trace}s{step}" for trace in range(2) for step in range(5)
    )
    assert not started_after_finish(happened)
    ahead = [(event["trace"], event["step"]) for event in happened if event["ev"] == "went_ahead"]
    assert ahead and len(ahead) == len(set(ahead))
    ended = [event for event in happened if event["ev"] == "run_ended"]
    assert [event["reason"] for event in ended] == ["budget"]
    best = json.loads((folder / "best" / "best.json").read_text())
    assert best["score"] == max(attempt["score"] for attempt in attempts if attempt["replaces"])


def started_after_finish(happened: list[dict[str, Any]]) -> list[str]:
    """Attempts whose script was started again although it had finished before."""
    finished: set[str] = set()
    again = []
    for event in happened:
        if event["ev"] == "execution_finished":
            finished.add(event["attempt"])
        if event["ev"] == "execution_started" and event["attempt"] in finished:
            again.append(event["attempt"])
    return again


def records(folder: Path) -> Counter[str]:
    """Count each record id in the journal of the memory."""
    rows = [json.loads(line) for line in next(folder.rglob("*.jsonl")).read_text().splitlines()]
    return Counter(row["id"] for row in rows if "id" in row)


def orphans(tmp_path: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(tmp_path) in line and process.pid != os.getpid():
            found.append(line[:120])
    return found


@pytest.mark.slow
def test_three_kills_repeat_nothing(tmp_path: Path) -> None:
    check(kill_and_resume(tmp_path, kills=3, seed=1))
    assert max(records(tmp_path / "memory").values()) == 1
    assert orphans(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_repeat_nothing(tmp_path: Path) -> None:
    check(kill_and_resume(tmp_path, kills=10, seed=2))
    assert max(records(tmp_path / "memory").values()) == 1
    assert orphans(tmp_path) == []
