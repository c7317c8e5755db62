"""Checkpoints in a real Postgres server that the test starts, with a password and its own user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import Player, quick, write_task
from langchain_core.runnables import RunnableConfig
from longrun_kit import attempts, run_twice, scripts

from run.lock import RunError
from session.session import resume_run, start_run

PASSWORD = "not-to-be-kept"


def server_tool(name: str) -> str:
    """initdb and pg_ctl lie off the path on Debian."""
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        pytest.skip(f"needs a Postgres server here ({name}; Debian: apt install postgresql)")
    return found


def owner() -> str | None:
    """Postgres refuses to run as root."""
    if os.getuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("as root, needs the user `postgres`")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    user, initdb, pg_ctl = owner(), server_tool("initdb"), server_tool("pg_ctl")
    folder = Path(
        tempfile.mkdtemp(prefix="gome-pg-")
    )  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    if user:
        shutil.chown(folder, user)
    (folder / "password").write_text(PASSWORD)
    run: dict[str, Any] = {
        "check": True,
        "user": user,
        "cwd": folder,
        "capture_output": True,
        "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
    }
    data = str(folder / "data")
    subprocess.run(
        [
            initdb,
            "-D",
            data,
            "-U",
            "gome",
            "-A",
            "scram-sha-256",
            f"--pwfile={folder / 'password'}",
        ],
        **run,
    )
    port = free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run(
        [pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "-t", "120", "start"],
        **run,
    )
    try:
        yield f"postgresql://gome:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([pg_ctl, "-D", data, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
async def test_a_run_lives_in_postgres_and_its_password_in_no_file(
    server: str, tmp_path: Path
) -> None:
    settings = quick(tmp_path, steps=2, steer="each", checkpoint=server)
    waiting = await start_run(
        str(write_task(tmp_path / "task")), settings, reasoner=Player(scripts())
    )
    assert waiting.waiting and not (waiting.folder / "checkpoints.sqlite").exists()
    texts = [
        path.read_text()
        for path in waiting.folder.iterdir()
        if path.suffix in (".json", ".jsonl", ".html")
    ]
    assert texts and not any(PASSWORD in text for text in texts)
    assert json.loads((waiting.folder / "run.json").read_text())["settings"][
        "checkpoint"
    ].startswith("postgresql://gome@127.0.0.1")
    with pytest.raises(
        RunError, match=r"the database does not let us in.*PGPASSWORD, ~/.pgpass or --checkpoint"
    ):
        await resume_run(waiting.folder, reasoner=Player(scripts()))
    from run.steering import Answer

    done = await resume_run(
        waiting.folder, reasoner=Player(scripts()), checkpoint=server, ask=lambda question: Answer()
    )
    assert (
        done.reason == "budget: steps"
        and len(attempts(done.folder)) == 2
        and run_twice(done.folder) == []
    )
    assert (
        await resume_run(done.folder, reasoner=Player(scripts()), checkpoint=server)
    ).score == done.score


async def test_postgres_stays_small_and_is_driven_by_one(server: str) -> None:
    from langgraph.checkpoint.base import empty_checkpoint

    from run.checkpoints.postgres import open_postgres

    async with open_postgres(server, "t") as saver:
        config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        for step in range(120):
            checkpoint = empty_checkpoint() | {"channel_values": {"text": "x" * 100}}
            config = await saver.aput(
                config, checkpoint, {"source": "loop", "step": step, "parents": {}}, {}
            )
        latest = await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
        assert latest.metadata["step"] == 119
        assert len([each async for each in saver.alist({"configurable": {"thread_id": "t"}})]) <= 51
        with pytest.raises(RunError, match="driven by another process"):
            async with open_postgres(server, "t"):
                pass


@pytest.mark.parametrize(
    "capability",
    [
        "put",
        "put_writes",
        "get_tuple",
        "list",
        "delete_thread",
        "prune",
        "copy_thread",
        "delete_for_runs",
    ],
)
async def test_the_capabilities_of_the_postgres_saver_conform(capability: str, server: str) -> None:
    conformance = pytest.importorskip(
        "langgraph.checkpoint.conformance", reason="needs langgraph-checkpoint-conformance"
    )
    from run.checkpoints.postgres import open_postgres

    async def saver() -> AsyncIterator[Any]:
        async with open_postgres(server, "conformance") as opened:
            yield opened

    tested = conformance.checkpointer_test(name=f"postgres {capability}")(saver)
    result = (await conformance.validate(tested, capabilities={capability})).results[capability]
    assert result.detected and result.failures == []
    assert result.passed and result.tests_passed > 0


async def test_no_value_stays_that_no_checkpoint_refers_to(server: str) -> None:
    from langgraph.checkpoint.base import empty_checkpoint

    from run.checkpoints.postgres import open_postgres

    async with open_postgres(server, "runs") as saver:
        config: RunnableConfig = {"configurable": {"thread_id": "runs", "checkpoint_ns": ""}}
        for run, version in (("one", "1"), ("two", "2")):
            versions = {"shared": "1", "text": version}
            checkpoint = empty_checkpoint() | {
                "channel_values": {"text": [run], "shared": ["both"]},
                "channel_versions": versions,
            }
            metadata: Any = {"source": "loop", "step": 0, "parents": {}, "run_id": run}
            config = await saver.aput(config, checkpoint, metadata, versions)
        await saver.acopy_thread("runs", "copy")
        await saver.adelete_for_runs(["one"])
        cursor = await saver.conn.execute(
            "SELECT thread_id, channel, version FROM checkpoint_blobs "
            "WHERE thread_id IN ('runs', 'copy') ORDER BY 1, 2, 3"
        )
        rows = [tuple(row.values()) for row in await cursor.fetchall()]
        left = await saver.aget_tuple(config)
    assert rows == [  # the copy holds the same runs
        ("copy", "shared", "1"),
        ("copy", "text", "2"),
        ("runs", "shared", "1"),
        ("runs", "text", "2"),
    ]
    assert left.checkpoint["channel_values"] == {"text": ["two"], "shared": ["both"]}


async def test_an_invalid_address_is_refused(tmp_path: Path) -> None:
    settings = quick(tmp_path, checkpoint="mysql://u:secret@h/db")
    with pytest.raises(RunError, match=r"--checkpoint mysql://u@h/db: expected postgresql://"):
        await start_run(str(write_task(tmp_path / "task")), settings, reasoner=Player(scripts()))
