"""Archives of media, unpacked once per run into a folder of ours.

An archive is hostile until unpacked: names that lead out of the folder, links and devices are
refused, and bytes and members are bounded before and while they are written.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from settings.remedies import install_command

MAX_MEMBERS = 3_000_000
MAX_RATIO = 300  # unpacked to packed bytes; pictures do not shrink, tables by 20, bombs by 1,000
MIN_BOMB_BYTES = 2**28  # below, the ratio does not matter
FREE_BYTES = 2 * 2**30  # of the disk, that unpacking leaves
ZIP_ENDINGS = (".zip",)
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SEVEN_ENDINGS = (".7z",)
ARCHIVE_ENDINGS = (*ZIP_ENDINGS, *TAR_ENDINGS, *SEVEN_ENDINGS)


class ArchiveError(Exception):
    """An archive that is not unpacked; the message is a clause that says why."""


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    n_bytes: int


def is_archive(path: Path) -> bool:
    """Whether a file's name ends like an archive's."""
    return path.name.lower().endswith(ARCHIVE_ENDINGS)


def archive_stem(name: str) -> str:
    """Return the name of an archive without its ending."""
    ending = max((e for e in ARCHIVE_ENDINGS if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)] if ending else name


def unpack_media(archive: Path, folder: Path) -> int:
    """Unpack an archive into a folder that does not exist yet; return the number of files.

    Raises ArchiveError; then nothing of it stays.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with explained_faults():
            n_files = UNPACKERS[archive_kind(archive)](archive, part)
        if not n_files:
            raise ArchiveError("it holds no file")
        strip_repeated_folder(part, archive_stem(archive.name)).rename(folder)
        return n_files
    finally:
        shutil.rmtree(part, ignore_errors=True)


def list_members(archive: Path) -> list[Member]:
    """List the files of an archive without unpacking it. Raises ArchiveError."""
    with explained_faults():
        return LISTERS[archive_kind(archive)](archive)


@contextmanager
def explained_faults() -> Iterator[None]:
    """Turn what the readers raise for a damaged archive into an ArchiveError."""
    try:
        yield
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ArchiveError(f"it cannot be read ({describe_fault(error)})") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise ArchiveError(f"it is damaged ({describe_fault(error)})") from error


def describe_fault(error: Exception) -> str:
    """Return a reader's error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:100]


def archive_kind(archive: Path) -> str:
    """Return zip, tar or 7z by the ending."""
    name = archive.name.lower()
    if name.endswith(ZIP_ENDINGS):
        return "zip"
    return "7z" if name.endswith(SEVEN_ENDINGS) else "tar"


def strip_repeated_folder(folder: Path, stem: str) -> Path:
    """Return the only folder at the top where it repeats the archive's name: train.zip, train/."""
    names = [path for path in folder.iterdir() if not path.name.startswith(("__MACOSX", "."))]
    same = len(names) == 1 and names[0].is_dir() and names[0].name == stem
    return names[0] if same else folder


# bounds


class Allowance:
    """What unpacking may still write; every byte is counted where it is written."""

    def __init__(self, archive: Path, folder: Path) -> None:
        packed = archive.stat().st_size
        free = shutil.disk_usage(folder).free - FREE_BYTES
        self.n_bytes = min(free, max(MIN_BOMB_BYTES, MAX_RATIO * packed))
        self.n_members = MAX_MEMBERS
        self.is_disk = free <= self.n_bytes

    def take_member(self, n_bytes: int) -> None:
        """Count a file of the announced size. Raises ArchiveError beyond the bounds."""
        self.n_members -= 1
        if self.n_members < 0:
            raise ArchiveError(f"it holds more than {MAX_MEMBERS:,} files")
        if n_bytes > self.n_bytes:
            raise ArchiveError(self.explain_bytes())

    def take_bytes(self, n_bytes: int) -> None:
        """Count bytes that are about to be written. Raises ArchiveError beyond the bounds."""
        self.n_bytes -= n_bytes
        if self.n_bytes < 0:
            raise ArchiveError(self.explain_bytes())

    def explain_bytes(self) -> str:
        """Say which bound is exceeded."""
        if self.is_disk:
            return "the disk has no room for what it unpacks to"
        return f"it unpacks to more than {MAX_RATIO} times its size"


