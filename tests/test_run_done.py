"""What a node has finished is on disk: run again after a kill, it repeats nothing."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from trust_kit import open_run_without_worker

from run.registry import close_run


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
