"""The media of a task on its way to scripts: read, held back, renamed, mounted, with an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.data.media.held_back import choose_ids, find_obstacle, list_train_kinds, plan_held_back
from task.data.media.place import (
    FileNamesPlan,
    index_rows,
    mount_media,
    plan_neutral_names,
    rename_cells,
)
from task.data.media.rows import MediaRows, describe_left_out, read_media, rows_by_shared_file
from task.data.public_tables import write_public_table
from task.data.twins import join_groups
from task.types import Task

INDEX = "index.csv"
Array = NDArray[Any]


@dataclass
class SideFiles:
    """A task's side files while it is prepared.

    Attributes:
        train: the training rows; their cells name the files as scripts find them.
        notes: what is said of files, a sentence each.
        held_ids: ids of held-back rows, in their order; empty: as without files.
    """

    media: MediaRows
    plan: FileNamesPlan
    train: pd.DataFrame
    test: pd.DataFrame
    id_column: str
    public: Path
    seed: int
    notes: list[str]
    held_ids: list[str] = field(default_factory=list)
    held_index: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        task: Task,
        train: pd.DataFrame,
        test: pd.DataFrame,
        id_column: str,
        public: Path,
        seed: int,
    ) -> SideFiles:
        """Open the media (archives are unpacked beside `public`) and match them with the rows."""
        media = read_media(task, train, test, id_column, public.parent / "media")
        renamed, plan, said = plan_neutral_names(media, train, task, seed)
        notes = [*media.opened.notes, *describe_left_out(media), *said]
        return cls(media, plan, renamed, test, id_column, public, seed, notes)

    @property
    def links(self) -> Path:
        """Folder in which folders of links are made."""
        return self.public.parent / "media" / self.public.name

    def group_rows(self, twins: Array | None) -> Array | None:
        """Return sets of rows to keep in one fold: twins, and rows that share files."""
        shared = rows_by_shared_file(self.media.train, len(self.train))
        if shared is None or shared.nunique() < 20 or len(shared) == 0:
            return twins
        if twins is None:
            return shared.to_numpy()
        return join_groups(np.asarray(twins), shared.to_numpy())

    def may_hold_back(self, task: Task) -> bool:
        """Whether rows can be held back so that their files do not tell them apart."""
        obstacle = find_obstacle(
            self.media, task, self.train, self.test, self.id_column, self.links
        )
        if obstacle:
            self.refuse_audit(obstacle)
        return not obstacle

    def hold_back(self, hidden: pd.DataFrame) -> bool:
        """Give the files of held-back rows names of test rows; False where it cannot be done."""
        if not self.media.has_files or hidden.empty:
            return True
        test_ids = list(self.test[self.id_column].astype(str))
        known = [*test_ids, *self.train[self.id_column].astype(str)]
        own = list(hidden[self.id_column].astype(str))
        ids = choose_ids(own, test_ids, known, self.seed)
        if ids is None:
            self.refuse_audit("there are no free ids in the style of the test rows' ids")
            return False
        clean = FileNamesPlan(dict(self.plan.new_names))
        train_ids = self.train[self.id_column].astype(str)
        kinds = list_train_kinds(self.media, train_ids, self.test[self.id_column].astype(str))
        records, obstacle = plan_held_back(
            self.media, clean, hidden, self.test, self.id_column, ids, kinds, self.seed
        )
        if obstacle:
            self.refuse_audit(obstacle)
            return False
        self.plan, self.held_ids, self.held_index = clean, ids, records
        return True

    def name_held_back(self, hidden: pd.DataFrame) -> pd.DataFrame:
        """Return held-back rows whose cells name their files as scripts find them."""
        if not self.held_ids:
            return hidden
        moved = {file.name: name for name, file in self.plan.moved_in.items()}
        for match in (*self.media.train, *self.media.aliases):
            if match.column != self.id_column:
                hidden = rename_cells(hidden, match, moved)
        return hidden

    def refuse_audit(self, why: str) -> None:
        """Say why no rows are held back."""
        self.notes.append(f"no rows are held back for an audit: {why}")

    def forget_rows(self) -> None:
        """Drop the training rows where none has a file; a long table is then held once."""
        if not self.media.has_files:
            self.train = empty_like(self.train)

    def mount(self, is_visible: NDArray[np.bool_] | None = None) -> dict[str, str]:
        """Write the index and return name below input/ -> path of all side files.

        `is_visible`: which training rows are not held back; None: all.
        """
        inputs, said = mount_media(self.media, self.plan, self.links)
        self.notes += said
        if self.media.has_files:
            visible = self.train if is_visible is None else self.train[is_visible]
            frame = index_rows(self.media, self.plan, visible, self.test, self.id_column)
            held = pd.DataFrame(self.held_index, columns=frame.columns)
            frame = pd.concat([frame, held], ignore_index=True)
            frame = frame.sort_values(list(frame.columns[[1, 2, 0]]), ignore_index=True)
            write_public_table(frame, self.public / INDEX)
        return inputs


def empty_like(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns without rows, and without the memory of rows, which a slice keeps."""
    columns = {name: pd.Series([], dtype=values.dtype) for name, values in frame.items()}
    return pd.DataFrame(columns)
