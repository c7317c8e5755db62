"""Where scripts find the media: the task's own folders, or folders of links under other names.

A folder is mounted as it is where nothing of it has to be hidden. Otherwise a folder of hard links
stands in its place, without what repeats labels, under neutral names where names tell labels, and
with the files of held-back rows among those of the test rows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from task.data.media.index import MountedFile, RowFile, RowFiles
from task.data.media.names import tells_labels
from task.data.media.rows import MediaRows
from task.data.media.sources import Source
from task.types import Task

MAX_COPIED_BYTES = 2**26  # media up to this size are copied: links keep times and file numbers
INDEX_COLUMNS = ("part", "path")
NEW_FOLDERS = ("train", "train_files", "files_of_training_rows")
NO_LINKS = "the disk of the run folder cannot link the task's files (another disk, or rights)"


@dataclass
class FileNamesPlan:
    """What the files are called for scripts, where it is not their own name."""

    new_names: dict[str, str] = field(default_factory=dict)  # name below input/ -> new one
    moved_out: set[str] = field(default_factory=set)  # files of held-back rows
    moved_in: dict[str, MountedFile] = field(default_factory=dict)  # new name -> their file


def plan_neutral_names(
    media: MediaRows, train: pd.DataFrame, task: Task, seed: int
) -> tuple[pd.DataFrame, FileNamesPlan, list[str]]:
    """Give training files whose names tell the label names that do not.

    Returns the training table with the new names where it names files, the plan, and what is said.
    """
    plan, notes = FileNamesPlan(), list[str]()
    labels = train[task.target[0]]
    for match in media.train:
        items = [item for item in match.files if not item.is_folder]
        kinds = list(names_by_kind(items))
        if not any(tells_labels(names, labels.iloc[rows]) for rows, names in kinds):
            continue
        stems = [(rows, [PurePosixPath(name).name for name in names]) for rows, names in kinds]
        keep = not any(tells_labels(names, labels.iloc[rows]) for rows, names in stems)
        keep = keep and len({PurePosixPath(item.file.name).name for item in items}) == len(items)
        plan.new_names |= draw_neutral_names(media, items, keep_names=keep, seed=seed)
        notes.append(
            "names of training files tell the label: scripts find them under other names "
            f"(column {match.column!r}, input/index.csv)"
        )
    for match in (*media.train, *media.aliases):
        train = rename_cells(train, match, plan.new_names)
    return train, plan, notes


def draw_neutral_names(
    media: MediaRows, items: Sequence[RowFile], *, keep_names: bool, seed: int
) -> dict[str, str]:
    """Return new names for files, in the folder that all share; `keep_names`: their own there.

    Where the folders of classes lie beside each other, that folder is a new one.
    """
    taken = {file.name for file in media.opened.files}
    folder = os.path.commonpath([str(PurePosixPath(item.file.name).parent) for item in items])
    tops = {source.name for source in media.opened.sources}
    folder = folder or next(name for name in NEW_FOLDERS if name not in tops)
    order = np.random.default_rng(seed + 31).permutation(len(items))
    width = max(6, len(str(len(items))))
    names: dict[str, str] = {}
    for number, item in zip(order, items, strict=True):
        path = PurePosixPath(item.file.name)
        if item.file.name in names:
            continue
        new = f"{folder}/{path.name if keep_names else f't{int(number):0{width}d}{path.suffix}'}"
        while new in taken:
            new = f"{folder}/x{PurePosixPath(new).name}"
        taken.add(new)
        names[item.file.name] = new
    return names


def rename_cells(train: pd.DataFrame, match: RowFiles, names: dict[str, str]) -> pd.DataFrame:
    """Return the rows with the new names of their files in the column that names them."""
    if not names:
        return train
    cells = {row: str(cell) for row, cell in train[match.column].items()}
    changed = False
    for item in match.files:
        if item.row in cells and not item.is_folder and (new := names.get(item.file.name)):
            cells[item.row] = renamed_cell(cells[item.row], item.file.name, new)
            changed = True
    return train.assign(**{match.column: list(cells.values())}) if changed else train


def names_by_kind(items: Sequence[RowFile]) -> Iterator[tuple[list[int], list[str]]]:
    """Yield rows and names of the files of a kind, once per row.

    A kind is what has one ending in one first folder; and over all folders, since a row's first
    folder may be its class.
    """
    kinds: dict[tuple[str, str], dict[int, str]] = {}
    for item in items:
        name = item.file.name
        suffix = PurePosixPath(name).suffix
        for folder in (name.partition("/")[0], ""):
            kinds.setdefault((folder, suffix), {}).setdefault(item.row, name)
    for names in kinds.values():
        yield list(names), list(names.values())


def renamed_cell(cell: str, name: str, new: str) -> str:
    """Return how a cell that names a file names it now: as a path, a name or a stem."""
    old_path, new_path = PurePosixPath(name), PurePosixPath(new)
    if cell == old_path.name:
        return new_path.name
    if cell == old_path.stem or not PurePosixPath(cell).suffix:
        return new_path.stem
    return "/".join(new_path.parts[1:]) if cell != name else new


def index_rows(
    media: MediaRows, plan: FileNamesPlan, visible: pd.DataFrame, test: pd.DataFrame, id_column: str
) -> pd.DataFrame:
    """Return input/index.csv but for held-back rows: id, part, path, a row per file."""
    records: list[tuple[str, str, str]] = []
    for part, frame, matches in (("train", visible, media.train), ("test", test, media.test)):
        ids = frame[id_column]
        for match in matches:
            for item in match.files:
                if item.row in ids.index and is_mounted(item.file, media):
                    name = plan.new_names.get(item.file.name, item.file.name)
                    records.append((str(ids.loc[item.row]), part, name))
    frame = pd.DataFrame(records, columns=[id_column, *INDEX_COLUMNS])
    return frame.drop_duplicates()


def is_mounted(file: MountedFile, media: MediaRows) -> bool:
    """Whether scripts see a file."""
    return file.path not in media.left_out and file.name not in media.nameless


def mount_media(
    media: MediaRows, plan: FileNamesPlan, folder: Path
) -> tuple[dict[str, str], list[str]]:
    """Return name below input/ -> path of the sources and plain files, and what is said.

    `folder`: where folders of links are made. A source that would need one where links cannot be
    made is left out, if it holds labels, or mounted under its own names.
    """
    shutil.rmtree(folder, ignore_errors=True)
    inputs: dict[str, str] = {}
    notes: list[str] = []
    total = sum(file.n_bytes for file in media.opened.files)
    for name, files in planned_files(media, plan).items():
        source = next((s for s in media.opened.sources if s.name == name), None)
        if not files and source is not None and source.files:
            continue
        if source is not None and is_unchanged(source, files):
            inputs[name] = source.path
        elif link_files(files, folder, copy=total <= MAX_COPIED_BYTES):
            inputs[name] = str(folder / name)
        elif source is not None and not holds_hidden(source, media):
            inputs[name] = source.path
            notes.append(f"input/{name}/ has the files' own names: {NO_LINKS}")
        else:
            notes.append(f"input/{name}/ is left out, since labels stand in it: {NO_LINKS}")
    plain = {Path(path).name: path for path in media.opened.plain if path not in media.left_out}
    return plain | inputs, notes


def holds_hidden(source: Source, media: MediaRows) -> bool:
    """Whether a source holds files that scripts may not see."""
    hidden = any(not is_mounted(file, media) for file in source.files)
    return hidden or source.is_telling or not source.is_whole


def planned_files(media: MediaRows, plan: FileNamesPlan) -> dict[str, dict[str, str]]:
    """Return new name -> path of all files that scripts see, by the first folder of the name."""
    planned: dict[str, dict[str, str]] = {source.name: {} for source in media.opened.sources}
    for file in media.opened.files:
        if file.name in plan.moved_out or not is_mounted(file, media):
            continue
        name = plan.new_names.get(file.name, file.name)
        planned.setdefault(name.partition("/")[0], {})[name] = file.path
    for name, file in plan.moved_in.items():
        planned.setdefault(name.partition("/")[0], {})[name] = file.path
    return planned


def is_unchanged(source: Source, files: dict[str, str]) -> bool:
    """Whether scripts see exactly the files of a source under their own names."""
    return source.is_whole and files == {file.name: file.path for file in source.files}


def link_files(files: dict[str, str], folder: Path, *, copy: bool) -> bool:
    """Make a folder of links (or small copies) in no telling order; False where it cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(files)
    order = np.random.default_rng(len(names)).permutation(len(names))
    parents = {str(PurePosixPath(name).parent) for name in names}
    for parent in sorted(parents):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    try:
        for place in order:
            put_file(files[names[int(place)]], folder / names[int(place)], copy=copy)
    except OSError:
        return False
    return True


def put_file(source: str, target: Path, *, copy: bool) -> None:
    """Link a file, or copy it without its times. Raises OSError."""
    if not copy:
        os.link(source, target)
        return
    shutil.copyfile(source, target)
    target.chmod(0o644)
    os.utime(target, (0, 0))


def can_link(media: MediaRows, folder: Path) -> bool:
    """Whether folders of links can be made: by a try on one file of every source."""
    if sum(file.n_bytes for file in media.opened.files) <= MAX_COPIED_BYTES:
        return True
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".link"
    for source in media.opened.sources:
        probe.unlink(missing_ok=True)
        try:
            if source.files:
                os.link(source.files[0].path, probe)
        except OSError:
            return False
    probe.unlink(missing_ok=True)
    return True
