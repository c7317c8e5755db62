"""keep/: what a script leaves for later ones; bounded, checked, stored as artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from report.formatting import format_bytes
from run.artifacts import Artifacts
from run.attempt import ExecutionRecord
from run.chain import MAX_KEPT_FILES, is_plain_name
from run.run import Run
from sandbox.protocol import KEEP_FOLDER, Execution

RUN_FACTOR = 16  # a run keeps so many times as much as one script may


class Kept(NamedTuple):
    """Files in keep/ that are stored, all or none, and what the script is told of the others."""

    files: dict[str, str] = {}  # name below keep/ -> path
    n_bytes: int = 0
    notes: list[str] = []


def choose_kept_of(run: Run, execution: Execution) -> Kept:
    """Return what a run stores of the collected files in keep/."""
    if not run.settings.reuse or not run.settings.keep_bytes:
        return Kept()
    has_any = any(name.startswith(KEEP_FOLDER) for name in execution.files)
    spent = _count_kept(run) if has_any else 0
    return choose_kept(execution, most=run.settings.keep_bytes, spent=spent)


def choose_kept(execution: Execution, *, most: int, spent: int) -> Kept:
    """Return what is stored of the collected files in keep/: plain ones, within the bounds.

    Args:
        execution: with the collected files.
        most: bytes of one script.
        spent: bytes that the run keeps already.
    """
    if refused := execution.refused.get(KEEP_FOLDER):
        return _refuse(refused)
    files = {
        name.removeprefix(KEEP_FOLDER): path
        for name, path in execution.files.items()
        if name.startswith(KEEP_FOLDER)
    }
    if not files:
        return Kept()
    n_bytes = sum(Path(path).stat().st_size for path in files.values())
    odd = next((name for name in files if not is_plain_name(name)), None)
    if odd is not None:
        return _refuse(f"{odd[:60]!r} is no plain name (letters, digits, . _ -)")
    if len(files) > MAX_KEPT_FILES:
        return _refuse(f"it holds {len(files)} files, {MAX_KEPT_FILES} are allowed")
    if n_bytes > most:
        return _refuse(f"it holds {format_bytes(n_bytes)}, {format_bytes(most)} are allowed")
    if n_bytes + spent > RUN_FACTOR * most:
        return _refuse(f"the run keeps {format_bytes(RUN_FACTOR * most)} in all, which are spent")
    return Kept(files, n_bytes)


def _refuse(why: str) -> Kept:
    return Kept(notes=[f"keep/ is not kept for later scripts: {why}"])


def _count_kept(run: Run) -> int:
    """Bytes that the scripts of this run have kept so far."""
    records = run.read_done("execute", ExecutionRecord)
    return sum(record.kept_bytes for record in records if record)


def store_kept(store: Artifacts, kept: Kept) -> dict[str, str]:
    """Store the files; return name below keep/ -> artifact."""
    return {name: store.put_file(Path(path)) for name, path in sorted(kept.files.items())}
