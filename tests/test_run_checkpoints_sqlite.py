"""Our SQLite saver against LangGraph's own list of what a checkpointer does, and its file."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from run.checkpoints.sqlite import SqliteSaver, open_sqlite, strict_serializer

conformance = pytest.importorskip(
    "langgraph.checkpoint.conformance", reason="needs langgraph-checkpoint-conformance"
)
CAPABILITIES = [
    "put",
    "put_writes",
    "get_tuple",
    "list",
    "delete_thread",
    "delete_for_runs",
    "copy_thread",
    "prune",
]


@pytest.mark.parametrize("capability", CAPABILITIES)
async def test_every_capability_conforms(capability: str, tmp_path: Path) -> None:
    async def saver() -> AsyncIterator[SqliteSaver]:
        async with open_sqlite(tmp_path / "checkpoints.sqlite") as opened:
            yield opened

    tested = conformance.checkpointer_test(name=f"sqlite {capability}")(saver)
    result = (await conformance.validate(tested, capabilities={capability})).results[capability]
    assert result.detected and result.failures == []
    assert result.passed and result.tests_passed > 0


def test_no_capability_is_left_out() -> None:
    from langgraph.checkpoint.conformance.capabilities import Capability

    assert sorted(CAPABILITIES) == sorted(each.value for each in Capability)


async def put(saver: SqliteSaver, thread: str, step: int, namespace: str = "") -> RunnableConfig:
    """Store a checkpoint with a pending write."""
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}
    saved = await saver.aput(
        config, empty_checkpoint(), {"source": "loop", "step": step, "parents": {}}, {}
    )
    await saver.aput_writes(saved, [("channel", step)], f"task {step}")
    return saved


def count(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


async def test_pruning_leaves_no_writes_behind(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    async with open_sqlite(path) as saver:
        for step in range(5):
            await put(saver, "one", step)
            await put(saver, "one", step, "inner:1")
            await put(saver, "two", step)
        await saver.aprune(["one"])
        assert (count(path, "checkpoints"), count(path, "writes")) == (2 + 5, 2 + 5)
        await saver.aprune(["one", "two"], strategy="delete")
        assert (count(path, "checkpoints"), count(path, "writes")) == (0, 0)
        with pytest.raises(ValueError, match="expected keep_latest or delete"):
            await saver.aprune(["one"], strategy="keep_some")


async def test_a_run_keeps_its_latest_steps_only(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    async with open_sqlite(path, keep=10) as saver:
        for step in range(100):
            await put(saver, "run", step)
            await put(saver, "run", step, f"inner:{step}")
        steps = [each.metadata.get("step") async for each in saver.alist(thread("run"))]
        outer = [step for step in steps if step is not None]
    assert max(outer) == 99 and min(outer) == 90 and count(path, "writes") <= 21


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


async def test_a_copy_is_independent_of_its_source(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "checkpoints.sqlite") as saver:
        await put(saver, "one", 1)
        await saver.acopy_thread("one", "two")
        await saver.adelete_thread("one")
        copied = await saver.aget_tuple(thread("two"))
        assert copied is not None and copied.pending_writes == [("task 1", "channel", 1)]
        assert copied.metadata["step"] == 1


async def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    async with open_sqlite(path) as saver:
        await put(saver, "one", 1)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert path.name in modes and set(modes.values()) == {0o600}, modes


def test_no_stored_row_runs_code(tmp_path: Path) -> None:
    marker = str(tmp_path / "made")
    serializer = strict_serializer()
    for code, argument in ((0, marker), (1, [marker]), (2, {"path": marker})):
        call = ormsgpack.packb(("os", "mkdir", argument))
        row = ormsgpack.packb({"task": ormsgpack.Ext(code, call)})
        serializer.loads_typed(("msgpack", row))
        assert not Path(marker).exists(), code

    class Call:
        def __reduce__(self) -> Any:
            return os.mkdir, (marker,)

    with pytest.raises(NotImplementedError):
        serializer.loads_typed(("pickle", pickle.dumps(Call())))
    assert not Path(marker).exists()
