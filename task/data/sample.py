"""A small sample of a prepared task, laid out as the whole: what scripts are rehearsed on.

Every fold and class is in it, groups stay whole, rows keep their order, and side files are those of
the rows that are left.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.load.tables import read_public_table
from task.types import Prepared

SHARE = 0.04  # of the rows
MIN_ROWS, MAX_ROWS = 300, 20_000  # of the training rows, before every fold and class has its few
MIN_OF_CLASS = 3  # rows of a class in a fold, where it has as many
MIN_TEST_ROWS = 100
MAX_SIDE_BYTES = 2**30  # of a sampled folder; a larger one is shown whole
MAX_UNRELATED_BYTES = (
    16 * 2**20
)  # of a file that belongs to no row: labels of classes, vocabularies
ACCOUNT = "sample.json"
Positions = NDArray[np.int64]


class SampleJson(TypedDict):
    """Where the sample is: its inputs by name, and how many training rows it has of how many."""

    inputs: dict[str, str]
    rows: int
    of: int


def sample_task(prepared: Prepared, folder: str) -> SampleJson:
    """Write the sample to a folder, once; the same task and seed give the same rows."""
    place = Path(folder)
    if (known := _read_account(place)) is not None:
        return known
    part = place.with_name(f".{place.name}-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    train = read_public_table(prepared.public, "train")
    test = read_public_table(prepared.public, "test")
    rng = np.random.default_rng(prepared.seed + 104_729)
    rows = choose_rows(prepared, train, rng)
    test_rows = draw_positions(rng, np.arange(len(test)), MIN_TEST_ROWS)
    ids = _texts(train[prepared.id].take(rows)) | _texts(test[prepared.id].take(test_rows))
    shown = SideFiles(
        kept=ids | _cell_texts(train.take(rows)) | _cell_texts(test.take(test_rows)),
        known=_texts(train[prepared.id])
        | _texts(test[prepared.id])
        | _cell_texts(train)
        | _cell_texts(test),
    )
    by_table = {"train": rows, "folds": rows, "test": test_rows, "sample_submission": test_rows}
    inputs = {}
    for name, source in prepared.inputs.items():
        is_own = Path(source).parent == Path(prepared.public)
        positions = by_table.get(Path(name).stem) if is_own else None
        inputs[name] = _sample_input(Path(source), part / name, positions, prepared.id, ids, shown)
    moved = {
        name: str(place / Path(path).relative_to(part)) if Path(path).is_relative_to(part) else path
        for name, path in inputs.items()
    }
    account = SampleJson(inputs=moved, rows=len(rows), of=len(train))
    (part / ACCOUNT).write_text(json.dumps(account))
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    return account


def _read_account(place: Path) -> SampleJson | None:
    try:
        account: SampleJson = json.loads((place / ACCOUNT).read_text())
        is_whole = all(Path(path).exists() for path in account["inputs"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return account if is_whole else None


def choose_rows(prepared: Prepared, train: pd.DataFrame, rng: np.random.Generator) -> Positions:
    """Return the positions of the sampled training rows, in order."""
    folds = pd.read_csv(Path(prepared.public) / "folds.csv")["fold"].to_numpy()
    split, target = prepared.task.split, prepared.task.target
    share = min(1.0, max(SHARE, MIN_ROWS / len(train)), MAX_ROWS / len(train))
    cells = pd.Series(folds.astype(str))
    if split.kind == "group" and split.column in train:
        return _choose_groups(train[str(split.column)], folds, share, rng)
    if prepared.task.kind != "regression":
        cells = cells + "/" + train[target[0]].astype(str).to_numpy()
    chosen = [
        draw_positions(rng, np.asarray(places), MIN_OF_CLASS, share)
        for places in cells.groupby(cells, sort=True).indices.values()
    ]
    return np.sort(np.concatenate(chosen))


def draw_positions(
    rng: np.random.Generator, places: Positions, least: int, share: float = SHARE
) -> Positions:
    """Draw a share of the places, at least so many (or all), in order."""
    n = min(len(places), max(least, round(share * len(places))))
    return np.sort(rng.choice(places, n, replace=False))


def _choose_groups(
    column: pd.Series[Any], folds: NDArray[Any], share: float, rng: np.random.Generator
) -> Positions:
    """The rows of whole groups: in every fold the share of its rows, and one group at least."""
    groups = pd.factorize(column.astype(str))[0]
    is_chosen = np.zeros(len(groups), dtype=bool)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        names, sizes = np.unique(groups[rows], return_counts=True)
        order = rng.permutation(len(names))
        n_groups = int((np.cumsum(sizes[order]) <= share * len(rows)).sum())
        kept = names[order[: max(2, n_groups)]]
        is_chosen[rows[np.isin(groups[rows], kept)]] = True
    return np.flatnonzero(is_chosen)


# files


class SideFiles:
    """Which files of a folder are shown: those of sampled rows, and those that no row names."""

    def __init__(self, kept: set[str], known: set[str]) -> None:
        self.kept, self.known = kept, known

    def find_related(self, path: Path) -> str:
        """Return `kept` for a file of a sampled row, `other` for one of another; empty: of none."""
        names = {path.name, path.stem, str(path), str(path.with_suffix("")), *path.parts[:-1]}
        names.add(path.name.partition(".")[0])
        if names & self.kept:
            return "kept"
        return "other" if names & self.known else ""


def _sample_input(
    source: Path,
    target: Path,
    positions: Positions | None,
    id_column: str,
    ids: set[str],
    shown: SideFiles,
) -> str:
    """Write the sample of one input; return its path, or the source's where it is shown whole."""
    if source.is_dir():
        return _sample_folder(source, target, shown)
    if positions is not None:
        _write_rows(source, target, positions)
        return str(target)
    if source.suffix in (".csv", ".parquet"):
        return _sample_side_table(source, target, id_column, ids)
    return str(source)