def safe_target(folder: Path, name: str) -> Path | None:
    """Return where a member is written; None for a hidden name. Raises ArchiveError outside."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] in ("/", "\\") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise ArchiveError(f"the name {name[:80]!r} leads out of its folder")
    if any(part.startswith(".") or part == "__MACOSX" for part in parts if part != "."):
        return None
    return folder.joinpath(*parts)


def write_member(source: IO[bytes], target: Path, allowance: Allowance) -> None:
    """Write a file that does not exist yet, counting its bytes. Raises ArchiveError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = target.open("xb")
    except FileExistsError:
        raise ArchiveError(f"two members are called {target.name[:80]!r}") from None
    with file:
        while data := source.read(2**20):
            allowance.take_bytes(len(data))
            file.write(data)


# kinds of archives


def unpack_zip(path: Path, folder: Path) -> int:
    """Unpack a zip. Raises ArchiveError."""
    allowance, n_files = Allowance(path, folder), 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            check_zip_member(info)
            if (target := safe_target(folder, info.filename)) is None:
                continue
            allowance.take_member(info.file_size)
            with archive.open(info) as source:
                write_member(source, target, allowance)
            n_files += 1
    return n_files


def check_zip_member(info: zipfile.ZipInfo) -> None:
    """Refuse links and what needs a password. Raises ArchiveError."""
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise ArchiveError(f"{info.filename[:80]!r} in it is a link")
    if info.flag_bits & 1:
        raise ArchiveError("it needs a password")


def unpack_tar(path: Path, folder: Path) -> int:
    """Unpack a tar, whatever its compression. Raises ArchiveError."""
    allowance, n_files = Allowance(path, folder), 0
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isdir():
                continue
            if not info.isfile():
                raise ArchiveError(f"{info.name[:80]!r} in it is a link or a device")
            if (target := safe_target(folder, info.name)) is None:
                continue
            allowance.take_member(info.size)
            source = archive.extractfile(info)
            assert source is not None
            with source:
                write_member(source, target, allowance)
            n_files += 1
    return n_files


def unpack_seven(path: Path, folder: Path) -> int:
    """Unpack a 7z with py7zr. Raises ArchiveError, also where py7zr is not installed."""
    allowance, n_files = Allowance(path, folder), 0
    for member in list_seven(path):
        if safe_target(folder, member.name) is not None:
            n_files += 1
        allowance.take_member(member.n_bytes)
        allowance.take_bytes(member.n_bytes)
    with open_seven(path) as archive:
        archive.extractall(folder)
    for file in folder.rglob("*"):
        if file.is_symlink():
            raise ArchiveError(f"{file.name[:80]!r} in it is a link")
    return n_files


def open_seven(path: Path) -> Any:
    """Open a 7z. Raises ArchiveError."""
    try:
        import py7zr
    except ImportError:
        raise ArchiveError(f"it needs a package: `{install_command('py7zr')}`") from None
    try:
        return py7zr.SevenZipFile(path)
    except py7zr.exceptions.ArchiveError as error:
        raise ArchiveError(f"it is damaged ({describe_fault(error)})") from error


def list_zip_members(path: Path) -> list[Member]:
    """List the files of a zip."""
    with zipfile.ZipFile(path) as archive:
        return [Member(i.filename, i.file_size) for i in archive.infolist() if not i.is_dir()]


def list_tar_members(path: Path) -> list[Member]:
    """List the files of a tar."""
    with tarfile.open(path) as archive:
        return [Member(info.name, info.size) for info in archive if info.isfile()]


def list_seven(path: Path) -> list[Member]:
    """List the files of a 7z, with links, which `unpack_seven` refuses. Raises ArchiveError."""
    with open_seven(path) as archive:
        if archive.needs_password():
            raise ArchiveError("it needs a password")
        if any(info.is_symlink for info in archive.files):
            raise ArchiveError("there is a link in it")
        return [Member(i.filename, i.uncompressed) for i in archive.list() if not i.is_directory]


UNPACKERS: dict[str, Callable[[Path, Path], int]] = {
    "zip": unpack_zip,
    "tar": unpack_tar,
    "7z": unpack_seven,
}
LISTERS: dict[str, Callable[[Path], list[Member]]] = {
    "zip": list_zip_members,
    "tar": list_tar_members,
    "7z": list_seven,
}
