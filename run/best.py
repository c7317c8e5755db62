"""best/: the best valid solution so far, complete at every moment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from graph.state import Best
from run.artifacts import write_atomic
from run.run import Json, Run


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
        await place(
            run, folder, attempt, run.artifacts.path(attempt["submission"]), run.prepared.inputs
        )
        write_atomic(folder / "best.json", json.dumps({**best, "refit": False}, indent=2))


def published(folder: Path) -> Json | None:
    try:
        value: Json = json.loads((folder / "best.json").read_text())
    except (OSError, ValueError):
        return None
    return value


async def place(
    run: Run, folder: Path, attempt: Json, submission: Path, inputs: dict[str, str]
) -> dict[str, str]:
    """Writes the files, each atomically; gives their hashes. input/ is linked so that solution.py runs alone.

    An ensemble's solution.py is a driver; its members' scripts lie in members/NAME/.
    """
    draft = folder / ".submission.csv"
    await run.worker.final_submission(run.prepared, str(submission), str(draft))
    draft.replace(folder / "submission.csv")
    place_members(run, folder, attempt["members"])
    write_atomic(folder / "solution.py", run.artifacts.get(attempt["script"]))
    link_inputs(folder / "input", inputs)
    return hashed(folder)


def hashed(folder: Path) -> dict[str, str]:
    """sha256 of every file that is handed over."""
    files = [
        folder / "solution.py",
        folder / "submission.csv",
        *sorted(folder.glob("members/*/solution.py")),
    ]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def place_members(run: Run, folder: Path, members: Json) -> None:
    """The scripts that an ensemble's driver runs; none for a single solution. Members of a former best go."""
    shutil.rmtree(folder / "members", ignore_errors=True)
    for name, member in members.items():
        (folder / "members" / name).mkdir(parents=True)
        write_atomic(folder / "members" / name / "solution.py", run.artifacts.get(member["script"]))


def link_inputs(folder: Path, inputs: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, target in inputs.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, link)
