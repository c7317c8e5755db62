"""The media of a task: its side folders, archives (unpacked once per run) and single files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from task.data.media.archives import (
    ArchiveError,
    archive_stem,
    is_archive,
    list_members,
    unpack_media,
)
from task.data.media.index import MountedFile, mounted_files
from task.data.media.listing import ListedFile, list_files
from task.load.tables import TABLE_ENDINGS
from task.types import MediaRole, Task

FEW_TABLES = 3  # an archive of no more, and nothing else, is a table that scripts read themselves


@dataclass(frozen=True)
class Source:
    """A folder of media as scripts see it below input/."""

    name: str  # below input/
    path: str  # the unpacked folder, or the task's own
    files: list[MountedFile]
    is_whole: bool = True  # nothing of the folder is left out
    is_telling: bool = False  # its names are where the labels were read from


@dataclass(frozen=True)
class OpenedMedia:
    """All sources, the archives that stay closed, and what is said of them."""

    sources: list[Source]
    closed: list[str] = field(default_factory=list)  # archives that could not be unpacked
    plain: list[str] = field(default_factory=list)  # other files and folders of the task
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[MountedFile]:
        """Files of all sources."""
        return [file for source in self.sources for file in source.files]


def open_media(task: Task, store: Path) -> OpenedMedia:
    """List a task's side files; archives are unpacked below `store`, unless they lie there.

    Files that repeat the labels (`task.label_sources`) and the task's own tables are left out.
    """
    hidden = {os.path.realpath(path) for path in hidden_paths(task)}
    opened = OpenedMedia([])
    for path, role in media_paths(task).items():
        telling = os.path.realpath(path) == os.path.realpath(task.train)
        if os.path.realpath(path) in hidden:
            continue
        if path.is_dir():
            add_folder(opened, path, role, hidden, is_telling=telling)
        elif is_archive(path) and is_media_archive(path, opened):
            add_archive(opened, path, role, store, is_telling=telling)
        elif not is_archive(path):
            opened.plain.append(str(path))
    return opened


def media_paths(task: Task) -> dict[Path, MediaRole]:
    """Return the task's side files and folders with whose rows they belong to."""
    paths: dict[Path, MediaRole] = {Path(source.path): source.role for source in task.media}
    for extra in task.extra:
        paths.setdefault(Path(extra), "both")
    return paths


def hidden_paths(task: Task) -> list[str]:
    """Return the files that no script sees as they are: tables and whatever repeats labels.

    A folder or archive of media whose names are the labels is not among them.
    """
    tables = [task.train, task.test, task.sample_submission or ""]
    open_ones = {str(path) for path in media_paths(task)}
    return [path for path in tables if path and path not in open_ones] + task.label_sources


def add_folder(
    opened: OpenedMedia, path: Path, role: MediaRole, hidden: set[str], *, is_telling: bool
) -> None:
    """Add a folder without the files that scripts may not see."""
    listed = list_files(path)
    kept = [file for file in listed if not is_hidden(path, file, hidden)]
    files = mounted_files(kept, path.name, str(path), role)
    is_whole = len(kept) == len(listed)
    opened.sources.append(Source(path.name, str(path), files, is_whole, is_telling))


def is_hidden(folder: Path, file: ListedFile, hidden: set[str]) -> bool:
    """Whether a file, or a folder above it, is among the hidden ones."""
    if not hidden:
        return False
    path = f"{os.path.realpath(folder)}/{file.name}"
    return any(path == other or path.startswith(other + "/") for other in hidden)


def is_media_archive(path: Path, opened: OpenedMedia) -> bool:
    """Whether an archive holds media; one that cannot be read is noted and stays closed."""
    try:
        members = list_members(path)
    except ArchiveError as error:
        opened.closed.append(str(path))
        opened.notes.append(f"{path.name} stays packed: {error}")
        return False
    if len(members) <= FEW_TABLES and all(m.name.endswith(TABLE_ENDINGS) for m in members):
        opened.plain.append(str(path))
        return False
    return True


def add_archive(
    opened: OpenedMedia, path: Path, role: MediaRole, store: Path, *, is_telling: bool
) -> None:
    """Unpack an archive, unless an earlier preparation of the run did, and add its folder."""
    name = free_name(archive_stem(path.name), opened)
    folder = store / "unpacked" / name
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            unpack_media(path, folder)
    except ArchiveError as error:
        opened.closed.append(str(path))
        opened.notes.append(f"{path.name} stays packed: {error}")
        return
    listed = list_files(folder)
    files = mounted_files(listed, name, str(folder), role)
    opened.sources.append(Source(name, str(folder), files, is_telling=is_telling))
    opened.notes.append(f"{path.name} is unpacked as input/{name}/: {len(listed):,} files")


def free_name(name: str, opened: OpenedMedia) -> str:
    """Return a name below input/ that no source has."""
    taken = {source.name for source in opened.sources}
    while name in taken:
        name += "_"
    return name
