"""The task worker's client: typed calls, refusals, bugs and a worker that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kit import write_task

from task import client
from task.client import TaskWorker, WorkerError, worker_command
from task.types import Prepared, Task, TaskError


@pytest.fixture(autouse=True)
def cold_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers as a user's run does, not as tests/warm_worker.py."""
    monkeypatch.setattr(client, "worker_command", worker_command)


@pytest.fixture
async def worker() -> AsyncIterator[TaskWorker]:
    client = TaskWorker()
    yield client
    await client.close()


async def test_models_cross_in_both_directions(worker: TaskWorker, tmp_path: Path) -> None:
    task = await worker.load_task(str(write_task(tmp_path / "task")))
    prepared = await worker.prepare(
        task, str(tmp_path / "public"), str(tmp_path / "private"), seed=0, audit=False
    )
    assert isinstance(task, Task) and isinstance(prepared, Prepared)
    assert prepared.task.name == task.name and (tmp_path / "public" / "train.csv").exists()


async def test_a_refusal_is_a_task_error(worker: TaskWorker, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="is not a folder"):
        await worker.load_task(str(tmp_path / "nowhere"))


async def test_a_bug_carries_the_traceback_and_the_worker_survives(worker: TaskWorker) -> None:
    with pytest.raises(WorkerError, match="TypeError"):
        await worker.write_example()  # type: ignore[call-arg]  # the missing argument is the test
    pid = worker._child.pid
    assert "digits" in await worker.list_examples() and worker._child.pid == pid


async def test_after_a_killed_worker_the_next_call_starts_another(worker: TaskWorker) -> None:
    await worker.list_examples()
    pid = worker._child.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="the task worker ended with signal 9"):
        await worker.list_examples()
    assert await worker.list_examples()
