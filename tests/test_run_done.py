"""What a node has finished is on disk: run again after a kill, it repeats nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from pydantic import BaseModel
from trust_kit import open_run_without_worker

from run.registry import close_run
from scoring.audit import count_audit_bits
from scoring.label_check import read_label_checks


class Made(BaseModel):
    n: int


async def test_finished_work_is_found_and_not_repeated(tmp_path: Path) -> None:
    run, calls = open_run_without_worker(tmp_path), list[str]()

    async def make() -> Made:
        calls.append("made")
        return Made(n=len(calls))

    try:
        first = await run.once("draft", ["t0s0", "ref"], make, Made)
        assert await run.once("draft", ["t0s0", "ref"], make, Made) == first == Made(n=1)
        assert len(calls) == 1
        assert await run.once("draft", ["t0s1", "ref"], make, Made) == Made(n=2)
        assert await run.once("review", ["t0s0", "ref"], make, Made) == Made(n=3)
    finally:
        await close_run(run.folder)


async def test_what_two_traces_need_at_once_is_made_once(tmp_path: Path) -> None:
    """Two second seeds of one script at once would share a workspace, and end each other."""
    run, calls = open_run_without_worker(tmp_path), list[str]()

    async def make() -> Made:
        calls.append("made")
        await asyncio.sleep(0.01)
        if len(calls) == 1:
            raise OSError("broken")
        return Made(n=len(calls))

    async def need(parts: list[str]) -> Made:
        return await run.once("seeded", parts, make, Made)

    try:
        first, *others = await asyncio.gather(
            *(need(["t0s3", "1"]) for _ in range(3)), return_exceptions=True
        )
        assert isinstance(first, OSError) and others == [Made(n=2), Made(n=2)]
        one, two = await asyncio.gather(need(["t0s4", "1"]), need(["t0s5", "1"]))
        assert {one.n, two.n} == {4} and len(calls) == 4  # different work goes on side by side
    finally:
        await close_run(run.folder)


async def test_damaged_answers_end_no_run_and_hide_no_bit(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path)
    try:
        (done := run.folder / "done").mkdir()
        (done / "labels-a.json").write_text('{"a": 1}')
        (done / "labels-b.json").write_text('{"result": "honest", "power": [0.5]}')
        os.mkfifo(done / "labels-c.json")
        (done / "audit-a.json").write_text("[" * 100_000)
        assert [check.power for check in read_label_checks(run)] == [[0.5]]
        assert count_audit_bits(run) == 1
    finally:
        await close_run(run.folder)


async def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    run = open_run_without_worker(tmp_path)
    await close_run(run.folder)
    for name in ("artifacts", "best", "work"):
        shutil.rmtree(run.folder / name, ignore_errors=True)
    run = open_run_without_worker(tmp_path)
    await close_run(run.folder)
    assert all((run.folder / name).is_dir() for name in ("artifacts", "best", "work"))
