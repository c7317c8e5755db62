"""Faults of disk, checkpoints and memory: one sentence or a warning, and a usable run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from kit import HONEST, Player, events, quick, write_task
from longrun_kit import DRIVER, attempts, run_twice, scripts

from reasoner.protocol import DiagnoseBrief, Diagnosis, Solution, UpdateBrief
from run.attempt import load_attempt
from run.checkpoints.open import thread_id
from run.lock import RunError
from run.rounds import last_round
from session.session import Outcome, resume_run, start_run


def has_bwrap() -> bool:
    try:
        return (
            subprocess.run(
                ["bwrap", "--dev-bind", "/", "/", "true"], check=False, capture_output=True
            ).returncode
            == 0
        )
    except OSError:
        return False


needs_bwrap = pytest.mark.skipif(
    not has_bwrap(), reason="needs bubblewrap for a small or read-only disk"
)


LOCKER = """
import fcntl, sys, time
files = [open(name, "a") for name in sys.argv[1:]]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


async def a_run(tmp_path: Path, n: int = 2) -> Outcome:
    return await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=n),
        folder=tmp_path / "run",
        reasoner=Player(scripts()),
    )


def unfinish(folder: Path, rounds: int) -> None:
    """Cut the run after some rounds: delete its checkpoints and shorten rounds.jsonl."""
    lines = (folder / "rounds.jsonl").read_text().splitlines(keepends=True)
    (folder / "rounds.jsonl").write_text("".join(lines[: rounds + 1]))
    (folder / "checkpoints.sqlite").unlink()


def on_a_disk(tmp_path: Path, mounts: list[str]) -> str:
    """The last line of a session that sees this disk."""
    settings = json.dumps({"isolation": "none", "steps": 3})
    values = {
        "root": str(tmp_path),
        "folder": str(tmp_path / "disk" / "run"),
        "task": str(tmp_path / "task"),
        "settings": settings,
    }
    code = DRIVER.format(tests=str(Path(__file__).parent), player="Player(scripts())", **values)
    command = ["bwrap", "--dev-bind", "/", "/", *mounts, sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


@needs_bwrap
def test_a_full_disk(tmp_path: Path) -> None:
    write_task(tmp_path / "task")
    (tmp_path / "disk").mkdir()
    said = on_a_disk(tmp_path, ["--size", str(220 * 1024), "--tmpfs", str(tmp_path / "disk")])
    assert "RunError" in said and "the disk is full; free space, then `gome resume`" in said


@needs_bwrap
async def test_a_read_only_folder(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    await start_run(
        str(task),
        quick(tmp_path, steps=1),
        folder=tmp_path / "disk" / "run",
        reasoner=Player(scripts()),
    )
    said = on_a_disk(tmp_path, ["--ro-bind", str(tmp_path / "disk"), str(tmp_path / "disk")])
    assert "RunError" in said and "cannot be written" in said and "make it writable" in said


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
async def test_a_damaged_checkpoint_file(tmp_path: Path, damage: str) -> None:
    done = await a_run(tmp_path)
    path = done.folder / "checkpoints.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"no database " * 1000)
    again = await resume_run(done.folder, reasoner=Player(scripts()))
    assert (again.reason, again.score) == (done.reason, done.score) and run_twice(done.folder) == []
    said = events(done.folder, "warning")[-1]["message"]
    assert "damaged" in said and "resumes from its last merge" in said
    assert list(done.folder.glob("checkpoints.sqlite.damaged-*"))


async def test_a_tampered_checkpoint_row_is_refused_and_runs_no_code(tmp_path: Path) -> None:
    import ormsgpack

    done = await a_run(tmp_path)
    marker = tmp_path / "owned"
    connection = sqlite3.connect(done.folder / "checkpoints.sqlite")
    query = (
        "SELECT rowid, checkpoint FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' "
        "ORDER BY checkpoint_id DESC LIMIT 1"
    )
    row, blob = connection.execute(query, (thread_id(done.run),)).fetchone()
    state = ormsgpack.unpackb(blob)
    call = ormsgpack.packb(("os", "mkdir", str(marker)))
    state["channel_values"]["task"] = ormsgpack.Ext(0, call)  # "build this: os.mkdir(marker)"
    connection.execute(
        "UPDATE checkpoints SET checkpoint = ? WHERE rowid = ?", (ormsgpack.packb(state), row)
    )
    connection.commit()
    connection.close()
    with pytest.raises(
        RunError, match="a state that Gome did not write .*Delete the file to resume"
    ):
        await resume_run(done.folder, reasoner=Player(scripts()))
    assert not marker.exists()
    (done.folder / "checkpoints.sqlite").unlink()
    assert (await resume_run(done.folder, reasoner=Player(scripts()))).score == done.score


async def test_damaged_events_are_reported(tmp_path: Path) -> None:
    done = await a_run(tmp_path)
    unfinish(done.folder, 2)
    path = done.folder / "events.jsonl"
    path.write_text(path.read_text().replace('"trace": 0', '"trace": 7', 1)[:-30])
    latest = last_round(done.folder)
    assert latest is not None
    used = latest.state.used
    again = await resume_run(done.folder, reasoner=Player(scripts()))
    assert again.score == done.score
    assert "events.jsonl was changed or cut" in events(done.folder, "warning")[-1]["message"]
    assert events(done.folder, "run_resumed")[-1]["elapsed"] >= 0
    assert events(done.folder, "run_ended")[-1]["elapsed"] >= used.time_s


@pytest.mark.slow
async def test_a_damaged_artifact_is_reported_and_repaired_from_the_last_complete_round(
    tmp_path: Path,
) -> None:
    done = await a_run(tmp_path, 3)
    unfinish(done.folder, 2)
    last = last_round(done.folder)
    head = last and last.state.traces["0"].head
    assert head
    record = done.folder / "artifacts" / head[:2] / head
    record.write_bytes(record.read_bytes()[:-20])
    load_attempt.cache_clear()  # the next session is a new process
    with pytest.raises(RunError, match="does not match its name.*--repair"):
        await resume_run(done.folder, reasoner=Player(scripts()))
    load_attempt.cache_clear()
    again = await resume_run(done.folder, reasoner=Player(scripts()), repair=True)
    assert (
        again.reason == "budget: steps"
        and again.score == done.score
        and len(attempts(done.folder)) == 3
    )
    assert "1 damaged file was set aside; the run resumes from round 1" in [
        event["message"] for event in events(done.folder, "warning")
    ]
    assert run_twice(done.folder) == []


@pytest.mark.slow
async def test_repair_reruns_only_attempts_that_need_the_damaged_file(tmp_path: Path) -> None:
    done = await a_run(tmp_path, 2)
    head = attempts(done.folder)["t0s1"]
    oof = done.folder / "artifacts" / head["oof"][:2] / head["oof"]
    oof.write_bytes(b"")
    again = await resume_run(done.folder, reasoner=Player(scripts()), repair=True)
    assert again.score == done.score
    assert set(run_twice(done.folder)) == {"t0s1"}


@pytest.mark.parametrize("damage", ["garbage", "unwritable"])
async def test_an_unusable_memory_costs_momentum_not_the_run(tmp_path: Path, damage: str) -> None:
    place = tmp_path / "memory"
    if damage == "garbage":
        (place / "index").mkdir(parents=True)
        (place / "index" / "chroma.sqlite3").write_bytes(os.urandom(8192))
        (place / "journal.jsonl").write_bytes(os.urandom(512))
    else:
        place.write_text("a file where a folder should be")
    player = Player([HONEST.format(noise=3), HONEST.format(noise=0.1), HONEST.format(noise=0.1)])
    done = await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=3, memory=str(place)),
        reasoner=player,
    )
    assert done.reason == "budget: steps" and done.submission is not None
    said = " ".join(event["message"] for event in events(done.folder, "warning"))
    assert (
        ("success memory: the index did not open" in said)
        if damage == "garbage"
        else ("the run continues without it for now" in said)
    ), said


