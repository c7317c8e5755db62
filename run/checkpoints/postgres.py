"""Checkpoints in Postgres (extra `postgres`), for hosts that share no disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from graph.settings import without_password
from run.checkpoints.sqlite import EVERY, strict
from run.lock import RunError


@asynccontextmanager
async def open_postgres(url: str, thread: str) -> AsyncIterator[Any]:
    """A saver on one connection, which also holds the run's lock in the database. Raises RunError with the remedy."""
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import AsyncConnection, Error
        from psycopg.rows import dict_row
    except ImportError as error:
        raise RunError(
            "--checkpoint postgresql://… needs the extra `postgres`: pip install 'gome[postgres]'"
        ) from error

    class PostgresSaver(AsyncPostgresSaver):  # type: ignore[misc]  # the extra may not be installed
        """Forgets all but the latest checkpoints now and then; earlier rounds are in rounds.jsonl."""

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
                if self.puts % EVERY == 0:
                    await self.aprune([config["configurable"]["thread_id"]])
            return saved

    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=0, row_factory=dict_row, client_encoding="utf8"
        )
    except Error as error:
        raise RunError(unreachable(url, error)) from error
    async with connection:
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", (thread,)
        )
        row: Any = await cursor.fetchone()
        if not row["got"]:
            raise RunError(
                f"the run is being driven by another process through {without_password(url)}; wait for it or end it"
            )
        saver = PostgresSaver(conn=connection, serde=strict())
        await saver.setup()
        yield saver


def unreachable(url: str, error: Exception) -> str:
    why = " ".join(str(error).split())[:300]
    return (
        f"--checkpoint {without_password(url)}: the database does not let us in ({why}); check the address, "
        "and give the password by PGPASSWORD, ~/.pgpass or --checkpoint (run.json never keeps it)"
    )
