"""models/: what scripts left in model/, kept by execution until the best one is handed over."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sandbox.inside.walk import measure_folder, remove_folder
from sandbox.protocol import MODEL_FOLDER

MODELS = "models"
KEPT_BYTES = 4 * 2**30  # of all kept models of a run
MAX_FILES = 10**6


def seeded_key(name: str, seed: int) -> str:
    """Return the name under which the model of a script is kept; `seed` 0: the script's own."""
    return f"{name}-seed{seed}" if seed else name


def keep_model(run_folder: Path, name: str, files: dict[str, str]) -> None:
    """Keep the files of an execution that lie in model/; the oldest others make room.

    Args:
        run_folder: folder of the run.
        name: of the execution.
        files: name -> path of every collected file.
    """
    found = {key: path for key, path in files.items() if key.startswith(MODEL_FOLDER)}
    if not found:
        return
    place = run_folder / MODELS / name
    draft = place.with_name(f".{name}.part")
    for folder in (draft, place):
        remove_folder(folder)
    for key, path in found.items():
        target = draft / key.removeprefix(MODEL_FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    draft.rename(place)
    _make_room(run_folder / MODELS, place)


def _make_room(folder: Path, newest: Path) -> None:
    """Remove the oldest models while all together are too large; the newest stays."""
    others = [path for path in folder.iterdir() if path != newest and path.is_dir()]
    others.sort(key=lambda path: path.stat().st_mtime_ns)
    sizes = {path: measure_folder(path, MAX_FILES).n_bytes for path in [*others, newest]}
    total = sum(sizes.values())
    for path in others:
        if total <= KEPT_BYTES:
            return
        remove_folder(path)
        total -= sizes[path]


def place_model(run_folder: Path, name: str, target: Path) -> int:
    """Make `target`/model the model of an execution; return how many files it has, 0 for none."""
    place, model = run_folder / MODELS / name, target / MODEL_FOLDER
    remove_folder(model)
    if not place.is_dir():
        return 0
    shutil.copytree(place, model, copy_function=_link_or_copy)
    return sum(1 for path in model.rglob("*") if path.is_file())


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or none that has links
        shutil.copyfile(source, target)
