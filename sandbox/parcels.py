"""Inputs packed for another machine, each named by the hash of its content.

A machine that already holds a hash does not receive it again.
"""

from __future__ import annotations

import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.inside.collect import file_sha256
from sandbox.protocol import check_input_names

E2B_BYTES, E2B_DISK_BYTES = 2**28, 8 * 2**30  # of inputs: from which it is told
RAY_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Parcel:
    """One entry below input/; a folder is sent as a tar archive."""

    name: str
    path: Path
    sha256: str
    n_bytes: int
    is_folder: bool


def describe_transfer(kind: str, n_bytes: int) -> str:
    """Say what sending a job's inputs costs, where they are large; empty where it does not matter.

    Args:
        kind: local, ray or e2b.
        n_bytes: of all inputs.
    """
    size = f"{n_bytes / 2**30:.1f} GiB"
    if kind == "e2b" and n_bytes > E2B_BYTES:
        room = ", more than its disk holds" if n_bytes > E2B_DISK_BYTES else ""
        return (
            f"input/ has {size}, which goes to every rented sandbox before its first script{room}; "
            "run scripts on this machine (--sandbox local) or on Ray nodes, which keep it"
        )
    if kind == "ray" and n_bytes > RAY_BYTES:
        return (
            f"input/ has {size}, which goes to every node of the Ray cluster once and stays there"
        )
    return ""


class ParcelCache:
    """Hashes of files and archives of folders, computed once per unchanged source."""

    def __init__(self) -> None:
        self._archives: tempfile.TemporaryDirectory[str] | None = None
        self._packed: dict[tuple[object, ...], tuple[Path, str, int]] = {}
        self._lock = threading.Lock()

    def pack(self, inputs: dict[str, str]) -> list[Parcel]:
        """Pack inputs (name below input/ -> path). Reads every new file: call it in a thread."""
        check_input_names(inputs)
        with self._lock:
            return [self._pack_one(name, Path(source)) for name, source in inputs.items()]

    def close(self) -> None:
        """Delete the archives."""
        if self._archives:
            self._archives.cleanup()

    def _pack_one(self, name: str, source: Path) -> Parcel:
        is_folder = source.is_dir()
        key = (source, *file_stamps(source))
        if key not in self._packed:
            path = self._archive(source) if is_folder else source
            self._packed[key] = (path, file_sha256(path), path.stat().st_size)
        path, digest, n_bytes = self._packed[key]
        return Parcel(name, path, digest, n_bytes, is_folder)

    def _archive(self, folder: Path) -> Path:
        self._archives = self._archives or tempfile.TemporaryDirectory(prefix="gome-parcels-")
        path = Path(self._archives.name) / f"{len(self._packed)}.tar"
        with tarfile.open(path, "w", dereference=True) as archive:
            for name in relative_paths(folder):
                archive.add(folder / name, arcname=name, recursive=False, filter=normalize_entry)
        return path


def normalize_entry(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Drop owner and time, so that equal content gives an equal archive; skip special files."""
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry if entry.isfile() or entry.isdir() else None


def relative_paths(folder: Path) -> list[str]:
    """Return the paths of everything below a folder, sorted, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def file_stamps(source: Path) -> list[tuple[str, int, int]]:
    """Return (name, mtime in ns, size) of a file, or of everything below a folder."""
    names = relative_paths(source) if source.is_dir() else [""]
    infos = [(name, (source / name).stat()) for name in names]
    return [(name, info.st_mtime_ns, info.st_size) for name, info in infos]
