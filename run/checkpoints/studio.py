"""What a LangGraph server takes from Gome (langgraph.json): checkpoints that a kill of the server cannot empty."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from run.checkpoints.sqlite import SqliteSaver, open_sqlite

WHERE = "STUDIO_CHECKPOINTS"  # environment: the file; `gome studio RUN` names the run's own
PLACE = "~/.gome/studio"
KEEP = 5000  # outer steps whose history Studio can go back to


@asynccontextmanager
async def make_checkpointer() -> AsyncIterator[SqliteSaver]:
    """Our saver in place of the server's own, which pickles and writes only when it is stopped cleanly."""
    path = Path(os.environ.get(WHERE) or f"{PLACE}/checkpoints.sqlite").expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    async with open_sqlite(path, KEEP) as saver:
        yield saver
