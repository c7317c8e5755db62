"""The media of a task beside its rows: which files belong to which, and what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from task.data.copies import (
    Finding,
    LabelTruth,
    inspect_copies,
    inspect_file_copies,
    label_truth,
    with_asked_rows,
)
from task.data.media.index import FileNames, MountedFile, RowFiles, id_like_columns, match_rows
from task.data.media.sources import OpenedMedia, open_media
from task.types import MediaRole, Task

NAME_ENDS = re.compile(r"[_.-]")
MAX_LOOSE_FILES = 400  # files of no row that are looked through for labels
MAX_SHARED = 0.1  # of the files that one column finds, which another may find too


@dataclass(frozen=True)
class MediaRows:
    """Sources, the files of train's and test's rows, and what scripts may not see.

    Attributes:
        aliases: what further columns of train find, files of a better column.
    """

    opened: OpenedMedia
    train: list[RowFiles]
    test: list[RowFiles]
    aliases: list[RowFiles] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # path -> why it is not mounted
    named: dict[str, int] = field(default_factory=dict)  # path -> training rows that it names
    unread: dict[str, str] = field(default_factory=dict)  # path -> why its content is not known
    nameless: set[str] = field(default_factory=set)  # files of no row whose names may tell labels

    @property
    def has_files(self) -> bool:
        """Whether any row has files of its own."""
        return bool(self.train or self.test)

    @property
    def row_files(self) -> set[str]:
        """Names of the files that belong to some row."""
        groups = (*self.train, *self.test)
        return {item.file.name for group in groups for item in group.files}

    def loose_files(self) -> list[MountedFile]:
        """Return the files of the sources that belong to no row."""
        known = self.row_files
        return [file for file in self.opened.files if file.name not in known]

    def owned_files(self, ids: Iterable[str], role: MediaRole) -> dict[str, str]:
        """Return name -> id of the files of no row that begin with an id, such as `ID_mask.png`.

        `role`: of the table that the ids are of; files of the other one are left out.
        """
        keys = {PurePosixPath(text).stem: text for text in ids}
        other: MediaRole = "test" if role == "train" else "train"
        found = {}
        for file in self.loose_files():
            stem = PurePosixPath(file.name).stem
            ends = [end.start() for end in NAME_ENDS.finditer(stem)]
            owner = next((stem[:end] for end in reversed(ends) if stem[:end] in keys), None)
            if owner is not None and file.role != other:
                found[file.name] = keys[owner]
        return found


def read_media(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, id_column: str, store: Path
) -> MediaRows:
    """Open a task's media below `store`, match them with its rows, and look for labels in them."""
    if not task.media and not task.extra:
        return MediaRows(OpenedMedia([]), [], [])
    opened = open_media(task, store)
    names = FileNames(opened.files)
    tables: dict[MediaRole, pd.DataFrame] = {"train": train, "test": test}
    found = {
        role: match_rows(frame, names, id_like_columns(frame, id_column, task.target), role)
        for role, frame in tables.items()
    }
    common = {m.column for m in found["train"]} & {m.column for m in found["test"]}
    for matches in found.values():
        matches.sort(key=lambda match: match.column not in common)
    own = distinct_matches(found["train"])
    aliases = [match for match in found["train"] if match not in own]
    media = MediaRows(opened, own, distinct_matches(found["test"]), aliases)
    truth = label_truth(train, id_column, task.target)
    inspect_media(media, with_asked_rows(truth, test, id_column))
    return media


def distinct_matches(matches: Sequence[RowFiles]) -> list[RowFiles]:
    """Leave out columns that find the files of a better one: a number that is a file's number."""
    kept: list[RowFiles] = []
    seen: set[str] = set()
    for match in matches:
        names = {item.file.name for item in match.files}
        if len(names & seen) <= MAX_SHARED * len(names):
            kept.append(match)
            seen |= names
    return kept


def inspect_media(media: MediaRows, truth: LabelTruth) -> None:
    """Look for the labels in the plain files and in the files of no row; note what is found."""
    for path in media.opened.plain:
        note_finding(media, path, inspect_copies(Path(path), truth))
    telling = [source.name for source in media.opened.sources if source.is_telling]
    for file in media.loose_files():
        if file.name.partition("/")[0] in telling:
            media.nameless.add(file.name)
    for file in media.loose_files()[:MAX_LOOSE_FILES]:
        note_finding(media, file.path, inspect_file_copies(Path(file.path), truth))
    for path in media.opened.closed:
        media.unread[path] = "it cannot be unpacked"


def note_finding(media: MediaRows, path: str, finding: Finding) -> None:
    """Note what a file tells of the training rows."""
    if finding.repeats:
        beyond = "" if finding.has_answers else "; train has these rows"
        media.left_out[path] = finding.repeats + beyond
    if finding.n_named:
        media.named[path] = finding.n_named
    if finding.unread:
        media.unread[path] = finding.unread


def describe_left_out(media: MediaRows) -> list[str]:
    """Say what is not mounted, and why."""
    return [
        f"{Path(path).name} is not among the scripts' files: {why}"
        for path, why in media.left_out.items()
    ]


def rows_by_shared_file(matches: Iterable[RowFiles], n_rows: int) -> pd.Series[int] | None:
    """Return a group per row, such that rows of one file are together; None where none share."""
    parents = list(range(n_rows))

    def find_root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    owners: dict[str, int] = {}
    shared = False
    for match in matches:
        for item in match.files:
            owner = find_root(owners.setdefault(item.file.name, item.row))
            own = find_root(item.row)
            if owner != own:
                parents[own] = owner
                shared = True
    return pd.Series([find_root(row) for row in range(n_rows)]) if shared else None
