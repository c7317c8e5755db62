"""gome resume --repair: damaged files are set aside and the run goes back to the last round whose files are all whole.

What was finished after that round is found in done/ and not run again, unless it rests on a damaged file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from graph.state import Trace
from run.artifacts import Artifacts, write_atomic
from run.rounds import NAME, Round, opened, read_rounds
from run.run import RunError
from session.recovery import set_aside

FILES = (
    "script",
    "evidence",
    "oof",
    "submission",
)  # what a later step reads of an attempt that it starts from


def repair(folder: Path) -> str:
    """Says what was done. Raises RunError where no round is left."""
    damaged = set(damaged_artifacts(folder))
    quarantine(folder, damaged)
    keep = last_whole(folder, damaged)
    if keep is None and (folder / NAME).exists():
        raise RunError(
            f"{folder}: no round of this run is whole any more; start it anew, or restore a copy"
        )
    if keep is not None:
        cut_rounds(folder, keep)
    set_aside(folder / "checkpoints.sqlite")
    where = "its beginning" if keep is None else f"round {keep.number}"
    return f"{len(damaged)} damaged files were set aside; the run goes on from {where}"


def damaged_artifacts(folder: Path) -> Iterable[str]:
    """Refs whose content is not what their name says."""
    for path in (folder / "artifacts").glob("??/*"):
        if not path.name.startswith(".") and sha256(path) != path.name:
            yield path.name


def sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def quarantine(folder: Path, damaged: set[str]) -> None:
    """Out of the store, so that the same content can be written anew; kept work that rests on it is forgotten."""
    store = Artifacts(folder / "artifacts")
    place = folder / "damaged"
    if damaged:
        place.mkdir(exist_ok=True)
    for ref in damaged:
        store.path(ref).replace(place / ref)
    for kept in (folder / "done").glob("*.json"):
        if not whole_json(kept) or any(ref in kept.read_text() for ref in damaged):
            kept.unlink()


def whole_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def last_whole(folder: Path, damaged: set[str]) -> Round | None:
    store = Artifacts(folder / "artifacts")
    rounds = list(read_rounds(folder))
    sound: dict[str, bool] = {}
    return next((each for each in reversed(rounds) if is_whole(store, each, damaged, sound)), None)


def is_whole(store: Artifacts, each: Round, damaged: set[str], sound: dict[str, bool]) -> bool:
    """Every attempt of every chain is there, and so is all that the next step reads."""
    return all(chain_is_whole(store, row, damaged, sound) for row in each.state["traces"].values())


def chain_is_whole(store: Artifacts, row: Trace, damaged: set[str], sound: dict[str, bool]) -> bool:
    refs = [row["head"], row["best"]["ref"] if row["best"] else None]
    if not all(has_files(store, ref, damaged) for ref in refs if ref):
        return False
    if row["diagnosis"] and not there(store, row["diagnosis"], damaged):
        return False
    walked, ref = [], row["head"]
    while ref and ref not in sound:
        walked.append(ref)
        if not there(store, ref, damaged):
            break
        ref = store.get_json(ref)["prev"]
    else:
        ref_is_sound = sound.get(ref, True) if ref else True
        sound.update(dict.fromkeys(walked, ref_is_sound))
        return ref_is_sound
    sound.update(dict.fromkeys(walked, False))
    return False


def has_files(store: Artifacts, ref: str, damaged: set[str]) -> bool:
    """An attempt's record and the files that a step from it reads."""
    if not there(store, ref, damaged):
        return False
    attempt = store.get_json(ref)
    return all(there(store, attempt[name], damaged) for name in FILES if attempt.get(name))


def there(store: Artifacts, ref: str, damaged: set[str]) -> bool:
    return ref not in damaged and store.path(ref).exists()


def cut_rounds(folder: Path, last: Round) -> None:
    """Forgets the rounds after this one."""
    path = folder / NAME
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        kept.append(line)
        if opened(line) == last:
            break
    write_atomic(path, b"".join(kept))