def _write_rows(source: Path, target: Path, positions: Positions) -> None:
    """Write these rows of a table, its cells as they are."""
    if source.suffix == ".parquet":
        pd.read_parquet(source).take(positions).to_parquet(target, index=False)
        return
    kept = set(positions.tolist())
    with (
        source.open(encoding="utf-8", newline="") as text,
        target.open("w", encoding="utf-8", newline="") as out,
    ):
        rows, write = csv.reader(text), csv.writer(out, lineterminator="\n")
        write.writerow(next(rows))
        whole = enumerate(row for row in rows if row)  # pandas skips empty lines
        write.writerows(row for index, row in whole if index in kept)


def _sample_side_table(source: Path, target: Path, id_column: str, ids: set[str]) -> str:
    """Write the rows of a side table that belong to sampled rows; whole where it names no ids."""
    try:
        if source.suffix == ".parquet":
            column = pd.read_parquet(source, columns=[id_column])[id_column]
        else:
            column = pd.read_csv(source, usecols=[id_column], dtype=str)[id_column]
    except (ValueError, KeyError, OSError):
        return str(source)
    positions = np.flatnonzero(column.astype(str).isin(ids))
    if not len(positions):
        return str(source)
    try:
        _write_rows(source, target, positions)
    except (UnicodeDecodeError, csv.Error, StopIteration):
        target.unlink(missing_ok=True)
        return str(source)
    return str(target)


def _sample_folder(source: Path, target: Path, shown: SideFiles) -> str:
    """Link or copy the files of sampled rows; the folder is shown whole where rows name none."""
    kept, n_kept, n_bytes = [], 0, 0
    for path in _list_files(source):
        relation, size = shown.find_related(path.relative_to(source)), path.stat().st_size
        if relation == "kept" or (not relation and size <= MAX_UNRELATED_BYTES):
            kept.append(path)
            n_kept += relation == "kept"
            n_bytes += size
        if n_bytes > MAX_SIDE_BYTES:
            return str(source)
    if not n_kept:
        return str(source)
    for path in kept:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copyfile(path, place)
    return str(target)


def _list_files(folder: Path) -> Iterable[Path]:
    """Yield the regular files below a folder; links are left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _texts(column: pd.Series[Any]) -> set[str]:
    return set(column.astype(str))


def _cell_texts(frame: pd.DataFrame) -> set[str]:
    """Short texts of all cells: a column may name the files of a row."""
    columns = [frame[name] for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return {text for column in columns for text in column.dropna().astype(str) if len(text) < 200}
