"""gome import: unpack a zip of `gome export` into a run folder.

The zip may come from a stranger: names, sizes, hashes and paths are checked, and of run.json only
the facts and the settings that a run may carry are kept (`settings.field`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from graph.settings import RETIRED, Settings, carried_settings
from graph.state import Json
from report.formatting import clean_text
from run.artifacts import write_atomic
from run.folder import read_run_meta, reroot_paths, write_run_meta
from run.lock import RunError
from run.setup import Setup
from session.export_run import (
    LOGS,
    MANIFEST,
    RESUME_STORES,
    SCHEMA,
    STORES,
    ExportManifest,
)
from task.consent import give_consent, has_consent, is_metric_file
from task.types import Prepared

FOLDERS = (*STORES, *RESUME_STORES, "task")
CARRIED_SETTINGS = carried_settings()
CARRIED_FACTS = ("schema", "created", "python", "platform", "versions", "prompts", "parent")
MAX_RATIO = 200  # a zip that grows more than this is a bomb
SPARE_BYTES = 2**30


def import_run(source: Path, runs_dir: Path, *, trust: bool = False) -> tuple[Path, list[str]]:
    """Unpack the zip; return the new run folder and notes for the user.

    Settings that a run may not carry get this machine's defaults. `trust`: the user accepts a
    metric that is a Python file.

    Raises:
        RunError: the zip is damaged, unsafe or too large.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = read_manifest(source, archive)
            check_size(source, archive, runs_dir)
            folder = claim_folder(runs_dir, manifest.run)
            try:
                unpack_files(source, archive, manifest, folder)
                return folder, settle_import(source, folder, manifest, trust)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise RunError(
            f"{source}: cannot be read as a zip of `gome export` ({error}); export the run again"
        ) from error


def read_manifest(source: Path, archive: zipfile.ZipFile) -> ExportManifest:
    """Read and check the manifest.

    Raises:
        RunError: it is missing, invalid, or of another version.
    """
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > 64 * 2**20:
            raise ValueError("its manifest is too large")
        content: Json = json.loads(archive.read(info))
        if content["schema"] != SCHEMA:
            raise RunError(
                f"{source}: written by another version of Gome (export {content['schema']}, "
                f"this one reads {SCHEMA}); use that version"
            )
        manifest = ExportManifest.model_validate(content)
        if not re.fullmatch(r"[\w.-]{1,200}", manifest.run) or manifest.run.startswith("."):
            raise ValueError("the run has no usable name")
    except (KeyError, ValueError, TypeError, RecursionError, AttributeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"{source}: not a zip of `gome export` ({first}); export the run again"
        ) from None
    return manifest


def check_size(source: Path, archive: zipfile.ZipFile, runs_dir: Path) -> None:
    """Refuse a zip whose content is out of proportion or larger than the free space.

    Raises:
        RunError: it is.
    """
    total = sum(info.file_size for info in archive.infolist())
    if total > MAX_RATIO * max(source.stat().st_size, 2**20):
        raise RunError(
            f"{source}: unpacks to {total / 2**30:.1f} GB, out of proportion to its size; "
            "not unpacked"
        )
    runs_dir.mkdir(parents=True, exist_ok=True)
    if total + SPARE_BYTES > shutil.disk_usage(runs_dir).free:
        raise RunError(
            f"{source}: unpacks to {total / 2**30:.1f} GB, more than {runs_dir} has room for; "
            "free space or use --runs-dir"
        )


def claim_folder(runs_dir: Path, name: str) -> Path:
    """Create a folder with the run's name, or with a number after it if that exists."""
    for suffix in ("", *(f"-{index}" for index in range(2, 1000))):
        folder = runs_dir.resolve() / f"{name}{suffix}"
        if not folder.exists():
            folder.mkdir()
            return folder
    raise RunError(f"{runs_dir} holds too many runs named {name}; use another --runs-dir")


def unpack_files(
    source: Path, archive: zipfile.ZipFile, manifest: ExportManifest, folder: Path
) -> None:
    """Unpack the files of the manifest and check their hashes; ignore any others.

    Raises:
        RunError: a name is not allowed, or a file is missing or damaged.
    """
    for name, sha256 in manifest.files.items():
        if not is_allowed_name(name, read_only=manifest.read_only):
            raise RunError(
                f"{source}: contains a file named {name[:100]!r}, which no run has; not unpacked"
            )
        target = folder / name
        digest = hashlib.sha256()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as content, target.open("xb") as out:
                while piece := content.read(2**20):
                    digest.update(piece)
                    out.write(piece)
        except KeyError:
            raise RunError(f"{source}: {name} is missing in it; export the run again") from None
        except (RuntimeError, NotImplementedError, zlib.error, EOFError) as error:
            raise RunError(
                f"{source}: {name} cannot be unpacked ({error}); export the run again"
            ) from error
        if digest.hexdigest() != sha256:
            raise RunError(
                f"{source}: {name} is damaged (its content does not match its hash); "
                "export the run again"
            )


def is_allowed_name(name: str, *, read_only: bool) -> bool:
    """Whether a run may contain a file of this name; `read_only`: nothing that a resume needs."""
    if "\\" in name or "\0" in name:
        return False
    parts = PurePosixPath(name).parts
    if name in LOGS:
        return not (read_only and name == "setup.json")
    folders = STORES if read_only else FOLDERS
    return len(parts) > 1 and parts[0] in folders and ".." not in parts


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
    try:
        settings = Settings.model_validate(carried)
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(
            f"{source}: its run.json has an unusable setting "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}); export the run again"
        ) from None
    facts = {name: meta[name] for name in CARRIED_FACTS if name in meta}
    own = {"run": folder.name, "imported": original, "task": str(folder / "task")}
    write_run_meta(folder, {**facts, **own, "settings": settings.model_dump()})
    left = sorted(_left_behind(stored, settings))
    notes = [f"settings of the other machine were left behind: {', '.join(left)}"] if left else []
    asked = [*settings.model, *([settings.fallback] if settings.fallback else [])]
    if asked:
        names = ", ".join(clean_text(name, 60) for name in asked)
        notes.append(f"a resume asks {names} at your endpoint, with your key")
    return notes


def _left_behind(stored: Json, settings: Settings) -> Iterator[str]:
    """Names of stored settings that were not carried, unless they are what they are here."""
    for name in stored.keys() - CARRIED_SETTINGS - RETIRED:
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
        settled = setup | {"prepared": prepared, "root": str(folder)}
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
