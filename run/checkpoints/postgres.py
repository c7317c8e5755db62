"""Checkpoints in Postgres (extra `postgres`), for hosts that share no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from graph.settings import without_password
from run.checkpoints.sqlite import PRUNE_EVERY, strict_serializer
from run.lock import RunError
from settings.remedies import install_command

LOCK_TRIES, LOCK_PAUSE_S = 8, 0.25
TABLES = {  # -> columns besides the thread, those of the primary key first, and their number
    "checkpoints": (
        ["checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type", "checkpoint"]
        + ["metadata"],
        2,
    ),
    "checkpoint_blobs": (["checkpoint_ns", "channel", "version", "type", "blob"], 3),
    "checkpoint_writes": (
        ["checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "blob"]
        + ["task_path"],
        4,
    ),
}
DELETE_FOR_RUNS = (
    "DELETE FROM checkpoint_writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN "
    "(SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints "
    "WHERE metadata ->> 'run_id' = ANY(%(runs)s))",
    "CREATE TEMPORARY TABLE freed ON COMMIT DROP AS SELECT DISTINCT thread_id, checkpoint_ns "
    "FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%(runs)s)",
    "DELETE FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%(runs)s)",
    # values that no checkpoint of the same thread and namespace refers to any more
    "DELETE FROM checkpoint_blobs AS b USING freed WHERE b.thread_id = freed.thread_id "
    "AND b.checkpoint_ns = freed.checkpoint_ns AND NOT EXISTS (SELECT 1 FROM checkpoints AS c "
    "WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns "
    "AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)",
)


@asynccontextmanager
async def open_postgres(url: str, thread: str) -> AsyncIterator[Any]:
    """Open a saver on one connection, which also holds the run's lock in the database.

    Raises:
        RunError: the extra or the database is missing, or another process drives the run.
    """
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import AsyncConnection, Error
        from psycopg.rows import dict_row
    except ImportError as error:
        raise RunError(
            "--checkpoint postgresql://… needs packages: "
            f"`{install_command('langgraph-checkpoint-postgres', 'psycopg[binary]')}`"
        ) from error

    class PostgresSaver(AsyncPostgresSaver):  # type: ignore[misc]  # the extra may be missing
        """A saver that prunes old checkpoints; earlier rounds are in rounds.jsonl."""

        puts = 0

        async def aput(
            self,
            config: RunnableConfig,
            checkpoint: Checkpoint,
            metadata: CheckpointMetadata,
            new_versions: ChannelVersions,
        ) -> RunnableConfig:
            saved: RunnableConfig = await super().aput(config, checkpoint, metadata, new_versions)
            if config["configurable"].get("checkpoint_ns", "") == "":
                self.puts += 1
                if self.puts % PRUNE_EVERY == 0:
                    await self.aprune([config["configurable"]["thread_id"]])
            return saved

        async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
            async with self._cursor() as cursor, cursor.connection.transaction():
                for table in TABLES:
                    await cursor.execute(
                        copy_statement(table), (str(target_thread_id), str(source_thread_id))
                    )

        async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
            async with self._cursor() as cursor, cursor.connection.transaction():
                for statement in DELETE_FOR_RUNS:
                    await cursor.execute(statement, {"runs": [str(run) for run in run_ids]})

    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=0, row_factory=dict_row, client_encoding="utf8"
        )
    except Error as error:
        raise RunError(describe_unreachable(url, error)) from error
    async with connection:
        if not await take_lock(connection, thread):
            raise RunError(
                "the run is being driven by another process through "
                f"{without_password(url)}; wait for it or end it"
            )
        saver = PostgresSaver(conn=connection, serde=strict_serializer())
        await saver.setup()
        yield saver


async def take_lock(connection: Any, thread: str) -> bool:
    """Lock the run in the database; the server takes a moment to see that a session has ended."""
    for _ in range(LOCK_TRIES):
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", (thread,)
        )
        if (await cursor.fetchone())["got"]:
            return True
        await asyncio.sleep(LOCK_PAUSE_S)
    return False


def copy_statement(table: str) -> str:
    """Return the statement that copies a thread's rows of a table; parameters: target, source."""
    columns, n_key = TABLES[table]
    names, key = ", ".join(columns), ", ".join(["thread_id", *columns[:n_key]])
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns[n_key:])
    return (
        f"INSERT INTO {table} (thread_id, {names}) SELECT %s, {names} FROM {table} "
        f"WHERE thread_id = %s ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )


def describe_unreachable(url: str, error: Exception) -> str:
    """Say why the database cannot be reached, and what to do."""
    why = " ".join(str(error).split())[:300]
    return (
        f"--checkpoint {without_password(url)}: the database does not let us in ({why}); "
        "check the address, and give the password by PGPASSWORD, ~/.pgpass or --checkpoint "
        "(run.json never stores it)"
    )
