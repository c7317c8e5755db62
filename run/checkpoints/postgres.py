"""Checkpoints in Postgres (extra `postgres`), for hosts that share no disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from graph.settings import without_password
from run.checkpoints.sqlite import strict_serializer
from run.lock import RunError
from settings.remedies import install_command

LOCK_TRIES, LOCK_PAUSE_S = 8, 0.25


@asynccontextmanager
async def open_postgres(url: str, thread: str) -> AsyncIterator[Any]:
    """Open a saver on one connection, which also holds the run's lock in the database.

    Raises:
        RunError: the extra or the database is missing, or another process drives the run.
    """
    try:
        from psycopg import AsyncConnection, Error
        from psycopg.rows import dict_row

        from run.checkpoints.postgres_saver import PostgresSaver
    except ImportError as error:
        raise RunError(
            "--checkpoint postgresql://… needs packages: "
            f"`{install_command('langgraph-checkpoint-postgres', 'psycopg[binary]')}`"
        ) from error

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


def describe_unreachable(url: str, error: Exception) -> str:
    """Say why the database cannot be reached, and what to do."""
    why = " ".join(str(error).split())[:300]
    return (
        f"--checkpoint {without_password(url)}: the database does not let us in ({why}); "
        "check the address, and give the password by PGPASSWORD, ~/.pgpass or --checkpoint "
        "(run.json never stores it)"
    )
