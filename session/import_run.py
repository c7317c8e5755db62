"""gome import: unpack a zip of `gome export` into a run folder.

The zip may come from a stranger: names, sizes, hashes and paths are checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from graph.settings import Settings, machine_settings
from graph.state import Json
from run.artifacts import write_atomic
from run.folder import read_run_meta, reroot_paths, write_run_meta
from run.lock import RunError
from session.export_run import (
    LOGS,
    MANIFEST,
    RESUME_STORES,
    SCHEMA,
    STORES,
    ExportManifest,
)

FOLDERS = (*STORES, *RESUME_STORES, "task")
MACHINE_SETTINGS = machine_settings()
MAX_RATIO = 200  # a zip that grows more than this is a bomb
SPARE_BYTES = 2**30


def import_run(source: Path, runs_dir: Path, *, trust: bool = False) -> tuple[Path, list[str]]:
    """Unpack the zip; return the new run folder and notes for the user.

    Settings bound to the machine get this machine's defaults.

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
    except (KeyError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
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
        if not is_allowed_name(name):
            raise RunError(
                f"{source}: contains a file named {name[:100]!r}, which no run has; not unpacked"
            )
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with archive.open(name) as content, target.open("xb") as out:
                while piece := content.read(2**20):
                    digest.update(piece)
                    out.write(piece)
        except KeyError:
            raise RunError(f"{source}: {name} is missing in it; export the run again") from None
        if digest.hexdigest() != sha256:
            raise RunError(
                f"{source}: {name} is damaged (its content does not match its hash); "
                "export the run again"
            )


def is_allowed_name(name: str) -> bool:
    """Whether a run may contain a file of this name."""
    if "\\" in name or "\0" in name:
        return False
    parts = PurePosixPath(name).parts
    return name in LOGS or (len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts)


def settle_import(source: Path, folder: Path, manifest: ExportManifest, trust: bool) -> list[str]:
    """Adapt run.json and setup.json to the new folder; return notes for the user.

    Raises:
        RunError: a path is outside the folder, or the metric is code and `trust` is not given.
    """
    for name in ("artifacts", "work", "best"):
        (folder / name).mkdir(exist_ok=True)
    notes = _settle_settings(folder, manifest.run)
    if manifest.read_only:
        return [*notes, "read-only: `gome show` and `gome report` work, `gome resume` does not"]
    setup = place_setup(source, folder, manifest.roots)
    metric = str(setup["prepared"]["task"]["metric"])
    if metric.startswith("/") and not trust:
        raise RunError(
            f"{source}: its metric is a Python file, which runs with your rights; "
            f"look at task/{Path(metric).name} in it, then use --trust"
        )
    (folder / "private").mkdir(exist_ok=True)
    (folder / "private").chmod(0o700)
    write_atomic(folder / "setup.json", json.dumps(setup))
    return notes


def _settle_settings(folder: Path, original: str) -> list[str]:
    """Write run.json with its machine settings reset; return a note that names them."""
    meta = read_run_meta(folder)
    stored = meta.get("settings")
    stored = stored if isinstance(stored, dict) else {}
    known = {name: value for name, value in stored.items() if name in Settings.model_fields}
    portable = {name: value for name, value in known.items() if name not in MACHINE_SETTINGS}
    settings = Settings.model_validate(portable)
    meta |= {
        "run": folder.name,
        "settings": settings.model_dump(),
        "imported": original,
        "task": str(folder / "task"),
    }
    write_run_meta(folder, meta)
    bound = sorted(MACHINE_SETTINGS & known.keys())
    reset = [name for name in bound if known[name] != getattr(settings, name)]
    return [f"settings of the other machine were left behind: {', '.join(reset)}"] if reset else []


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{source}: its setup.json cannot be used ({error}); export the run again"
        ) from None
    for text in collect_strings(prepared, ("description",)):
        is_path = text.startswith(("/", "~")) or ".." in PurePosixPath(text).parts
        if is_path and not Path(text).resolve().is_relative_to(folder):
            raise RunError(
                f"{source}: its setup names {text[:100]!r}, a path outside the run; not imported"
            )
    return setup | {"prepared": prepared, "root": str(folder)}


def collect_strings(value: Any, without: tuple[str, ...] = ()) -> list[str]:
    """Return all strings of a JSON value; `without`: keys of its top level to leave out."""
    if isinstance(value, dict):
        parts = [each for key, each in value.items() if key not in without]
        return [text for each in parts for text in collect_strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in collect_strings(each)]
    return [value] if isinstance(value, str) else []
