"""Solve one MLE-bench competition within the container's contract.

python -m evals.mlebench.run [data=/home/data] [submission=/home/submission] [code=/home/code]
                             [logs=/home/logs] [setting=value ...]

Every other key is a setting of Gome (docs/settings.md), `preset` included; an agent's prefix
(gome.steps=8) is dropped. The time limit is TIME_LIMIT_SECS of the environment unless time_s is
given.
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
from session.session import Outcome, start_run
from task.types import TaskError

DEFAULT_FOLDERS = {
    "data": "/home/data",
    "submission": "/home/submission",
    "code": "/home/code",
    "logs": "/home/logs",
}
READERS = Path(__file__).with_name("readers")
SPARE_S = 120  # of the container's time limit, for start and end


@dataclass(frozen=True)
class ContainerFolders:
    """The container's folders."""

    data: Path
    submission: Path
    code: Path
    logs: Path


def main(arguments: list[str]) -> int:
    places, settings = parse_arguments(arguments)
    for folder in (places.submission, places.code, places.logs):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = asyncio.run(run_competition(places, settings))
    except TaskError as error:
        print(f"gome: {error}", file=sys.stderr)
        return 2
    copy_best(outcome.folder, places)
    return 0 if outcome.submission else 1


def parse_arguments(arguments: list[str]) -> tuple[ContainerFolders, Settings]:
    """Return key=value pairs as folders and settings. Raises SystemExit that names a bad word."""
    given: dict[str, Any] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise SystemExit(f"{word!r} is not key=value; e.g. steps=20 model=gpt-5")
        given[key.rpartition(".")[2]] = value
    folders = {key: given.pop(key, default) for key, default in DEFAULT_FOLDERS.items()}
    places = ContainerFolders(**{key: Path(path).expanduser() for key, path in folders.items()})
    settings = {key: yaml.safe_load(value) for key, value in given.items()}
    limit = os.environ.get("TIME_LIMIT_SECS")
    if limit:
        settings.setdefault("time_s", max(60.0, float(limit) - SPARE_S))
    if isinstance(settings.get("model"), str):
        settings["model"] = settings["model"].split(",")
    defaults = {"memory": "off", "runs_dir": str(places.logs / "runs"), "evaluation": True}
    return places, Settings.model_validate(defaults | settings)


async def run_competition(places: ContainerFolders, settings: Settings) -> Outcome:
    """Run, and copy every new best to the container's folders at once."""
    competition = os.environ.get("COMPETITION_ID", places.data.name)
    settings = add_reader(settings, places, competition)
    folder = new_run_folder(settings, competition)

    def on_event(event: dict[str, Any]) -> None:
        if event["ev"] in ("attempt", "merged", "finalized"):
            copy_best(folder, places)

    with make_listener("plain", run_dir=folder) as listener:
        return await start_run(
            str(places.data), settings, folder=folder, listeners=[listener.on_event, on_event]
        )


def add_reader(settings: Settings, places: ContainerFolders, competition: str) -> Settings:
    """Return settings that name the competition's own read.py, where there is one.

    It is named in a task.yaml beside the logs, since the data folder is read-only.
    """
    reader = READERS / f"{competition.replace('-', '_')}.py"
    if settings.config or not reader.is_file():
        return settings
    config = places.logs / "task.yaml"
    config.write_text(yaml.safe_dump({"reader": str(reader.resolve())}))
    return settings.model_copy(update={"config": str(config)})


def copy_best(folder: Path, places: ContainerFolders) -> None:
    """Copy the contents of best/; the submission whole or not at all."""
    best = folder / "best"
    if (best / "submission.csv").exists():
        write_atomic(places.submission / "submission.csv", (best / "submission.csv").read_bytes())
    if (best / "solution.py").exists():
        shutil.copyfile(best / "solution.py", places.code / "solution.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
