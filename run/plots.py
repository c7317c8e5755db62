"""best/plots.json: binned predictions of the best attempt against the labels, for the report."""

from __future__ import annotations

import json
from pathlib import Path

from run.artifacts import write_atomic
from run.attempt import Attempt
from run.run import Run
from task.client import WorkerError
from task.types import TaskError

PLOTS = "plots.json"


async def publish_plots(run: Run, folder: Path, attempt: Attempt) -> None:
    """Write the panels of an attempt's out-of-fold file; a failure is a warning, never an end."""
    if attempt.oof is None:
        return
    try:
        panels = await run.worker.plot(run.prepared, str(run.artifacts.path(attempt.oof)))
    except (TaskError, WorkerError) as error:
        run.warn(f"the report shows no plots of {attempt.id}: {str(error).splitlines()[-1][:200]}")
        return
    write_atomic(folder / PLOTS, json.dumps({"attempt": attempt.id, "panels": panels}))
