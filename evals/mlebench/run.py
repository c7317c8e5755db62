"""One MLE-bench competition within the container's contract: data at /home/data, submission.csv into /home/submission.

python -m evals.mlebench.run [data=/home/data] [submission=/home/submission] [code=/home/code] [logs=/home/logs] [setting=value ...]

Every other key is a setting of Gome (docs/settings.md), `preset` included; dots of an agent's namespace (gome.steps=8) are dropped.
TIME_LIMIT_SECS of the environment is the time unless time_s is given.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graph.settings import Settings
from report.console import make_listener
from run.artifacts import write_atomic
from run.folder import new_run_folder
from session.session import Outcome
from session.session import start_run
from task.types import TaskError

PLACES = {
    "data": "/home/data",
    "submission": "/home/submission",
    "code": "/home/code",
    "logs": "/home/logs",
}
SPARE_S = 120  # of the container's time limit, for start and end


@dataclass(frozen=True)
class Places:
    """The container's folders."""

    data: Path
    submission: Path
    code: Path
    logs: Path


def main(arguments: list[str]) -> int:
    places, settings = read(arguments)
    for folder in (places.submission, places.code, places.logs):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = asyncio.run(compete(places, settings))
    except TaskError as error:
        print(f"gome: {error}", file=sys.stderr)
        return 2
    hand_over(outcome.folder, places)
    return 0 if outcome.submission else 1


def read(arguments: list[str]) -> tuple[Places, Settings]:
    """key=value pairs as folders and settings. Raises SystemExit with the offending word."""
    given: dict[str, Any] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise SystemExit(f"{word!r} is not key=value; e.g. steps=20 model=gpt-5")
        given[key.rpartition(".")[2]] = value
    places = Places(
        **{name: Path(given.pop(name, default)).expanduser() for name, default in PLACES.items()}
    )
    limit = os.environ.get("TIME_LIMIT_SECS")
    if limit and "time_s" not in given:
        given["time_s"] = max(60.0, float(limit) - SPARE_S)
    typed = {
        key: yaml.safe_load(value) if isinstance(value, str) else value
        for key, value in given.items()
    }
    if isinstance(typed.get("model"), str):
        typed["model"] = typed["model"].split(",")
    return places, Settings.model_validate(
        {"memory": "off", "runs_dir": str(places.logs / "runs"), "evaluation": True} | typed
    )


async def compete(places: Places, settings: Settings) -> Outcome:
    """The run; every new best is handed over at once."""
    folder = new_run_folder(settings, os.environ.get("COMPETITION_ID", places.data.name))

    def on_event(event: dict[str, Any]) -> None:
        if event["ev"] in ("attempt", "merged", "finalized"):
            hand_over(folder, places)

    with make_listener("plain", run_dir=folder) as listener:
        return await start_run(
            str(places.data), settings, folder=folder, listeners=[listener.on_event, on_event]
        )


def hand_over(folder: Path, places: Places) -> None:
    """Copies what best/ holds, whole or not at all."""
    best = folder / "best"
    if (best / "submission.csv").exists():
        write_atomic(places.submission / "submission.csv", (best / "submission.csv").read_bytes())
    if (best / "solution.py").exists():
        shutil.copyfile(best / "solution.py", places.code / "solution.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
