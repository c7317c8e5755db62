"""The run folder and run.json: facts fixed when a run begins."""

from __future__ import annotations

import json
import platform
import secrets
import stat
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graph.settings import Settings
from graph.state import Json
from reasoner.chat.endpoint.address import public_url
from run.artifacts import read_regular, write_atomic
from run.lock import RunError
from run.ownership import own_run
from task.types import TaskError

RUN_FILES = (
    "run.json",
    "run.lock",
    "setup.json",
    "events.jsonl",
    "rounds.jsonl",
    "hints.jsonl",
    "checkpoints.sqlite",
    "best/best.json",
)
FOLDERS = ("artifacts", "public", "private", "work", "best")
ALL_FOLDERS = (
    *FOLDERS,
    *(
        "best/input",
        "best/members",
        "best/chain",
        "calls",
        "done",
        "made",
        "media",
        "models",
        "pids",
        "refit",
    ),
    "task",
)
RECORDED_PACKAGES = (
    "gome",
    "langgraph",
    "langchain-core",
    "langchain-openai",
    "chromadb",
    "scikit-learn",
    "lightgbm",
    "pandas",
    "numpy",
)


def new_run_folder(settings: Settings, task: str) -> Path:
    """Return a fresh path for a run: time, task name, four random hex digits."""
    name = "".join(c if c.isalnum() else "-" for c in Path(task).resolve().name)[:40] or "task"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    runs_dir = Path(settings.runs_dir).expanduser().resolve()
    return runs_dir / f"{stamp}-{name}-{secrets.token_hex(2)}"


def make_run_folder(folder: Path, task: str, settings: Settings) -> None:
    """Write run.json and create the folders of a new run; leave an existing run as it is.

    Raises:
        TaskError: the folder cannot be written.
    """
    if (folder / "run.json").exists():
        return
    settings = settings.model_copy(update={"base_url": public_url(settings.base_url)})
    meta = {
        "schema": 1,
        "run": folder.name,
        "task": str(Path(task).expanduser().resolve()),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "settings": settings.model_dump(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": package_versions(),
        "prompts": prompts_version(settings),
        "argv": sys.argv[:1],
    }
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "private").chmod(0o700)
        write_run_meta(folder, meta)
        own_run(folder.name, settings)
    except OSError as error:
        raise TaskError(
            f"{folder}: the run folder cannot be written ({error.strerror}); "
            "choose another place with --runs-dir"
        ) from error


def prompts_version(settings: Settings) -> str | None:
    """Return the hash of the prompts that a model is asked with; None for the expert."""
    if not settings.model:
        return None
    from reasoner.chat.prompt.render import prompt_hash

    return prompt_hash()


def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that a result depends on."""
    versions = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def read_run_meta(folder: Path) -> Json:
    """Read run.json.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        meta = json.loads(read_regular(folder / "run.json"))
    except OSError as error:
        raise RunError(
            f"{folder} is not a run folder (no run.json); `gome ls` lists the runs"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{folder}/run.json is damaged ({error}); the run cannot be resumed: "
            "restore a copy, or start a new run"
        ) from error
    return check_run_meta(folder, meta)


def check_run_meta(folder: Path, meta: Any) -> Json:
    """Return the content of run.json if what every reader relies on has its type.

    Raises:
        RunError: it does not.
    """
    types = {"run": str, "task": str, "settings": dict}
    fields = meta if isinstance(meta, dict) else {}
    for name, kind in types.items():
        if not isinstance(fields.get(name), kind):
            raise RunError(
                f"{folder}/run.json is damaged (`{name}` is missing or of the wrong type); "
                "restore a copy of it"
            )
    return fields


def check_regular_files(folder: Path) -> None:
    """Refuse a run where something else stands for a file or a folder.

    A FIFO or device might never answer; a link would lead what is read, written and exported out of
    the run.

    Raises:
        RunError: there is one.
    """
    for name in RUN_FILES:
        if not _is_missing_or(stat.S_ISREG, folder / name):
            raise RunError(
                f"{folder / name} is not a regular file; restore a copy of it, or remove it"
            )
    for name in ALL_FOLDERS:
        if not _is_missing_or(stat.S_ISDIR, folder / name):
            raise RunError(
                f"{folder / name} is not a folder; put the run's own there, or remove it"
            )


def _is_missing_or(is_kind: Callable[[int], bool], path: Path) -> bool:
    """Whether the path is free, or holds what `is_kind` takes; links are not followed."""
    try:
        return is_kind(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True


def write_run_meta(folder: Path, meta: Json) -> None:
    """Write run.json atomically, with the defaults of the settings that differ from them."""
    meta = {**meta, "changed": changed_settings(meta["settings"])}
    write_atomic(folder / "run.json", json.dumps(meta, indent=2))


def changed_settings(stored: Json) -> Json:
    """Return the default of every stored setting that has another value."""
    defaults = Settings().model_dump()
    return {
        name: defaults[name]
        for name, value in stored.items()
        if name in defaults and value != defaults[name]
    }


def reroot_paths(value: Any, moved: dict[str, str]) -> Any:
    """Return the same JSON with every path below an old folder put below the new one."""
    if isinstance(value, dict):
        return {key: reroot_paths(each, moved) for key, each in value.items()}
    if isinstance(value, list):
        return [reroot_paths(each, moved) for each in value]
    if isinstance(value, str):
        for old, new in moved.items():
            if value == old or value.startswith(old + "/"):
                return new + value[len(old) :]
    return value
