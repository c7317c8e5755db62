"""Checkpoints in SQLite: small however long the run, and no stored row can run code."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

KEEP = 200  # steps of the outer graph whose checkpoints stay; earlier rounds are in rounds.jsonl
EVERY = 50  # steps between two prunings


def strict() -> JsonPlusSerializer:
    """Reads numbers, text, lists and dicts; builds no other class from a stored row, whatever the row asks for."""
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)


class SqliteSaver(AsyncSqliteSaver):
    """LangGraph's saver that forgets what lies far back, so that the file stays small over ten thousand rounds."""

    def __init__(self, connection: Any, keep: int = KEEP) -> None:
        super().__init__(connection, serde=strict())
        self.keep, self._puts = keep, 0

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        if config["configurable"].get("checkpoint_ns", "") == "":
            self._puts += 1
            if self._puts % EVERY == 0:
                await self.trim(config["configurable"]["thread_id"], self.keep)
        return saved

    async def trim(self, thread: str, keep: int) -> int:
        """Deletes what is older than the thread's latest `keep` outer checkpoints; their ids are ordered by time. Returns how many."""
        latest = (
            "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT 1 OFFSET ?"
        )
        async with self.lock:
            async with self.conn.execute(latest, (thread, keep - 1)) as cursor:
                cut = await cursor.fetchone()
            if cut is None:
                return 0
            async with self.conn.execute("DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?", (thread, cut[0])) as gone:
                n = gone.rowcount
            await self.conn.execute("DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < ?", (thread, cut[0]))
            await self.conn.commit()
        return n

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As the LangGraph server asks for it."""
        for thread in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread)
            else:
                await self.trim(thread, 1)


@asynccontextmanager
async def open_sqlite(path: Path, keep: int = KEEP) -> AsyncIterator[SqliteSaver]:
    """WAL: a kill loses nothing. Readable by its owner alone."""
    import aiosqlite

    async with aiosqlite.connect(path, timeout=60) as connection:
        os.chmod(path, 0o600)
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield SqliteSaver(connection, keep)
