"""A session may end at any moment: the next one keeps budgets, seeds, memory and its place."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import langgraph.checkpoint.base.id as ids
import pytest
from kit import Player, events, quick, write_task
from langchain_core.runnables import RunnableConfig
from longrun_kit import attempts, drive, driven, essence, run_twice, scripts

from reasoner.protocol import DiagnoseBrief, Diagnosis
from report.event_log import load_view
from report.summary import summary_lines
from run.checkpoints.open import open_checkpoints, thread_id
from run.checkpoints.sqlite import open_sqlite
from run.lock import RunError
from run.rounds import last_round, read_rounds
from session.export_run import export_run
from session.import_run import import_run
from session.session import resume_run, start_run


def wait_for(folder: Path, kind: str, n: int) -> None:
    """Wait until the run has logged `n` such events."""
    end = time.monotonic() + 90
    while len(events(folder, kind)) < n:
        assert time.monotonic() < end, f"no {n} events of {kind}"
        time.sleep(0.05)


@pytest.mark.slow
def test_sigterm_drains_and_the_resumed_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    write_task(tmp_path / "task")
    plan: dict[str, Any] = {"traces": 2, "steps": 3, "memory": str(tmp_path / "memory")}
    first = drive(tmp_path, tmp_path / "cut", 0.4, **plan)
    wait_for(tmp_path / "cut", "execution_started", 3)
    first.send_signal(signal.SIGTERM)
    out, _ = first.communicate(timeout=60)
    assert out.strip() == "interrupted"
    spent = events(tmp_path / "cut", "run_ended")[0]["elapsed"]
    assert driven(tmp_path, tmp_path / "cut", 0.4, **plan) == "budget: steps"
    assert (
        driven(tmp_path, tmp_path / "whole", 0.4, **plan | {"memory": str(tmp_path / "other")})
        == "budget: steps"
    )
    assert essence(tmp_path / "cut") == essence(tmp_path / "whole")
    assert run_twice(tmp_path / "cut") == []
    assert events(tmp_path / "cut", "run_resumed")[0]["after"] == "interrupted"
    assert events(tmp_path / "cut", "run_ended")[-1]["elapsed"] > spent


@pytest.mark.slow
def test_a_killed_agent_is_reported_and_leaves_no_script_behind(tmp_path: Path) -> None:
    import psutil

    write_task(tmp_path / "task")
    process = drive(tmp_path, tmp_path / "run", 4, steps=1)
    wait_for(tmp_path / "run", "execution_started", 1)
    time.sleep(0.5)
    process.kill()  # what the kernel does when memory runs out
    process.communicate()
    time.sleep(1.0)
    left = [
        each.pid
        for each in psutil.process_iter(["cmdline"])
        if str(tmp_path / "run") in " ".join(each.info.get("cmdline") or [])
    ]
    assert left == []
    assert driven(tmp_path, tmp_path / "run", 0, steps=1) == "budget: steps"
    assert "was killed" in events(tmp_path / "run", "run_resumed")[0]["after"]


async def test_every_round_is_stored_and_a_lost_checkpoint_file_costs_nothing(
    tmp_path: Path,
) -> None:
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), quick(tmp_path, steps=3), reasoner=Player(scripts()))
    assert [each.number for each in read_rounds(done.folder)] == [0, 1, 2, 3]
    before = attempts(done.folder)
    (done.folder / "checkpoints.sqlite").unlink()
    heard: list[dict[str, Any]] = []
    again = await resume_run(done.folder, reasoner=Player(scripts()), listeners=[heard.append])
    assert (again.reason, again.score) == (done.reason, done.score)
    assert (
        heard[0]["ev"] == "run_resumed"
    )  # else a live table would go on showing how the former session ended
    assert attempts(done.folder) == before and run_twice(done.folder) == []


async def test_an_ended_run_stays_ended_when_it_is_resumed(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player(scripts()))
    for _ in range(2):
        heard: list[dict[str, Any]] = []
        await resume_run(done.folder, reasoner=Player(scripts()), listeners=[heard.append])
        assert [event["ev"] for event in heard] == ["run_resumed", "run_ended"]
        assert heard[0]["after"] == "budget" and heard[1]["message"] == "all steps used"
    ended = load_view(done.folder).ended
    assert ended is not None and ended["reason"] == "budget"


async def test_a_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player(scripts()))
    from graph.build import build_graph

    async with open_checkpoints(done.folder) as saver:
        config: RunnableConfig = {"configurable": {"thread_id": thread_id(done.run)}}
        await build_graph(saver).aupdate_state(config, {"schema_version": 99}, as_node="merge")
    with pytest.raises(RunError, match="newer Gome"):
        await resume_run(done.folder, reasoner=Player(scripts()))


async def test_a_moved_run_folder_resumes_at_its_new_place(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Player(scripts())
    done = await start_run(str(task), quick(tmp_path, steps=2), reasoner=player)
    state = last_round(done.folder)
    assert state is not None and state.step == 2
    moved = tmp_path / "elsewhere" / done.folder.name
    moved.parent.mkdir()
    done.folder.rename(moved)
    lines = (moved / "rounds.jsonl").read_text().splitlines(keepends=True)
    (moved / "rounds.jsonl").write_text(
        "".join(lines[:2])
    )  # as if the last session had been cut after the first round
    again = await resume_run(moved, reasoner=player)
    assert again.folder == moved and again.reason == "budget: steps"
    assert set(attempts(moved)) == {"t0s0", "t0s1"} and run_twice(moved) == []


async def test_checkpoints_stay_small(tmp_path: Path) -> None:
    from langgraph.checkpoint.base import empty_checkpoint

    path = tmp_path / "c.sqlite"
    async with open_sqlite(path, keep=20) as saver:
        config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        sizes = []
        for step in range(600):
            checkpoint = empty_checkpoint() | {"channel_values": {"text": "x" * 4000}}
            config = await saver.aput(
                config, checkpoint, {"source": "loop", "step": step, "parents": {}}, {}
            )
            await saver.aput_writes(config, [("text", "y" * 1000)], "task")
            if step % 200 == 199:
                sizes.append(path.stat().st_size)
        latest = await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
        assert latest is not None and latest.metadata["step"] == 599
    assert sizes[-1] <= sizes[0] * 1.1
    rows = sqlite3.connect(path).execute("select count(*) from checkpoints").fetchone()[0]
    assert rows < 100


class StaysAtThirdStep(Player):
    """Two scripts, then an answer that never comes."""

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        if brief.stage.step == 2:
            await asyncio.Event().wait()
        return await super().diagnose(brief)


@pytest.mark.parametrize("new_process", [pytest.param(True, marks=pytest.mark.slow), False])
async def test_a_clock_set_back_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_process: bool
) -> None:
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)  # later tests use today's clock
    task = write_task(tmp_path / "task")
    real = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: real() + 86_400)
        patched.setattr(time, "time_ns", lambda: int((real() + 86_400) * 1e9))
        going = asyncio.create_task(
            start_run(
                str(task),
                quick(tmp_path, steps=4),
                folder=tmp_path / "run",
                reasoner=StaysAtThirdStep(scripts()),
            )
        )
        while len(events(tmp_path / "run", "attempt")) < 2:
            await asyncio.sleep(0.05)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
    if new_process:  # else the ids go on from where they were, ahead of the clock
        ids._last_v6_timestamp = None
    again = await resume_run(tmp_path / "run", reasoner=Player(scripts()))
    assert again.reason == "budget: steps" and len(attempts(tmp_path / "run")) == 4
    assert run_twice(tmp_path / "run") == []
    assert "the clock went back" in events(tmp_path / "run", "warning")[0]["message"]
    elapsed = [
        event["elapsed"]
        for event in map(json.loads, (tmp_path / "run" / "events.jsonl").read_text().splitlines())
    ]
    assert elapsed == sorted(elapsed)


@pytest.mark.parametrize("lost", ["by an import", "its checkpoints"])
async def test_an_ended_run_without_checkpoints_stays_ended_too(tmp_path: Path, lost: str) -> None:
    """Its finale does not run again: best/ and the events stay as they are."""
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player(scripts()))
    folder = done.folder
    if lost == "by an import":
        export_run(folder, tmp_path / "run.zip")
        folder, _ = import_run(tmp_path / "run.zip", tmp_path / "there")
    else:
        (folder / "checkpoints.sqlite").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "best").iterdir()}
    ends = []
    for _ in range(2):
        heard: list[dict[str, Any]] = []
        again = await resume_run(folder, reasoner=Player(scripts()), listeners=[heard.append])
        assert [event["ev"] for event in heard] == ["run_resumed", "run_ended"]
        ends.append(heard[0]["after"])
    assert {path: path.stat().st_mtime_ns for path in (folder / "best").iterdir()} == stamps
    assert (again.reason, again.score) == (done.reason, done.score)
    assert again.submission == folder / "best/submission.csv"
    is_import = lost == "by an import"
    assert ends == ["imported; finished work is not repeated" if is_import else "budget", "budget"]
    lines = summary_lines(load_view(folder), folder)
    assert f"submission {folder}/best/submission.csv" in lines
    assert f"solution   {folder}/best/solution.py" in lines


async def test_a_finale_that_runs_again_agrees_with_its_events(tmp_path: Path) -> None:
    """Here best/ was lost, so that the finale runs again, and nothing that it chose is known."""
    task = write_task(tmp_path / "task")
    done = await start_run(str(task), quick(tmp_path, steps=1), reasoner=Player(scripts()))
    for name in ("checkpoints.sqlite", "best/best.json"):
        (done.folder / name).unlink()
    lines = (done.folder / "events.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    for event in told:  # as if it had chosen otherwise before
        if event["ev"] in ("finalized", "run_ended"):
            event |= {"attempt": "m9", "score": 0.1, "best": {"attempt": "m9", "score": 0.1}}
    texts = [json.dumps(event) + "\n" for event in told]
    (done.folder / "events.jsonl").write_text("".join(texts))
    again = await resume_run(done.folder, reasoner=Player(scripts()))
    best = json.loads((done.folder / "best/best.json").read_text())
    final, ended = (events(done.folder, ev)[-1] for ev in ("finalized", "run_ended"))
    assert again.score == final["score"] == ended["best"]["score"] == best["score"]
    assert final["attempt"] == ended["best"]["attempt"] == best["attempt"] == "t0s0"
