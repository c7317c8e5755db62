"""best/: the best valid solution so far, complete at every moment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from graph.artifacts import write_atomic
from graph.run import Json, Run
from graph.state import Best


def better(direction: str, one: float, two: float | None) -> bool:
    """Strictly better in the metric's direction."""
    if two is None:
        return True
    return one > two if direction == "max" else one < two


async def publish(run: Run, best: Best, *, force: bool = False) -> None:
    """solution.py, submission.csv and best.json of this attempt, unless a better one stands there."""
    async with run.publishing:
        folder = run.folder / "best"
        current = published(folder)
        known = current["score"] if current else None
        if not force and not better(run.prepared.task.direction, best["score"], known):
            return
        attempt = run.attempt(best["ref"])
        await place(run, folder, run.artifacts.get(best["script"]), run.artifacts.path(attempt["submission"]), run.prepared.inputs)
        write_atomic(folder / "best.json", json.dumps({**best, "refit": False}, indent=2))


def published(folder: Path) -> Json | None:
    try:
        value: Json = json.loads((folder / "best.json").read_text())
    except (OSError, ValueError):
        return None
    return value


async def place(run: Run, folder: Path, script: str, submission: Path, inputs: dict[str, str]) -> dict[str, str]:
    """Writes the files, each atomically; gives their hashes. input/ is linked so that solution.py runs alone."""
    draft = folder / ".submission.csv"
    await run.worker.final_submission(run.prepared, str(submission), str(draft))
    draft.replace(folder / "submission.csv")
    write_atomic(folder / "solution.py", script)
    link_inputs(folder / "input", inputs)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("solution.py", "submission.csv")}


def link_inputs(folder: Path, inputs: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, target in inputs.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, link)