async def test_a_locked_memory_folder_costs_momentum_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.journal.LOCK_S", 0.3)
    place = tmp_path / "memory"
    place.mkdir()
    names = [str(place / name) for name in ("journal.lock", "index.lock")]
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKER, *names], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        player = Player(
            [HONEST.format(noise=3), HONEST.format(noise=0.1), HONEST.format(noise=0.1)]
        )
        done = await start_run(
            str(write_task(tmp_path / "task")),
            quick(tmp_path, steps=3, memory=str(place)),
            reasoner=player,
        )
    finally:
        other.kill()
        other.communicate()
    assert done.reason == "budget: steps" and done.submission is not None
    said = [event["message"] for event in events(done.folder, "warning")]
    assert any(
        "journal.jsonl: locked by another process" in text
        and "the run continues without it for now" in text
        for text in said
    ), said
    assert any("1 record could not be stored" in text for text in said), said
    assert not (place / "journal.jsonl").exists()


class HalfEmoji(Player):
    """Every text that is no script ends in half an emoji."""

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        found = await super().diagnose(brief)
        ideas = [
            idea.model_copy(update={"statement": "less \ud83d", "plan": "\ud83d"})
            for idea in found.hypotheses
        ]
        return found.model_copy(update={"hypotheses": ideas, "causes": ["\ud83d"]})

    async def update(self, brief: UpdateBrief) -> Solution:
        return (await super().update(brief)).model_copy(update={"summary": "more \ud83d"})


async def test_half_an_emoji_in_every_answer_costs_no_attempt(tmp_path: Path) -> None:
    outcome = await start_run(
        str(write_task(tmp_path / "task")),
        quick(tmp_path, steps=3),
        folder=tmp_path / "run",
        reasoner=HalfEmoji([HONEST.format(noise=noise) for noise in (3, 1, 0.2)]),
    )
    assert outcome.reason == "budget: steps"
    assert not events(outcome.folder, "fault") and len(events(outcome.folder, "diagnosed")) == 2
    assert not (outcome.folder / "errors.log").exists()
