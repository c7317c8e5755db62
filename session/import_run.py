"""gome import: unpack a zip of `gome export` into a run folder.

The zip may come from a stranger: names, sizes, hashes and paths are checked, and of run.json only
the facts and the settings that a run may carry are kept (`settings.field`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Set
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from graph.settings import RETIRED, Settings, carried_settings
from graph.state import Json
from report.formatting import clean_text, format_plural
from run.artifacts import write_atomic
from run.folder import read_run_meta, reroot_paths, write_run_meta
from run.hints import list_hints
from run.lock import RunError
from run.setup import Setup
from sandbox.local.backend import machine_memory_bytes
from session.export_run import ExportManifest
from session.import_zip import check_size, open_zip, read_manifest, unpack_files
from task.consent import give_consent, has_consent, is_metric_file
from task.types import Prepared

CARRIED_SETTINGS = carried_settings() - {"config"}  # it is a path of the other machine
CARRIED_FACTS = ("schema", "created", "python", "platform", "versions", "prompts", "parent")
MAX_PARTS, MAX_FACT_CHARS = 200, 200  # of such a fact
N_NAMED = 5  # files left behind that a note names


def import_run(source: Path, runs_dir: Path, *, trust: bool = False) -> tuple[Path, list[str]]:
    """Unpack the zip; return the new run folder and notes for the user.

    Settings that a run may not carry get this machine's defaults. `trust`: the user accepts a
    metric that is a Python file.

    Raises:
        RunError: the zip is damaged, unsafe or too large.
    """
    with open_zip(source) as archive:
        manifest = read_manifest(source, archive)
        check_size(source, archive, runs_dir)
        folder = claim_folder(runs_dir, manifest.run)
        try:
            left = unpack_files(source, archive, manifest, folder)
            return folder, settle_import(source, folder, manifest, trust) + describe_left(left)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def describe_left(names: list[str]) -> list[str]:
    """Return a note on the files of the zip that were not unpacked, if there are any."""
    if not names:
        return []
    listed = ", ".join(clean_text(name, 60) for name in names[:N_NAMED])
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return [f"{format_plural(len(names), 'file')} that no export has, left behind: {listed}{more}"]


def claim_folder(runs_dir: Path, name: str) -> Path:
    """Create a folder with the run's name, or with a number after it if that exists."""
    for suffix in ("", *(f"-{index}" for index in range(2, 1000))):
        folder = runs_dir.resolve() / f"{name}{suffix}"
        if not folder.exists():
            folder.mkdir()
            return folder
    raise RunError(f"{runs_dir} holds too many runs named {name}; use another --runs-dir")


def settle_import(source: Path, folder: Path, manifest: ExportManifest, trust: bool) -> list[str]:
    """Adapt run.json and setup.json to the new folder; return notes for the user.

    Raises:
        RunError: a file is of no use, a path is outside the folder, or the metric is code and
            `trust` is not given.
    """
    for name in ("artifacts", "work", "best"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "report.html").unlink(missing_ok=True)  # a stranger's page; `gome report` writes ours
    notes = _settle_settings(source, folder, manifest.run)
    if manifest.read_only:
        return [*notes, "read-only: `gome show` and `gome report` work, `gome resume` does not"]
    setup = place_setup(source, folder, manifest.roots)
    metric = str(setup["prepared"]["task"]["metric"])
    if is_metric_file(metric):
        content = Path(metric).read_bytes() if Path(metric).is_file() else b""
        if not trust and not has_consent(content):
            raise RunError(
                f"{source}: its metric is a Python file, which sees the labels (and runs with your "
                "rights under --isolation none); "
                f"look at task/{Path(metric).name[:100]} in it, then use --trust"
            )
        give_consent(content)
    (folder / "private").mkdir(exist_ok=True)
    (folder / "private").chmod(0o700)
    write_atomic(folder / "setup.json", json.dumps(setup))
    return notes


