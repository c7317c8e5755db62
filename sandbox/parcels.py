"""Inputs on their way to another machine, each under the hash of its content, so that what is there already is not sent again."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.protocol import SandboxLost


@dataclass(frozen=True)
class Parcel:
    """One entry below input/. A folder travels as an archive."""

    name: str
    path: Path
    sha256: str
    n_bytes: int
    is_folder: bool


class Shelf:
    """Hashes of files and archives of folders, made once while the source stays as it is."""

    def __init__(self) -> None:
        self._archives: tempfile.TemporaryDirectory[str] | None = None
        self._known: dict[tuple[object, ...], tuple[Path, str, int]] = {}
        self._turn = threading.Lock()

    def parcels(self, inputs: dict[str, str]) -> list[Parcel]:
        """Costly at first (reads everything): call it in a thread."""
        with self._turn:
            return [self._parcel(name, Path(source)) for name, source in inputs.items()]

    def close(self) -> None:
        if self._archives:
            self._archives.cleanup()

    def _parcel(self, name: str, source: Path) -> Parcel:
        if Path(name).name != name or name in ("", ".", ".."):
            raise SandboxLost(f"input name {name!r} is not a plain file name")
        is_folder = source.is_dir()
        key = (source, *stamps(source))
        if key not in self._known:
            path = self._archive(source) if is_folder else source
            self._known[key] = (path, digest_of(path), path.stat().st_size)
        path, digest, n_bytes = self._known[key]
        return Parcel(name, path, digest, n_bytes, is_folder)

    def _archive(self, folder: Path) -> Path:
        self._archives = self._archives or tempfile.TemporaryDirectory(prefix="gome-parcels-")
        path = Path(self._archives.name) / f"{len(self._known)}.tar"
        with tarfile.open(path, "w", dereference=True) as archive:
            for name in below(folder):
                archive.add(folder / name, arcname=name, recursive=False, filter=plain)
        return path


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The same archive from the same content, whoever owns it and whenever it was written."""
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry if entry.isfile() or entry.isdir() else None


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def stamps(source: Path) -> list[tuple[str, int, int]]:
    """What changes when the content does."""
    names = below(source) if source.is_dir() else [""]
    infos = [(name, os.stat(source / name)) for name in names]
    return [(name, info.st_mtime_ns, info.st_size) for name, info in infos]


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
