"""The run folders below runs_dir, and the one that a command names."""

from __future__ import annotations

from pathlib import Path

from cli.config import configured_runs_dir
from cli.errors import usage_error


def run_folders(runs_dir: str | None) -> list[Path]:
    """Return the run folders, newest first. `runs_dir` is that of the flag, if given."""
    root = Path(configured_runs_dir(runs_dir)).expanduser()
    return sorted(
        (path.parent for path in root.glob("*/run.json")),
        key=lambda folder: folder.name,
        reverse=True,
    )


def find_run(name: str, runs_dir: str | None) -> Path:
    """Return the run of a folder, of a name below runs_dir or, without a name, the latest."""
    root = configured_runs_dir(runs_dir)
    if not name:
        folders = run_folders(root)
        if not folders:
            raise usage_error(f"no runs below {root}; start one with `gome run DIR`")
        return folders[0].resolve()
    for folder in (Path(name).expanduser(), Path(root).expanduser() / name):
        if (folder / "run.json").exists():
            return folder.resolve()
    raise usage_error(f"no run named {name} below {root}; `gome ls` lists them")