def _settle_settings(source: Path, folder: Path, original: str) -> list[str]:
    """Write run.json with what it may carry; return notes on the rest, and on what costs money."""
    meta = read_run_meta(folder)
    stored: Json = meta["settings"]
    carried = {name: value for name, value in stored.items() if name in CARRIED_SETTINGS}
    most = {"run_cpus": os.cpu_count() or 1, "run_memory_bytes": machine_memory_bytes()}
    for name, limit in most.items():
        if isinstance(carried.get(name), int) and carried[name] > limit:
            del carried[name]  # it would be no limit here
    try:
        settings = Settings.model_validate(carried)
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(
            f"{source}: its run.json has an unusable setting "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); export the run again"
        ) from None
    facts = {name: clean_fact(meta[name]) for name in CARRIED_FACTS if name in meta}
    own: Json = {"run": folder.name, "imported": original, "task": str(folder / "task")}
    events = folder / "events.jsonl"
    own["imported_bytes"] = events.stat().st_size if events.is_file() else 0
    write_run_meta(folder, {**facts, **own, "settings": settings.model_dump()})
    left = sorted(_left_behind(stored, carried.keys(), settings))
    notes = [f"settings of the other machine were left behind: {', '.join(left)}"] if left else []
    asked = [*settings.model, *([settings.fallback] if settings.fallback else [])]
    if asked:
        names = ", ".join(clean_text(name, 60) for name in asked)
        limits = [("money", settings.max_usd), ("tokens", settings.max_tokens)]
        open_ends = [word for word, limit in limits if limit is None]
        unlimited = f", without a limit of {' or '.join(open_ends)}" if len(open_ends) > 1 else ""
        notes.append(f"a resume asks {names} at your endpoint, with your key{unlimited}")
    if n_hints := len(list_hints(folder)):
        notes.append(f"{format_plural(n_hints, 'hint')} of its user: later prompts quote them")
    return notes


def clean_fact(value: object, depth: int = 3) -> Json | str | int | float | None:
    """Return a fact of run.json as short plain values."""
    if isinstance(value, dict) and depth:
        pairs = islice(value.items(), MAX_PARTS)
        return {clean_text(key, 80): clean_fact(each, depth - 1) for key, each in pairs}
    if value is None or isinstance(value, int | float):
        return value
    return clean_text(value, MAX_FACT_CHARS)


def _left_behind(stored: Json, carried: Set[str], settings: Settings) -> Iterator[str]:
    """Names of stored settings that were not carried, unless they are what they are here."""
    for name in stored.keys() - carried - RETIRED:
        known = name in Settings.model_fields
        if not known or stored[name] != getattr(settings, name):
            yield name if known else f"{clean_text(name, 40)} (unknown)"


def place_setup(source: Path, folder: Path, roots: dict[str, str]) -> Json:
    """Return setup.json with its paths below the new folder.

    Raises:
        RunError: it is damaged, or a path is outside the folder.
    """
    try:
        setup: Json = json.loads((folder / "setup.json").read_text())
        moved = {roots["run"]: str(folder), roots["task"]: str(folder / "task")}
        inner_first = dict(sorted(moved.items(), key=lambda pair: -len(pair[0])))
        prepared = reroot_paths(setup["prepared"], inner_first)
        settled = setup | {"prepared": prepared, "root": str(folder), "interpreter": ""}
        typed = Setup.model_validate(settled).prepared
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"{source}: its setup.json cannot be used ({first[:200]}); export the run again"
        ) from None
    for text in stored_paths(typed):
        path = Path(text)
        if not path.is_absolute() or not path.resolve().is_relative_to(folder):
            raise RunError(
                f"{source}: its setup names {text[:100]!r}, a path outside the run; not imported"
            )
    return settled


def stored_paths(prepared: Prepared) -> Iterator[str]:
    """Yield every path of a prepared task. Names below input/ count as paths below public/."""
    task = prepared.task
    yield from (task.root, task.train, task.test, prepared.public, prepared.private)
    yield from (*task.extra, *task.label_sources, *(source.path for source in task.media))
    yield from prepared.inputs.values()
    yield from (str(Path(prepared.public) / name) for name in prepared.inputs)
    if task.sample_submission:
        yield task.sample_submission
    if task.split.kind == "file" and task.split.column:
        yield task.split.column
    if is_metric_file(task.metric):
        yield task.metric
