"""gome import: a zip of `gome export` becomes a run folder.  The zip may come from a stranger: names, sizes, hashes and paths are checked."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from graph.settings import Settings
from graph.state import Json
from run.artifacts import write_atomic
from run.folder import read_run_meta, reroot_paths, write_run_meta
from run.lock import RunError
from session.export_run import LOGS, MANIFEST, NEEDED, SCHEMA, STORES

FOLDERS = (*STORES, *NEEDED, "task")
OF_A_MACHINE = (
    "sandbox", "isolation", "slots", "gpus", "base_url", "key_env", "extra_body", "memory", "cache", "prices", "checkpoint", "otel", "runs_dir",
)  # fmt: skip
MAX_RATIO = 200  # a zip that grows more than this is a bomb
SPARE_BYTES = 2**30


def import_run(source: Path, runs_dir: Path, *, trust: bool = False) -> tuple[Path, list[str]]:
    """The new run folder and what to know about it. Settings that concern a machine are this machine's defaults. Raises RunError."""
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = manifest_of(source, archive)
            fits(source, archive, runs_dir)
            folder = free_name(runs_dir, manifest["run"])
            try:
                unpack(source, archive, manifest, folder)
                return folder, settle(source, folder, manifest, trust)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise RunError(
            f"{source}: cannot be read as a zip of `gome export` ({error}); export the run again"
        ) from error


def manifest_of(source: Path, archive: zipfile.ZipFile) -> Json:
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > 64 * 2**20:
            raise ValueError("its manifest is too large")
        value: Json = json.loads(archive.read(info))
        if value["schema"] != SCHEMA:
            raise RunError(
                f"{source}: written by another version of Gome (export {value['schema']}, this one reads {SCHEMA}); use that version"
            )
        if not re.fullmatch(r"[\w.-]{1,200}", value["run"]) or value["run"].startswith("."):
            raise ValueError("the run has no usable name")
        return {**value, "files": dict(value["files"]), "roots": dict(value.get("roots", {}))}
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{source}: not a zip of `gome export` ({error}); export the run again"
        ) from None


def fits(source: Path, archive: zipfile.ZipFile, runs_dir: Path) -> None:
    total = sum(info.file_size for info in archive.infolist())
    if total > MAX_RATIO * max(source.stat().st_size, 2**20):
        raise RunError(
            f"{source}: unpacks to {total / 2**30:.1f} GB, out of proportion to its size; not unpacked"
        )
    runs_dir.mkdir(parents=True, exist_ok=True)
    if total + SPARE_BYTES > shutil.disk_usage(runs_dir).free:
        raise RunError(
            f"{source}: unpacks to {total / 2**30:.1f} GB, more than {runs_dir} has room for; free space or use --runs-dir"
        )


def free_name(runs_dir: Path, name: str) -> Path:
    """The run's own name, or with a number where it is taken."""
    for suffix in ("", *(f"-{index}" for index in range(2, 1000))):
        folder = runs_dir.resolve() / f"{name}{suffix}"
        if not folder.exists():
            folder.mkdir()
            return folder
    raise RunError(f"{runs_dir} holds too many runs named {name}; use another --runs-dir")


def unpack(source: Path, archive: zipfile.ZipFile, manifest: Json, folder: Path) -> None:
    """Every file of the manifest, under its own hash; whatever else the zip holds stays in it."""
    for name, sha256 in manifest["files"].items():
        if not allowed(name):
            raise RunError(
                f"{source}: holds a file of the name {name[:100]!r}, which no run has; not unpacked"
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
                f"{source}: {name} is damaged (its content does not match its hash); export the run again"
            )


def allowed(name: object) -> bool:
    if not isinstance(name, str) or "\\" in name or "\0" in name:
        return False
    parts = PurePosixPath(name).parts
    return name in LOGS or (len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts)


def settle(source: Path, folder: Path, manifest: Json, trust: bool) -> list[str]:
    """run.json and setup.json at their new place."""
    for name in ("artifacts", "work", "best"):
        (folder / name).mkdir(exist_ok=True)
    meta = read_run_meta(folder)
    given = meta.get("settings")
    known = {
        key: value
        for key, value in (given if isinstance(given, dict) else {}).items()
        if key in Settings.model_fields
    }
    settings = Settings.model_validate(
        {key: value for key, value in known.items() if key not in OF_A_MACHINE}
    )
    meta |= {
        "run": folder.name,
        "settings": settings.model_dump(),
        "imported": manifest["run"],
        "task": str(folder / "task"),
    }
    write_run_meta(folder, meta)
    reset = sorted(
        key for key in OF_A_MACHINE if key in known and known[key] != getattr(settings, key)
    )
    notes = [f"settings of the other machine were left behind: {', '.join(reset)}"] if reset else []
    if manifest.get("read_only"):
        return [*notes, "read-only: `gome show` and `gome report` work, `gome resume` does not"]
    setup = placed(source, folder, manifest["roots"])
    metric = str(setup["prepared"]["task"]["metric"])
    if metric.startswith("/") and not trust:
        raise RunError(
            f"{source}: its metric is a Python file, which runs with your rights; look at task/{Path(metric).name} in it, then use --trust"
        )
    (folder / "private").mkdir(exist_ok=True)
    (folder / "private").chmod(0o700)
    write_atomic(folder / "setup.json", json.dumps(setup))
    return notes


def placed(source: Path, folder: Path, roots: Json) -> Json:
    """setup.json with its paths below the new folder. Raises RunError for one that would reach out of it."""
    try:
        setup: Json = json.loads((folder / "setup.json").read_text())
        moved = {str(roots["run"]): str(folder), str(roots["task"]): str(folder / "task")}
        prepared = reroot_paths(
            setup["prepared"], dict(sorted(moved.items(), key=lambda pair: -len(pair[0])))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{source}: its setup.json cannot be used ({error}); export the run again"
        ) from None
    for text in strings(prepared, ("description",)):
        if (text.startswith(("/", "~")) or ".." in PurePosixPath(text).parts) and not Path(
            text
        ).resolve().is_relative_to(folder):
            raise RunError(
                f"{source}: its setup names {text[:100]!r}, a path outside the run; not imported"
            )
    return setup | {"prepared": prepared, "root": str(folder)}


def strings(value: Any, without: tuple[str, ...] = ()) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() if key not in without for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []
