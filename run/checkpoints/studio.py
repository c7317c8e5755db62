"""Checkpoints for a LangGraph server (langgraph.json); a kill of the server loses none."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from run.checkpoints.sqlite import SqliteSaver, open_sqlite

CHECKPOINTS_ENV = (
    "STUDIO_CHECKPOINTS"  # environment variable: the file; `gome studio RUN` sets the run's own
)
DEFAULT_FOLDER = "~/.gome/studio"
STUDIO_KEEP_STEPS = 5000  # outer steps whose history Studio can go back to


@asynccontextmanager
async def make_checkpointer() -> AsyncIterator[SqliteSaver]:
    """Open our saver; the server's own pickles, and writes only on a clean stop."""
    path = Path(
        os.environ.get(CHECKPOINTS_ENV) or f"{DEFAULT_FOLDER}/checkpoints.sqlite"
    ).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    async with open_sqlite(path, STUDIO_KEEP_STEPS) as saver:
        yield saver
