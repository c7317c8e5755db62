"""LangGraph's Postgres saver with pruning, copies of threads and deletion by run.

Imports the extra `postgres`; `run.checkpoints.postgres` says what to do where it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from run.checkpoints.sqlite import PRUNE_EVERY

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
        """Save a checkpoint; every so often drop old ones."""
        saved: RunnableConfig = await super().aput(config, checkpoint, metadata, new_versions)
        if config["configurable"].get("checkpoint_ns", "") == "":
            self.puts += 1
            if self.puts % PRUNE_EVERY == 0:
                await self.aprune([config["configurable"]["thread_id"]])
        return saved

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread's checkpoints, values and writes."""
        async with self._cursor() as cursor, cursor.connection.transaction():
            for table in TABLES:
                await cursor.execute(
                    copy_statement(table), (str(target_thread_id), str(source_thread_id))
                )

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, and the values that only they refer to."""
        async with self._cursor() as cursor, cursor.connection.transaction():
            for statement in DELETE_FOR_RUNS:
                await cursor.execute(statement, {"runs": [str(run) for run in run_ids]})


def copy_statement(table: str) -> str:
    """Return the statement that copies a thread's rows of a table; parameters: target, source."""
    columns, n_key = TABLES[table]
    names, key = ", ".join(columns), ", ".join(["thread_id", *columns[:n_key]])
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns[n_key:])
    return (
        f"INSERT INTO {table} (thread_id, {names}) SELECT %s, {names} FROM {table} "
        f"WHERE thread_id = %s ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )
