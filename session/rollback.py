"""gome resume --repair: set damaged files aside and go back to the last round that is whole.

Work finished after that round is found in done/ and not repeated, unless it uses a damaged file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from graph.state import Trace
from run.artifacts import REF, Artifacts, write_atomic
from run.attempt import load_attempt
from run.lock import RunError
from run.rounds import ROUNDS_FILE, Round, parse_round, read_rounds
from session.recovery import set_aside


def roll_back(folder: Path) -> str:
    """Repair the run folder; return what was done.

    Raises:
        RunError: no whole round is left.
    """
    damaged = set(_damaged_artifacts(folder))
    _quarantine_artifacts(folder, damaged)
    last = _last_whole_round(folder, damaged)
    if last is None and (folder / ROUNDS_FILE).exists():
        raise RunError(
            f"{folder}: no round of this run is whole any more; start a new run, or restore a copy"
        )
    if last is not None:
        _cut_rounds(folder, last)
    set_aside(folder / "checkpoints.sqlite")
    where = "its beginning" if last is None else f"round {last.number}"
    files = "file was" if len(damaged) == 1 else "files were"
    return f"{len(damaged)} damaged {files} set aside; the run resumes from {where}"


def _damaged_artifacts(folder: Path) -> Iterator[str]:
    """Refs whose content does not match their name."""
    for path in (folder / "artifacts").glob("??/*"):
        if not path.name.startswith(".") and _sha256_of(path) != path.name:
            yield path.name


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _quarantine_artifacts(folder: Path, damaged: set[str]) -> None:
    """Move damaged artifacts out of the store, and forget finished work that uses them."""
    store = Artifacts(folder / "artifacts")
    place = folder / "damaged"
    if damaged:
        place.mkdir(exist_ok=True)
    for ref in damaged:
        store.path(ref).replace(place / ref)
    for path in (folder / "done").glob("*.json"):
        if not _is_json(path) or any(ref in path.read_text() for ref in damaged):
            path.unlink()


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return True


def _last_whole_round(folder: Path, damaged: set[str]) -> Round | None:
    store = WholeStore(folder, damaged)
    rounds = list(read_rounds(folder))
    return next((each for each in reversed(rounds) if store.has_round(each)), None)


class WholeStore:
    """Which attempts of an artifact store are whole, with all that a later step reads of them."""

    def __init__(self, folder: Path, damaged: set[str]) -> None:
        self._store = Artifacts(folder / "artifacts")
        self._damaged = damaged
        self._whole: dict[str, bool] = {}  # by attempt: it and all before it

    def has_round(self, each: Round) -> bool:
        """Whether every chain of a round is whole."""
        try:
            traces = each.state.traces.values()
        except ValidationError:
            return False
        return all(self._has_trace(trace) for trace in traces)

    def _has_trace(self, trace: Trace) -> bool:
        refs = [trace.head, trace.best.ref if trace.best else None]
        if not all(self._has_files(ref) for ref in refs if ref):
            return False
        if trace.diagnosis and not self._has_artifact(trace.diagnosis):
            return False
        return self._has_chain(trace.head)

    def _has_chain(self, head: str | None) -> bool:
        walked, ref = [], head
        while ref and ref not in self._whole:
            walked.append(ref)
            if not self._has_artifact(ref):
                self._whole.update(dict.fromkeys(walked, False))
                return False
            ref = load_attempt(self._store.root, ref).prev
        is_whole = self._whole.get(ref, True) if ref else True
        self._whole.update(dict.fromkeys(walked, is_whole))
        return is_whole

    def _has_files(self, ref: str) -> bool:
        """An attempt's record and the files that a step from it reads."""
        if not self._has_artifact(ref):
            return False
        attempt = load_attempt(self._store.root, ref)
        files = (attempt.script, attempt.evidence, attempt.oof, attempt.submission)
        return all(self._has_artifact(file) for file in files if file)

    def _has_artifact(self, ref: str) -> bool:
        is_ref = REF.fullmatch(ref) is not None
        return is_ref and ref not in self._damaged and self._store.path(ref).is_file()


def _cut_rounds(folder: Path, last: Round) -> None:
    """Forget the rounds after this one."""
    path = folder / ROUNDS_FILE
    lines = []
    for line in path.read_bytes().splitlines(keepends=True):
        lines.append(line)
        if parse_round(line) == last:
            break
    write_atomic(path, b"".join(lines))
