"""Checkpoints in SQLite: small for runs of any length, and no stored row can run code."""

from __future__ import annotations

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
from langgraph.checkpoint.sqlite import SqliteSaver as LangGraphSqliteSaver

KEEP_STEPS = 200  # outer steps whose checkpoints stay; earlier rounds are in rounds.jsonl
PRUNE_EVERY = 50  # steps between two prunings


def strict_serializer() -> JsonPlusSerializer:
    """Return a serializer for plain data; it builds no class that a stored row asks for."""
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)


class SqliteSaver(LangGraphSqliteSaver):
    """LangGraph's saver, pruned so that the file stays small over ten thousand rounds.

    It writes in the event loop: a write takes a tenth of a millisecond, less than passing it to a
    thread and back, which the asynchronous saver does 75 times a step.
    """

    def __init__(self, connection: sqlite3.Connection, keep: int = KEEP_STEPS) -> None:
        super().__init__(connection, serde=strict_serializer())
        self.keep, self._puts = keep, 0

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint, as the base class does."""
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, as the base class does."""
        # a list first: the saver's lock must not be held while the reader waits
        for checkpoint in list(self.list(config, filter=filter, before=before, limit=limit)):
            yield checkpoint

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; prune every `PRUNE_EVERY` outer steps."""
        saved = self.put(config, checkpoint, metadata, new_versions)
        if config["configurable"].get("checkpoint_ns", "") == "":
            self._puts += 1
            if self._puts % PRUNE_EVERY == 0:
                self.trim(config["configurable"]["thread_id"], self.keep)
        return saved

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task, as the base class does."""
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread's checkpoints."""
        self.delete_thread(thread_id)

    def trim(self, thread: str, keep: int) -> int:
        """Delete all before the thread's latest `keep` outer checkpoints; return how many.

        Their ids are ordered by time.
        """
        latest = (
            "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' "
            "ORDER BY checkpoint_id DESC LIMIT 1 OFFSET ?"
        )
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

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Prune threads: `keep_latest` of each namespace, or `delete` all.

        Raises:
            ValueError: another strategy.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy {strategy!r}: expected keep_latest or delete")
        for thread in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread)
            else:
                self._keep_latest(thread)

    def _keep_latest(self, thread: str) -> None:
        with self.cursor() as cursor:
            for table in ("writes", "checkpoints"):  # the cut is read from the latter
                cursor.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < "
                    "(SELECT MAX(latest.checkpoint_id) FROM checkpoints AS latest "
                    f"WHERE latest.thread_id = {table}.thread_id "
                    f"AND latest.checkpoint_ns = {table}.checkpoint_ns)",
                    (str(thread),),
                )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Prune threads, as `prune` does."""
        self.prune(thread_ids, strategy=strategy)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread's checkpoints and pending writes to another thread."""
        with self.cursor() as cursor:
            for table in ("checkpoints", "writes"):
                columns = [row[1] for row in cursor.execute(f"PRAGMA table_info({table})")]
                names = ", ".join(name for name in columns if name != "thread_id")
                cursor.execute(
                    f"INSERT OR REPLACE INTO {table} (thread_id, {names}) "
                    f"SELECT ?, {names} FROM {table} WHERE thread_id = ?",
                    (str(target_thread_id), str(source_thread_id)),
                )

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, as `copy_thread` does."""
        self.copy_thread(source_thread_id, target_thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints and pending writes of these runs of a LangGraph server."""
        of_run = "FROM checkpoints WHERE json_extract(CAST(metadata AS TEXT), '$.run_id') = ?"
        ids = [(str(run),) for run in run_ids]
        with self.cursor() as cursor:
            cursor.executemany(
                "DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN "
                f"(SELECT thread_id, checkpoint_ns, checkpoint_id {of_run})",
                ids,
            )
            cursor.executemany(f"DELETE {of_run}", ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, as `delete_for_runs` does."""
        self.delete_for_runs(run_ids)


@asynccontextmanager
async def open_sqlite(path: Path, keep: int = KEEP_STEPS) -> AsyncIterator[SqliteSaver]:
    """Open a saver on this file, readable by its owner only. With WAL a kill loses nothing."""
    path.touch(mode=0o600)  # SQLite would create it with the mode of the umask
    with closing(sqlite3.connect(path, timeout=60, check_same_thread=False)) as connection:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        yield SqliteSaver(connection, keep)
