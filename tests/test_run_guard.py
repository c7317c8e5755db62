"""A fault of our own in a node fails the attempt once; twice in a row it pauses the run."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from kit import HONEST, Player, events, quick, write_task

import graph.build
from reasoner.protocol import DraftBrief, Solution
from run.guard import describe
from run.lock import RunError
from session.session import resume_run, start_run
from task.client import WorkerError, WorkerTimeoutError

Node = Callable[..., Awaitable[Any]]


def scripts() -> list[str]:
    return [HONEST.format(noise=noise) for noise in (3, 1, 0.5)]


def spoil(
    name: str, monkeypatch: pytest.MonkeyPatch, times: int, error: Exception | None = None
) -> None:
    """Let a node fail, from its second call on, so many times."""
    node: Node = getattr(graph.build, name)
    count = [0]

    @functools.wraps(node)
    async def failing(*args: Any, **more: Any) -> Any:
        count[0] += 1
        first = 1 if name in ("profile", "finalize") else 2
        if first <= count[0] < first + times:
            raise error or AttributeError(f"a bug\nin {name}")
        return await node(*args, **more)

    monkeypatch.setattr(graph.build, name, failing)


SLOW_FAULTS = ("update", "execute", "validate", "steer")  # as the others; in the nightly tests
FAULTS = [
    "select",
    "diagnose",
    "record",
    "finalize",
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_FAULTS),
]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_costs_at_most_the_attempt(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(name, monkeypatch, 1)
    task = str(write_task(tmp_path / "task"))
    done = await start_run(task, quick(tmp_path), reasoner=Player(scripts()))
    assert done.reason == "budget: steps" and done.submission and done.submission.is_file()
    log = (done.folder / "errors.log").read_text()
    assert f"AttributeError: a bug\nin {name}" in log and "Traceback" in log
    (said,) = [e["message"] for e in events(done.folder, "warning") if "fault" in e["message"]]
    assert name in said and "errors.log" in said and "\n" not in said
    attempts = events(done.folder, "attempt")
    assert [each["id"] for each in attempts] == ["t0s0", "t0s1", "t0s2"]
    failed = [each for each in attempts if each["codes"] == ["harness"]]
    assert len(failed) == (name not in ("record", "steer", "finalize"))
    assert all(f"{name} failed: AttributeError" in each["reasons"][0] for each in failed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["validate", "record", "merge", "profile"])
async def test_a_second_fault_in_a_row_pauses_and_a_resume_completes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, task = tmp_path / "run", str(write_task(tmp_path / "task"))
    with monkeypatch.context() as patch:
        spoil(name, patch, 10**6)
        with pytest.raises(RunError, match=f"{name}.*twice in a row.*gome resume run"):
            await start_run(task, quick(tmp_path), folder=folder, reasoner=Player(scripts()))
    assert events(folder, "run_ended")[-1]["reason"] == "paused"
    done = await resume_run(folder, reasoner=Player(scripts()))
    assert done.reason == "budget: steps" and done.submission is not None


async def test_slow_checks_fail_attempts_and_never_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil("validate", monkeypatch, 2, WorkerTimeoutError("grade_execution: no result after 9 s"))
    task = str(write_task(tmp_path / "task"))
    done = await start_run(task, quick(tmp_path), reasoner=Player(scripts()))
    assert done.reason == "budget: steps"
    verdicts = [each["verdict"] for each in events(done.folder, "attempt")]
    assert verdicts[1:] == ["failed", "failed"]


def test_a_worker_s_traceback_is_told_by_its_last_line() -> None:
    text = 'task.profile: Traceback (most recent call last):\n  File "a.py"\nKeyError: 3\n'
    assert describe(WorkerError(text)) == "WorkerError: task.profile: KeyError: 3"


class Remover(Player):
    """Removes the run folder while a script is asked for."""

    async def draft(self, brief: DraftBrief) -> Solution:
        shutil.rmtree(self.folder)
        return await super().draft(brief)

    def __init__(self, folder: Path) -> None:
        super().__init__(scripts())
        self.folder = folder


async def test_a_run_folder_that_is_removed_ends_the_run_by_one_sentence(tmp_path: Path) -> None:
    task, folder = str(write_task(tmp_path / "task")), tmp_path / "run"
    with pytest.raises(RunError, match="run was removed, or moved, while the run went on"):
        await start_run(task, quick(tmp_path), folder=folder, reasoner=Remover(folder))
    assert not (folder / "events.jsonl").exists()
