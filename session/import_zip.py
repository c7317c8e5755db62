"""Read a zip of `gome export`, which may come from a stranger.

Names, sizes and hashes are checked, and only files that a run has are unpacked.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from graph.state import Json
from report.formatting import clean_text
from run.lock import RunError
from session.disk_errors import REMEDIES
from session.export_run import (
    LOGS,
    MANIFEST,
    RESUME_STORES,
    SCHEMA,
    STORES,
    ExportManifest,
)

FOLDERS = (*STORES, *RESUME_STORES, "task")
HASHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}")
SHAPES = {  # names that a store has; other stores take any plain name
    "artifacts": HASHED,
    "calls": HASHED,
    "done": re.compile(r"[a-z_]+-[0-9a-f]{16,64}\.json"),
}
OWN_NAMES = re.compile(
    r"best/(input|members|chain)|best/input/.*|models/[^/]*"
)  # folders of the harness
RUN_NAME = re.compile(r"\w[\w.-]{0,199}")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_RATIO = 200  # a zip that grows more than this is a bomb
MAX_MANIFEST_BYTES = 64 * 2**20
SPARE_BYTES = 2**30
ZIP_ERRORS = (
    OSError,
    ValueError,  # names that are no text
    EOFError,
    RuntimeError,  # an encrypted entry; NotImplementedError: a version to come
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
)


def open_zip(source: Path) -> zipfile.ZipFile:
    """Open the zip.

    Raises:
        RunError: it is damaged, or packed as no export is.
    """
    try:
        archive = zipfile.ZipFile(source)
    except ZIP_ERRORS as error:
        raise unreadable_zip(source, error) from error
    infos = archive.infolist()
    odd = [info.filename for info in infos if info.compress_type not in METHODS]
    odd += [name for name, n in Counter(archive.namelist()).items() if n > 1]
    if odd:
        archive.close()
        raise unreadable_zip(source, f"no export packs {clean_text(odd[0], 100)} like this")
    return archive


def unreadable_zip(source: Path, why: object) -> RunError:
    """Return the error of a zip that is damaged."""
    return RunError(
        f"{source}: cannot be read as a zip of `gome export` ({clean_text(why, 200)}); "
        "export the run again"
    )


def read_manifest(source: Path, archive: zipfile.ZipFile) -> ExportManifest:
    """Read and check the manifest.

    Raises:
        RunError: it is missing, invalid, or of another version.
    """
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > MAX_MANIFEST_BYTES:
            raise ValueError("its manifest is too large")
        content: Json = json.loads(archive.read(info))
        if content["schema"] != SCHEMA:
            raise RunError(
                f"{source}: written by another version of Gome (export "
                f"{clean_text(content['schema'], 40)}, this one reads {SCHEMA}); use that version"
            )
        manifest = ExportManifest.model_validate(content)
        if not RUN_NAME.fullmatch(manifest.run):
            raise ValueError("the run has no usable name")
    except (KeyError, TypeError, RecursionError, AttributeError, *ZIP_ERRORS) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"{source}: not a zip of `gome export` ({clean_text(first, 200)}); export the run again"
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


def unpack_files(
    source: Path, archive: zipfile.ZipFile, manifest: ExportManifest, folder: Path
) -> list[str]:
    """Unpack the files of the manifest and check their hashes; return the names left behind.

    Raises:
        RunError: a name is not allowed, or a file is missing or damaged.
    """
    left = sorted(set(archive.namelist()) - manifest.files.keys() - {MANIFEST})
    for name, sha256 in manifest.files.items():
        if not is_allowed_name(name, read_only=manifest.read_only):
            raise RunError(
                f"{source}: contains a file named {name[:100]!r}, which no run has; not unpacked"
            )
        if not is_known_name(name):
            left.append(name)
            continue
        digest = unpack_file(source, archive, name, folder / name)
        if digest != sha256:
            raise RunError(
                f"{source}: {name} is damaged (its content does not match its hash); "
                "export the run again"
            )
    return left


def unpack_file(source: Path, archive: zipfile.ZipFile, name: str, target: Path) -> str:
    """Unpack one file, which must not exist yet; return its sha256. Raises RunError."""
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as content, target.open("xb") as out:
            while piece := content.read(2**20):
                digest.update(piece)
                out.write(piece)
    except KeyError:
        raise RunError(f"{source}: {name} is missing in it; export the run again") from None
    except ZIP_ERRORS as error:
        if isinstance(error, OSError) and error.errno in REMEDIES:
            raise  # of the disk here
        raise RunError(
            f"{source}: {clean_text(name, 100)} cannot be unpacked ({clean_text(error, 200)}); "
            "export the run again"
        ) from error
    return digest.hexdigest()


def is_allowed_name(name: str, *, read_only: bool) -> bool:
    """Whether a file of this name stays in the run; `read_only`: nothing that a resume needs."""
    if "\\" in name or not name.isprintable():
        return False
    if name in LOGS:
        return not (read_only and name == "setup.json")
    path = PurePosixPath(name)
    folders = STORES if read_only else FOLDERS
    is_below = len(path.parts) > 1 and path.parts[0] in folders and ".." not in path.parts
    return is_below and str(path) == name


def is_known_name(name: str) -> bool:
    """Whether a run has such a file, and an export takes it along."""
    if name in LOGS:
        return True
    store, _, below = name.partition("/")
    if store in SHAPES:
        return bool(SHAPES[store].fullmatch(below))
    is_hidden = store != "task" and any(part.startswith(".") for part in below.split("/"))
    return not is_hidden and not OWN_NAMES.fullmatch(name)
