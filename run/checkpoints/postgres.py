"""Checkpoints in Postgres (extra `postgres`), for hosts that share no disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from graph.settings import without_password
from run.checkpoints.sqlite import PRUNE_EVERY, strict_serializer
from run.lock import RunError


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
            "--checkpoint postgresql://… needs"
            " pip install langgraph-checkpoint-postgres 'psycopg[binary]'"
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

    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=0, row_factory=dict_row, client_encoding="utf8"
        )
    except Error as error:
        raise RunError(describe_unreachable(url, error)) from error
    async with connection:
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", (thread,)
        )
        answer: Any = await cursor.fetchone()
        if not answer["got"]:
            raise RunError(
                "the run is being driven by another process through "
                f"{without_password(url)}; wait for it or end it"
            )
        saver = PostgresSaver(conn=connection, serde=strict_serializer())
        await saver.setup()
        yield saver


def describe_unreachable(url: str, error: Exception) -> str:
    """Say why the database cannot be reached, and what to do."""
    why = " ".join(str(error).split())[:300]
    return (
        f"--checkpoint {without_password(url)}: the database does not let us in ({why}); "
        "check the address, and give the password by PGPASSWORD, ~/.pgpass or --checkpoint "
        "(run.json never stores it)"
    )
