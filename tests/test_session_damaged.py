"""Files of a run that are damaged, of wrong types or no files: one sentence, or a resume."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_kit import gome, one_line
from kit import Player, events, quick, write_task
from longrun_kit import drive, scripts
from test_reasoner_chat_endpoint import mutated

from report.event_log import load_view
from run.folder import ALL_FOLDERS, RUN_FILES
from run.lock import RunError
from run.registry import close_run, open_run
from run.rounds import last_round
from session.export_run import export_run
from session.fork import fork_run
from session.session import prepare_thread, resume_run, start_run
from task.grade.metrics import canonical_metric
from task.load.spec import read_spec
from task.types import TaskError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    task = str(write_task(root / "task"))
    started = start_run(task, quick(root, steps=2), folder=root / "run", reasoner=Player(scripts()))
    return asyncio.run(started).folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of a finished run."""
    yield Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
    asyncio.run(close_run(tmp_path / "run"))


async def resumed(folder: Path) -> str:
    return (await resume_run(folder, reasoner=Player(scripts()))).reason


async def test_a_server_gets_a_whole_thread_of_a_damaged_file(folder: Path) -> None:
    (folder / "checkpoints.sqlite").write_bytes(b"no database" * 1000)
    await prepare_thread(folder)
    assert list(folder.glob("checkpoints.sqlite.damaged-*"))
    with sqlite3.connect(folder / "checkpoints.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0] > 0


@pytest.mark.parametrize("name", [name for name in RUN_FILES if name != "run.json"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "endless"])
@pytest.mark.timeout(60)
async def test_what_is_no_regular_file_is_refused(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(RunError, match=f"{name} is not a regular file"):
        await resumed(folder)
    load_view(folder)


@pytest.mark.timeout(60)
async def test_a_run_json_that_is_a_fifo_or_an_artifact_that_is(folder: Path) -> None:
    for path in (folder / "artifacts").glob("??/*"):
        path.unlink()
        os.mkfifo(path)
    (folder / "checkpoints.sqlite").unlink()
    lines = (folder / "rounds.jsonl").read_text().splitlines(keepends=True)
    (folder / "rounds.jsonl").write_text("".join(lines[:2]))
    shutil.rmtree(folder / "done")
    with pytest.raises(RunError, match="cannot be read .*not a regular file"):
        await resumed(folder)
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    with pytest.raises(RunError, match="is not a run folder"):
        await resumed(folder)


async def test_a_link_in_place_of_a_folder_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    """Nothing outside of the run is read into an export or a fork, written or removed."""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "secret").write_text("mine")
    for name in ALL_FOLDERS:
        place, kept = folder / name, folder / "kept"
        if is_there := place.exists():
            place.rename(kept)
        place.symlink_to(elsewhere)
        with pytest.raises(RunError, match=f"{name} is not a folder"):
            await resumed(folder)
        for work in (
            lambda: export_run(folder, tmp_path / "out.zip"),
            lambda: fork_run(folder, 1, {}),
        ):
            with pytest.raises(RunError, match=f"{name} is not a folder"):
                work()
        place.unlink()
        if is_there:
            kept.rename(place)
    assert [path.read_text() for path in elsewhere.iterdir()] == ["mine"]
    assert not (tmp_path / "out.zip").exists()


def test_commands_on_damaged_files_say_one_sentence(folder: Path, tmp_path: Path) -> None:
    """What a pass over all files and commands found: a traceback, or a link that was followed."""
    (elsewhere := tmp_path / "elsewhere").write_text("mine\n")
    hint, log = ["hint", str(folder), "try trees"], folder / "events.jsonl"
    log.write_text(log.read_text().replace('"reasoner": "expert"', '"reasoner": "m"'))
    os.mkfifo(folder / "hints.jsonl")
    assert "hints.jsonl is not a regular file" in one_line(gome(*hint))
    (folder / "hints.jsonl").unlink()
    (folder / "hints.jsonl").symlink_to(elsewhere)
    assert "hints.jsonl is not a regular file" in one_line(gome(*hint))
    assert elsewhere.read_text() == "mine\n"
    export = ["export", str(folder), "--to", str(tmp_path / "out")]
    assert "hints.jsonl is not a regular file" in one_line(gome(*export))
    (folder / "hints.jsonl").unlink()
    lines = log.read_text().splitlines()
    odd = [json.loads(line) | {"script": [1], "id": {}, "reasons": 7} for line in lines]
    log.write_text("\n".join(map(json.dumps, odd)))
    assert "[1]' is no artifact" in one_line(gome(*export, "--format", "gome-traces"))
    log.unlink()
    forked = gome("fork", str(folder))
    assert forked.exit_code == 0, forked.output
    (folder / "setup.json").rename(folder / "setup")
    assert "setup.json cannot be read" in one_line(gome("fork", str(folder)))
    (folder / "setup.json").mkdir()
    assert gome("report", str(folder)).exit_code == 0


async def test_a_run_without_its_labels_is_not_continued(folder: Path) -> None:
    (folder / "checkpoints.sqlite").unlink()
    rounds = (folder / "rounds.jsonl").read_text().splitlines(keepends=True)
    (folder / "rounds.jsonl").write_text("".join(rounds[:2]))  # it had not ended
    (folder / "private").rename(folder / "elsewhere")
    with pytest.raises(RunError, match="private is missing, and the run needs it"):
        await resumed(folder)


@pytest.mark.timeout(60)
def test_a_lock_that_is_a_fifo_holds_up_no_listing(folder: Path) -> None:
    (folder / "run.lock").unlink()
    os.mkfifo(folder / "run.lock")
    assert gome("ls", "--runs-dir", str(folder.parent)).exit_code == 0


BRACKETS = "[" * 100_000
CONTENTS = (
    "",
    "7",
    "null",
    "[]",
    '{"a": 1}',
    BRACKETS,
    "\x00",
    "\udcff",
    '{"root": [], "prepared": 1}',
)


@pytest.mark.parametrize("name", ["run.json", "setup.json"])
async def test_other_contents_are_one_sentence(folder: Path, name: str) -> None:
    for content in CONTENTS:
        (folder / name).write_text(content, errors="surrogateescape")
        with pytest.raises(RunError, match=f"{name}") as caught:
            await resumed(folder)
        assert "\n" not in str(caught.value), content


async def test_checkpoints_of_another_shape_are_set_aside(folder: Path) -> None:
    import ormsgpack

    connection = sqlite3.connect(folder / "checkpoints.sqlite")
    for value in ([1, 2], {"v": 4, "id": 7}, "text"):
        connection.execute("UPDATE checkpoints SET checkpoint = ?", (ormsgpack.packb(value),))
        connection.commit()
        assert await resumed(folder) == "budget: steps", value
        assert "resumes from its last merge" in events(folder, "warning")[-1]["message"]
        connection.close()
        connection = sqlite3.connect(folder / "checkpoints.sqlite")
    connection.close()


async def opened(folder: Path) -> None:
    """Open a run as a session does, up to the first step."""
    try:
        run = open_run(folder)
        _ = run.setup, run.board, run.events.used
    finally:
        await close_run(folder)


async def test_mutated_run_files_are_a_result_or_one_typed_error(
    finished: Path, tmp_path: Path
) -> None:
    """Opened, shown and forked: runs whose JSON was changed at random."""
    rng, n_results = random.Random(8), 0
    folder = Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
    for number in range(120):
        name = rng.choice(["run.json", "setup.json", "events.jsonl"])
        path = folder / name
        intact = path.read_text()
        if name == "events.jsonl":
            lines = intact.splitlines()
            for index in rng.sample(range(len(lines)), 5):
                lines[index] = json.dumps(mutated(json.loads(lines[index]), rng))
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text(json.dumps(mutated(json.loads(intact), rng)))
        try:
            await opened(folder)
            shutil.rmtree(fork_run(folder, 1, {}))
            n_results += 1
        except (RunError, TaskError) as error:
            refusal = str(error)
            if "\n" in refusal:
                pytest.fail(f"mutation {number} of {name}: {refusal}")
        load_view(folder)
        path.write_text(intact)
    assert 30 < n_results < 120


async def test_rounds_of_a_foreign_state_are_one_sentence(folder: Path) -> None:
    from run.rounds import seal_round

    known = last_round(folder)
    assert known
    body = {"round": 1, "state": known.raw_state | {"traces": [7]}}
    line = seal_round(body | {"events_bytes": 0, "events_sha256": ""})
    (folder / "rounds.jsonl").write_text(line + "\n")
    (folder / "checkpoints.sqlite").unlink()
    with pytest.raises(RunError, match="a state that Gome did not write"):
        await resumed(folder)
    with pytest.raises(RunError, match="a state that this Gome did not write"):
        fork_run(folder, None, {})


@pytest.mark.parametrize(
    "content",
    ["[" * 20_000, "{a: " * 20_000, "name: \xff: \x00", "a: 2001-99-99", "- 1"],
)
def test_an_odd_task_yaml_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "task.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(TaskError, match="task.yaml") as caught:
        read_spec(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_an_endless_metric_is_named_by_its_beginning() -> None:
    with pytest.raises(TaskError, match="unknown metric") as caught:
        canonical_metric("9" * 5_000)
    assert len(str(caught.value)) < 1_200


def test_a_bomb_of_aliases_is_not_spelled_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (tmp_path / "task.yaml").write_text("\n".join(lines) + "\nn_folds: *a39\n")
    with pytest.raises(TaskError) as caught:
        read_spec(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_hangup_ends_a_session_as_sigterm_does(tmp_path: Path, number: signal.Signals) -> None:
    write_task(tmp_path / "task")
    process = drive(tmp_path, tmp_path / "run", 5.0, steps=6)
    end = time.monotonic() + 60
    while not events(tmp_path / "run", "execution_started") and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip()) == (0, "interrupted"), err
    assert events(tmp_path / "run", "run_ended")[-1]["reason"] == "interrupted"


def test_a_hangup_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, signal\n"
        "from langgraph.runtime import RunControl\n"
        "from session.signals import handle_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "async def main():\n"
        "    work = asyncio.ensure_future(asyncio.sleep(0.3))\n"
        "    control = RunControl()\n"
        "    with handle_signals(work, control):\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        await work\n"
        "    print(control.drain_requested)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "False", done.stderr
