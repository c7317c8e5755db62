"""The run folders below runs_dir, and the one that a command names."""

from __future__ import annotations

import json
from pathlib import Path

from cli.config import configured_runs_dir
from cli.errors import usage_error

LATEST = "latest"
MAX_NAMED = 5  # runs that a message lists


def run_folders(runs_dir: str | None) -> list[Path]:
    """Return the run folders, newest first. `runs_dir` is that of the flag, if given."""
    root = Path(configured_runs_dir(runs_dir)).expanduser()
    return sorted(
        (path.parent for path in root.glob("*/run.json")),
        key=lambda folder: folder.name,
        reverse=True,
    )


def find_run(name: str, runs_dir: str | None) -> Path:
    """Return the run that a command names.

    A folder; a name below runs_dir or a prefix of one; the name of a task, or the beginning of one
    task's name alone: its latest run; `latest` or no name: the latest run. Raises typer.Exit after
    one sentence where none or several fit.
    """
    root = configured_runs_dir(runs_dir)
    for folder in (Path(name).expanduser(), Path(root).expanduser() / name) if name else ():
        if (folder / "run.json").exists():
            return folder.resolve()
    folders = run_folders(root)
    if not folders and name in ("", LATEST):
        raise usage_error(f"no runs below {root}; start one with `gome run DIR`")
    if name in ("", LATEST):
        return folders[0].resolve()
    found = [folder for folder in folders if folder.name.startswith(name)]
    if not found:
        found = find_task_run(name, folders)
    if not found:
        raise usage_error(f"no run named {name} below {root}; `gome ls` lists them")
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found[:MAX_NAMED])
        raise usage_error(f"{name} begins the names of {len(found)} runs ({names}); write more")
    return found[0].resolve()


def find_task_run(name: str, folders: list[Path]) -> list[Path]:
    """Return the latest run of a task, or of the one whose name begins so; empty for none.

    Raises typer.Exit where several tasks begin so.
    """
    names = {folder: task_name(folder) for folder in folders}
    fitting = {task for task in names.values() if task == name}
    fitting = fitting or {task for task in names.values() if task.startswith(name)}
    if len(fitting) > 1:
        listed = ", ".join(sorted(fitting)[:MAX_NAMED])
        raise usage_error(f"{name} begins the names of {len(fitting)} tasks ({listed}); write more")
    return [folder for folder, task in names.items() if task in fitting][:1]


def task_name(folder: Path) -> str:
    """Return the name of the task folder that a run was started with; empty if unreadable."""
    try:
        meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return Path(str(meta["task"])).name
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
