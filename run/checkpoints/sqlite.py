"""Checkpoints in SQLite: small however long the run, and no stored row can run code."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver as Synchronous

KEEP = 200  # steps of the outer graph whose checkpoints stay; earlier rounds are in rounds.jsonl
EVERY = 50  # steps between two prunings


def strict() -> JsonPlusSerializer:
    """Reads numbers, text, lists and dicts; builds no other class from a stored row, whatever the row asks for."""
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)


class SqliteSaver(Synchronous):
    """LangGraph's saver that forgets what lies far back, so that the file stays small over ten thousand rounds.

    A write takes a tenth of a millisecond; handing it to a thread and back, as the asynchronous saver does three times a
    write and 75 times a step, takes longer than writing it here.
    """

    def __init__(self, connection: sqlite3.Connection, keep: int = KEEP) -> None:
        super().__init__(connection, serde=strict())
        self.keep, self._puts = keep, 0

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        for found in [
            *self.list(config, filter=filter, before=before, limit=limit)
        ]:  # its lock must not be held while the reader waits
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        saved = self.put(config, checkpoint, metadata, new_versions)
        if config["configurable"].get("checkpoint_ns", "") == "":
            self._puts += 1
            if self._puts % EVERY == 0:
                self.trim(config["configurable"]["thread_id"], self.keep)
        return saved

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        self.delete_thread(thread_id)

    def trim(self, thread: str, keep: int) -> int:
        """Deletes what is older than the thread's latest `keep` outer checkpoints; their ids are ordered by time. Returns how many."""
        latest = "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT 1 OFFSET ?"
        with self.cursor() as cursor:
            cut = cursor.execute(latest, (thread, keep - 1)).fetchone()
            if cut is None:
                return 0
            n = cursor.execute(
                "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?",
                (thread, cut[0]),
            ).rowcount
            cursor.execute(
                "DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < ?", (thread, cut[0])
            )
        return n

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As the LangGraph server asks for it."""
        for thread in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread)
            else:
                self.trim(thread, 1)


@asynccontextmanager
async def open_sqlite(path: Path, keep: int = KEEP) -> AsyncIterator[SqliteSaver]:
    """WAL: a kill loses nothing. Readable by its owner alone."""
    with closing(sqlite3.connect(path, timeout=60, check_same_thread=False)) as connection:
        os.chmod(path, 0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        yield SqliteSaver(connection, keep)
