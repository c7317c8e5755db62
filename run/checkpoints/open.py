"""Checkpoints: SQLite in the run's folder, or a Postgres database."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langgraph.checkpoint.base import BaseCheckpointSaver

from graph.settings import without_password
from run.checkpoints.sqlite import open_sqlite
from run.lock import RunError

Saver = BaseCheckpointSaver[Any]


@asynccontextmanager
async def open_checkpoints(folder: Path, url: str = "") -> AsyncIterator[Saver]:
    """Open the run's saver: checkpoints.sqlite in its folder, or the Postgres database of `url`."""
    if url:
        from run.checkpoints.postgres import open_postgres

        async with open_postgres(url, thread_id(folder.name)) as saver:
            yield saver
    else:
        async with open_sqlite(folder / "checkpoints.sqlite") as saver:
            yield saver


def thread_id(run: str) -> str:
    """Return the run's thread id in LangGraph: a UUID, as its server requires."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"gome:{run}"))


def check_checkpoint_url(url: str) -> str:
    """Return the address.

    Raises:
        RunError: it is not a Postgres address.
    """
    if url and urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise RunError(
            f"--checkpoint {without_password(url)}: expected postgresql://user@host:port/database, "
            "or nothing for SQLite"
        )
    return url
