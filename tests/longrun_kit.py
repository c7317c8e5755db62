"""What the tests of long runs share: a run in a process of its own, and what must be equal between two runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kit import HONEST

from graph.events import read

NOISES = (3, 1, 5, 0.5, 2, 0.2, 0.01, 4)
SLOW = "import time; time.sleep({pause})\n"

DRIVER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kit import Player, quick
from longrun_kit import scripts
from graph.session import start, resume
folder = Path({folder!r})
settings = quick(Path({root!r}), **json.loads({settings!r}))
player = Player(scripts({pause}))
if (folder / "run.json").exists():
    outcome = asyncio.run(resume(folder, reasoner=player))
else:
    outcome = asyncio.run(start({task!r}, settings, folder=folder, reasoner=player))
print(outcome.reason)
"""


def scripts(pause: float = 0.0) -> list[str]:
    """Honest scripts, better and worse in turn."""
    return [HONEST.format(noise=noise) + (SLOW.format(pause=pause) if pause else "") for noise in NOISES]


def drive(root: Path, folder: Path, pause: float = 0.0, **settings: Any) -> subprocess.Popen[str]:
    """A process that starts the run of `folder`, or goes on with it."""
    values = {"root": str(root), "folder": str(folder), "task": str(root / "task"), "settings": json.dumps(settings)}
    code = DRIVER.format(tests=str(Path(__file__).parent), pause=pause, **values)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def driven(root: Path, folder: Path, pause: float = 0.0, **settings: Any) -> str:
    """What a session that was left alone ended with: its reason, or what it said as it failed."""
    process = drive(root, folder, pause, **settings)
    out, err = process.communicate(timeout=170)
    return out.strip() or err.strip().splitlines()[-1]


def attempts(folder: Path) -> dict[str, dict[str, Any]]:
    return {event["id"]: event for event in read(folder / "events.jsonl") if event["ev"] == "attempt"}


def essence(folder: Path) -> dict[str, Any]:
    """What must not depend on when a run was interrupted: everything but times and places."""
    names = ("id", "trace", "step", "parent", "kind", "mode", "script", "oof", "submission", "score", "gain", "verdict", "repairs")
    best = json.loads((folder / "best" / "best.json").read_text())
    return {
        "attempts": {key: {name: event[name] for name in names} for key, event in attempts(folder).items()},
        "best": {name: best[name] for name in ("attempt", "script", "score")},
        "merges": [[row | {} for row in event["standings"]] for event in read(folder / "events.jsonl") if event["ev"] == "merged"],
    }


def run_twice(folder: Path) -> list[str]:
    """Scripts that were started again although they had finished."""
    finished: set[str] = set()
    again = []
    for event in read(folder / "events.jsonl"):
        if event["ev"] == "execution_finished" and "attempt" in event:  # those of the finale have none
            finished.add(event["attempt"])
        if event["ev"] == "execution_started" and event.get("attempt") in finished:
            again.append(event["attempt"])
    return again
