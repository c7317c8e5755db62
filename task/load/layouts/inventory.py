"""What a task folder contains, by names alone: tables, folders and archives of files per row.

Folders are walked once; archives are listed by their directories, never unpacked. No name from an
archive is used as a path.
"""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from settings.remedies import install_command
from task.load.tables import TABLE_ENDINGS

MAX_FILES = 2_000_000
MAX_TABLES_PER_FOLDER = 12
"""A folder with more tables than this holds a table per row of the task."""
SEVEN_ZIP = ".7z"
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".7z")
TEXT_ENDINGS = (".txt", ".dat")
OWN_FILES = {"task.yaml", "description.md", "folds.csv", "read.py"}
ARCHIVE_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True)
class Source:
    """A folder or an archive directly in the task folder, with the files in it."""

    path: Path
    files: list[str]
    """Names inside, with `/`, relative to the source."""

    @property
    def name(self) -> str:
        """Name without the endings of an archive."""
        return plain_stem(self.path.name) if self.path.is_file() else self.path.name

    @cached_property
    def suffixes(self) -> Counter[str]:
        """Count files by ending."""
        return Counter(PurePosixPath(name).suffix.lower() for name in self.files)

    @property
    def common_suffix(self) -> str:
        """Ending of most files."""
        return self.suffixes.most_common(1)[0][0] if self.suffixes else ""


@dataclass(frozen=True)
class Inventory:
    """Files of a task folder."""

    root: Path
    tables: list[Path] = field(default_factory=list)
    """Tables that are no per-row files, those directly in the folder first."""
    texts: list[Path] = field(default_factory=list)
    """Text files outside folders of per-row files."""
    sources: list[Source] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    """Other files directly in the folder."""
    unread: dict[str, str] = field(default_factory=dict)
    """Archive that cannot be listed -> why."""

    def name_path(self, path: Path) -> str:
        """Return a path as messages show it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def list_folder(root: Path) -> Inventory:
    """Walk a task folder once. Raises OSError where it cannot be read."""
    found = Inventory(root)
    for entry in sorted(os.scandir(root), key=lambda item: item.name):
        if entry.name.startswith(".") or entry.name in OWN_FILES or entry.name == "__MACOSX":
            continue
        path = Path(entry.path)
        if entry.is_dir():
            add_folder(found, path)
        elif is_table_name(entry.name):
            add_table_file(found, path)
        elif entry.name.lower().endswith(ARCHIVE_ENDINGS):
            add_archive(found, path)
        elif entry.name.lower().endswith(TEXT_ENDINGS):
            found.texts.append(path)
        else:
            found.others.append(path)
    return found


def add_folder(found: Inventory, path: Path) -> None:
    """Add a folder's files as a source; its few tables and texts beside them."""
    names = walk_names(path)
    found.sources.append(Source(path, names))
    tables, texts = split_loose_files(names)
    found.tables.extend(path / name for name in tables)
    found.texts.extend(path / name for name in texts)


def split_loose_files(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the tables and texts that stand in folders with few of them."""
    kinds: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        is_table = is_table_name(name)
        if is_table or name.lower().endswith(TEXT_ENDINGS):
            kinds.setdefault((name.rpartition("/")[0], is_table), []).append(name)
    few = {key: items for key, items in kinds.items() if len(items) <= MAX_TABLES_PER_FOLDER}
    n_folders = Counter(is_table for _, is_table in few)
    loose: dict[bool, list[str]] = {True: [], False: []}
    for (_, is_table), items in few.items():
        if n_folders[is_table] <= MAX_TABLES_PER_FOLDER:
            loose[is_table].extend(items)
    return sorted(loose[True]), sorted(loose[False])


def walk_names(root: Path) -> list[str]:
    """List all files below a folder, relative, sorted; links to folders are not followed.

    Raises ValueError beyond the bound.
    """
    names: list[str] = []
    pending = [""]
    while pending:
        inside = pending.pop()
        with os.scandir(root / inside if inside else root) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                name = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                else:
                    names.append(name)
        if len(names) > MAX_FILES:
            raise ValueError(f"{root} contains more than {MAX_FILES:,} files")
    return sorted(names)


def add_table_file(found: Inventory, path: Path) -> None:
    """Add a table; a zip that is named after several files is an archive."""
    found.tables.append(path)


def add_archive(found: Inventory, path: Path) -> None:
    """Add an archive: a zip with one text or table in it is that file, any other holds media."""
    try:
        names = list_archive(path)
    except ImportError:
        found.unread[path.name] = f"7z archives need a package: `{install_command('py7zr')}`"
        found.sources.append(Source(path, []))
        return
    except ARCHIVE_ERRORS as error:
        found.unread[path.name] = str(error).splitlines()[0] if str(error) else "damaged"
        found.sources.append(Source(path, []))
        return
    if len(names) == 1 and names[0].lower().endswith(TEXT_ENDINGS):
        found.texts.append(path)
    elif len(names) == 1 and is_table_name(names[0]):
        found.tables.append(path)
    else:
        found.sources.append(Source(path, names))


def list_archive(path: Path) -> list[str]:
    """List the files in an archive, sorted. Raises ImportError for a 7z without py7zr."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    elif name.endswith(".7z"):
        names = list_seven_zip(path)
    else:
        with tarfile.open(path) as tar:
            names = [member.name for member in tar if member.isfile()]
    kept = (PurePosixPath(name.replace("\\", "/")) for name in names)
    return sorted(
        str(name)
        for name in kept
        if ".." not in name.parts
        and not name.is_absolute()
        and not name.name.startswith(".")
        and "__MACOSX" not in name.parts
    )


def list_seven_zip(path: Path) -> list[str]:
    """List the files in a 7z archive. Raises ImportError without py7zr, ValueError if damaged."""
    import py7zr

    try:
        with py7zr.SevenZipFile(path) as archive:
            return [item.filename for item in archive.list() if not item.is_directory]
    except py7zr.exceptions.ArchiveError as error:
        raise ValueError(str(error) or "damaged") from error


def is_table_name(name: str) -> bool:
    """Whether a file's name is that of a table."""
    return name.lower().endswith(TABLE_ENDINGS) or name.lower().endswith(
        tuple(ending + ".7z" for ending in TABLE_ENDINGS)
    )


def plain_stem(name: str) -> str:
    """Return a file's name without the endings of tables and archives."""
    for ending in sorted((*TABLE_ENDINGS, *ARCHIVE_ENDINGS), key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return PurePosixPath(name).stem


def is_json_table(path: Path) -> bool:
    """Whether a file is JSON whose first mark opens a list or an object."""
    with path.open("rb") as file:
        return file.read(64).lstrip()[:1] in (b"[", b"{")


def parse_json_file(path: Path) -> object:
    """Read a JSON file. Raises ValueError."""
    return json.loads(path.read_text(encoding="utf-8"))
