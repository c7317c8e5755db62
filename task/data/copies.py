"""Files that repeat the training labels or hold those to predict, found by their content.

Such a file is never mounted for scripts: the prepared table stands in its place, without the rows
that are held back. Ids with labels are looked for in tables, JSON, arrays, texts and archives of
these; what cannot be read and names training rows counts as a copy, too.
"""

from __future__ import annotations

import io
import json
import mmap
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from task.data.media.archives import (
    ArchiveError,
    is_archive,
    list_members,
    unpack_media,
)
from task.data.media.listing import list_files
from task.data.told_answers import AskedRows, find_answers
from task.data.told_sums import MAX_KEYS, find_parts_of_labels
from task.load.tables import TABLE_ENDINGS, frame_of_json, read_table
from task.types import TaskError

MIN_IDS = 10  # of training rows, from which a column of another file names them
MIN_ID_SHARE = 0.02
SAME_LABELS = 0.9  # of the rows found, beyond what the commonest label gives by itself
MAX_READ_BYTES = 2**30
MAX_ROWS, MAX_FILE_ROWS = 100_000, 300_000  # of train, and of a file, that are compared
MAX_MEMBERS = 400
MAX_JSON_DEPTH = 5
N_SAMPLED = 300
MIN_ID_CHARS = 6  # of ids that are looked for in raw bytes
TEXT_ENDINGS = (".txt", ".md", ".tex", ".html", ".xml", ".yaml", ".yml", ".log", ".sql", ".arff")
MEDIA_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom"),
    *(".wav", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".m4a", ".mp4", ".avi", ".mov"),
    *(".pdf", ".rtf", ".py", ".ipynb"),
)


class LabelTruth(NamedTuple):
    """What a copy would repeat: ids and labels of (a sample of) the training rows as text.

    The index of every column is the row's place in the training table.
    """

    ids: pd.Series[str]
    labels: dict[str, pd.Series[str]]  # by target
    train: pd.DataFrame
    n_rows: int  # of the whole table
    asked: AskedRows | None = None  # the rows to predict, whose labels a file may hold


class Finding(NamedTuple):
    """What a file tells of the training rows."""

    repeats: str = ""  # a clause: how it repeats labels; empty: it does not
    n_named: int = 0  # training rows that it names
    unread: str = ""  # a clause: why its content is not known
    has_answers: bool = False  # `repeats` speaks of the rows to predict


def label_truth(train: pd.DataFrame, id_column: str, targets: Sequence[str]) -> LabelTruth:
    """Return ids and labels of a training table as text; of MAX_ROWS rows at most."""
    some = train.reset_index(drop=True)
    if len(some) > MAX_ROWS:
        some = some.sample(MAX_ROWS, random_state=0).sort_index()
    labels = {name: some[name].astype(object).map(plain_text) for name in targets}
    return LabelTruth(some[id_column].astype(object).map(plain_text), labels, some, len(train))


def with_asked_rows(truth: LabelTruth, test: pd.DataFrame, id_column: str) -> LabelTruth:
    """Return the truth with the rows to predict; of MAX_ROWS rows at most."""
    some = test.head(MAX_ROWS).reset_index(drop=True)
    texts = text_cells(some)
    ids = some[id_column].astype(object).map(plain_text)
    labels = {name: set(values) - {""} for name, values in truth.labels.items()}
    asked = AskedRows(ids, texts, labels, bool(ids.isin(truth.ids).any()))
    return truth._replace(asked=asked)


def plain_text(value: object) -> str:
    """Return a cell as text; 1.0 and 1 are the same, a gap is empty."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    text = str(value).strip()
    try:
        number = float(text) if len(text) < 40 else np.nan
    except ValueError:
        return text
    if not np.isfinite(number) or (text[:1] == "0" and text[1:2].isdigit()):
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def inspect_copies(path: Path, truth: LabelTruth) -> Finding:
    """Look for the training labels in a file, or in everything below a folder."""
    if path.is_dir():
        files = [path / file.name for file in list_files(path)]
        return join_findings(inspect_file_copies(file, truth) for file in files[:MAX_MEMBERS])
    return inspect_file_copies(path, truth)


def join_findings(findings: Iterator[Finding]) -> Finding:
    """Return the first finding that repeats labels, else what all tell together."""
    n_named, unread = 0, ""
    for finding in findings:
        if finding.repeats:
            return finding
        n_named, unread = max(n_named, finding.n_named), unread or finding.unread
    return Finding("", n_named, unread)


def inspect_file_copies(path: Path, truth: LabelTruth) -> Finding:
    """Look for the training labels in one file."""
    name = path.name.lower()
    if name.endswith(MEDIA_ENDINGS):
        return Finding()
    if path.stat().st_size > MAX_READ_BYTES:
        return Finding(unread=f"{path.name} is too large to look through")
    if is_archive(path) and not name.endswith(TABLE_ENDINGS):
        return inspect_archive(path, truth)
    frames = read_frames(path)
    if frames is not None:
        return join_findings(compare_frame(frame, truth, path.name) for frame in frames)
    return inspect_bytes(path, truth)


def inspect_archive(path: Path, truth: LabelTruth) -> Finding:
    """Look into an archive; its tables are unpacked for it into a folder that goes at once."""
    try:
        members = list_members(path)
        readable = [m for m in members if not m.name.lower().endswith(MEDIA_ENDINGS)]
        if not readable:
            return Finding()
        if len(readable) > MAX_MEMBERS or sum(m.n_bytes for m in readable) > MAX_READ_BYTES:
            return Finding(unread=f"{path.name} is too large to look through")
        with tempfile.TemporaryDirectory(prefix="gome-look-") as folder:
            unpack_media(path, Path(folder) / "all")
            return inspect_copies(Path(folder) / "all", truth)
    except ArchiveError as error:
        return Finding(unread=f"{path.name} cannot be looked into: {error}")


# reading


def read_frames(path: Path) -> list[pd.DataFrame] | None:
    """Return a file's content as tables; None for what is no table, JSON or array."""
    name = path.name.lower()
    try:
        if name.endswith((".npy", ".npz")):
            return list(read_arrays(path))
        if name.endswith((".json", ".jsonl", ".ndjson")):
            return list(frames_in_json(path.read_text(errors="replace")))
        if name.endswith((*TABLE_ENDINGS, ".feather", ".arrow")) or is_parquet(path):
            return [read_table(path).frame]
        if name.endswith((".txt", ".dat", ".data", ".csv.bak", ".bak", ".old", ".tab")):
            return [*try_table(path)] or None
    except (TaskError, OSError, ValueError, EOFError, KeyError, RecursionError):
        return None
    return None


def is_parquet(path: Path) -> bool:
    """Whether a file begins as a parquet table does, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def try_table(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a text file as a table where it is one of at least two columns."""
    frame = pd.read_csv(io.BytesIO(path.read_bytes()), sep=None, engine="python", dtype=str)
    if len(frame.columns) > 1:
        yield frame


def read_arrays(path: Path) -> Iterator[pd.DataFrame]:
    """Yield arrays of numbers or texts with at most two dimensions; nothing is unpickled."""
    loaded = np.load(path, allow_pickle=False)
    arrays = [loaded[name] for name in loaded.files] if hasattr(loaded, "files") else [loaded]
    flat = [array for array in arrays if 1 <= array.ndim <= 2 and array.size < 10**8]
    same = [a for a in flat if a.ndim == 1 and len(a) == len(flat[0])]
    if len(same) > 1:
        yield pd.DataFrame({str(place): array for place, array in enumerate(same)})
    for array in flat:
        if array.ndim == 1 or array.shape[1] < 2_000:
            yield pd.DataFrame(array)


def frames_in_json(text: str) -> Iterator[pd.DataFrame]:
    """Yield the tables in a JSON text or JSON lines: lists of records, objects of values."""
    try:
        value = json.loads(text)
    except ValueError:
        value = [json.loads(line) for line in text.splitlines() if line.strip()]
    yield from walk_json(value, 0)


def walk_json(value: Any, depth: int) -> Iterator[pd.DataFrame]:
    """Yield the tables in a JSON value."""
    if depth > MAX_JSON_DEPTH or not isinstance(value, (list, dict)) or not value:
        return
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        yield frame_of_json(value)
    if isinstance(value, dict):
        items = list(value.items())
        plain = [(key, item) for key, item in items if not isinstance(item, (list, dict))]
        if len(plain) >= MIN_IDS:
            yield pd.DataFrame(plain)
        records = [{"": key} | item for key, item in items if isinstance(item, dict)]
        if len(records) >= MIN_IDS:
            yield pd.DataFrame(records)
        for _, item in items[:50]:
            yield from walk_json(item, depth + 1)
    elif all(isinstance(item, list) for item in value):
        yield pd.DataFrame(value)
    else:
        for item in value[:20]:
            yield from walk_json(item, depth + 1)


# comparing


def compare_frame(frame: pd.DataFrame, truth: LabelTruth, file_name: str = "") -> Finding:
    """Say whether a table repeats the labels: beside ids, in the rows' order, or with features.

    Also whether it holds labels of the rows to predict.
    """
    if frame.empty:
        return Finding()
    n_rows = len(frame)
    frame = frame.reset_index(drop=True).iloc[:: max(1, n_rows // MAX_FILE_ROWS)]
    columns = {
        str(name): frame.iloc[:, place].astype(object).map(plain_text)
        for place, name in enumerate(frame.columns[:500])
    }
    named = 0
    for name, cells in columns.items():
        rows = match_ids(cells, truth.ids)
        if rows is None:
            continue
        named = max(named, int(rows["row"].nunique()))
        others = {other: values for other, values in columns.items() if other != name}
        if told := find_told(others, rows, truth):
            return Finding(f"its column {told!r} holds the labels of training rows", named)
    if n_rows == truth.n_rows and (told := find_in_order(columns, truth)):
        return Finding(f"its column {told!r} holds the labels in the order of the rows", named)
    if told := find_by_features(columns, truth):
        return Finding(f"it repeats rows of the training table with {told!r}", named)
    if parts := find_parts(columns, truth):
        clause = (
            f"its columns {', '.join(parts[1][:6])} together give {parts[0]!r} of training rows"
        )
        return Finding(f"{clause}, and it has no row to predict", named)
    if told := find_told_answers(columns, truth, named, file_name):
        clause = f"its column {told!r} holds labels of the rows to predict, or guesses"
        return Finding(clause, named, has_answers=True)
    return Finding("", named)


def text_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its cells as text; of 500 columns at most."""
    names = [str(name) for name in frame.columns[:500]]
    return pd.DataFrame({name: frame[name].astype(object).map(plain_text) for name in names})


def find_parts(
    columns: dict[str, pd.Series[str]], truth: LabelTruth
) -> tuple[str, list[str]] | None:
    """Return a target and the columns that together give it for training rows alone."""
    keys = [name for name in map(str, truth.train.columns) if name in columns]
    keys = [name for name in keys if name not in truth.labels][:MAX_KEYS]
    if not keys or len(columns) == len(keys):
        return None
    train, test = text_cells(truth.train[keys]), truth.asked.frame if truth.asked else None
    return find_parts_of_labels(columns, keys, train, test, truth.labels)


def find_told_answers(
    columns: dict[str, pd.Series[str]], truth: LabelTruth, n_named: int, file_name: str
) -> str | None:
    """Return a column that tells labels of the rows to predict.

    What stands beside training rows, and is not their label, is none of other rows either.
    """
    asked = truth.asked
    if asked is None or (n_named and not asked.shares_ids):
        return None
    ids = [name for name, cells in columns.items() if match_ids(cells, asked.ids) is not None]
    return find_answers(columns, asked, ids, file_name)


def match_ids(cells: pd.Series[str], ids: pd.Series[str]) -> pd.DataFrame | None:
    """Return (place in the file, row of train) where cells are ids of training rows."""
    known = pd.Series(ids.index, index=ids)
    known = known[~known.index.duplicated()]
    for keys in (cells, cells.map(bare_stem), cells.map(last_part)):
        found = keys.map(known)
        matched = found.notna()
        enough = max(MIN_IDS, MIN_ID_SHARE * min(len(ids), len(cells)))
        if found[matched].nunique() >= min(enough, len(ids)):
            rows = found[matched].astype(int)
            return pd.DataFrame({"place": rows.index, "row": rows.to_numpy()})
    return None


def bare_stem(text: str) -> str:
    """Return a file's name without folders and ending."""
    return last_part(text).partition(".")[0]


def last_part(text: str) -> str:
    """Return what follows the last slash."""
    return text.rpartition("/")[2]


def find_told(
    columns: dict[str, pd.Series[str]], rows: pd.DataFrame, truth: LabelTruth
) -> str | None:
    """Return a column that holds or implies a target's labels in the rows found."""
    for name, values in columns.items():
        given = values.loc[rows["place"]].reset_index(drop=True)
        for labels in truth.labels.values():
            wanted = labels.loc[rows["row"]].reset_index(drop=True)
            if is_same(given, wanted) or is_implied(given, wanted):
                return name
    return None


def is_same(given: pd.Series[str], wanted: pd.Series[str]) -> bool:
    """Whether two columns hold the same texts far more often than by chance."""
    if wanted.nunique() < 2 or len(wanted) < MIN_IDS:
        return False
    base = float(wanted.value_counts(normalize=True).iloc[0])
    return float((given == wanted).mean()) > base + SAME_LABELS * (1 - base) - 1e-9


def is_implied(given: pd.Series[str], wanted: pd.Series[str]) -> bool:
    """Whether every class has its own texts in the other column, which are few: codes, names."""
    n_given, n_wanted = given.nunique(), wanted.nunique()
    if not 2 <= n_wanted <= len(wanted) / 3 or not 2 <= n_given <= max(20, 2 * n_wanted):
        return False
    base = float(wanted.value_counts(normalize=True).iloc[0])
    counts = pd.crosstab(given.to_numpy(), wanted.to_numpy())
    purity = float(counts.max(axis=1).sum() / len(wanted))
    return purity > base + 0.97 * (1 - base)


def find_in_order(columns: dict[str, pd.Series[str]], truth: LabelTruth) -> str | None:
    """Return a column that holds a target's labels, row by row."""
    for name, values in columns.items():
        places = values.index.intersection(truth.ids.index)
        for labels in truth.labels.values():
            if is_same(values.loc[places], labels.loc[places]):
                return name
    return None


def find_by_features(columns: dict[str, pd.Series[str]], truth: LabelTruth) -> str | None:
    """Return a target that stands beside features which only its training rows have."""
    for target, labels in truth.labels.items():
        if target not in columns:
            continue
        shared = [str(name) for name in truth.train.columns if str(name) in columns]
        shared = [name for name in shared if name not in truth.labels][:12]
        if len(shared) < 2:
            continue
        own = pd.DataFrame({n: truth.train[n].astype(object).map(plain_text) for n in shared})
        keys = own.reset_index(drop=True).agg("\x00".join, axis=1)
        given = pd.DataFrame({n: columns[n] for n in shared}).agg("\x00".join, axis=1)
        known = pd.Series(labels.to_numpy(), index=keys)
        known = known[~known.index.duplicated(keep=False)]
        wanted = given.map(known)
        found = wanted.notna()
        if found.sum() >= MIN_IDS and is_same(columns[target][found], wanted[found]):
            return target
    return None


# what is no table


def inspect_bytes(path: Path, truth: LabelTruth) -> Finding:
    """Look for ids and labels in the lines of a text, and for ids alone in other bytes."""
    ids = sample_ids(truth.ids)
    size = path.stat().st_size
    if not ids or not size:
        return Finding()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        places = {row: data.find(key.encode()) for row, key in ids.items()}
        found = {row: place for row, place in places.items() if place >= 0}
        if len(found) < max(3, 0.1 * len(ids)):
            return Finding()
        is_binary = b"\0" in data[:4096]
        lines = {row: line_around(data, place) for row, place in found.items()}
    n_named = int(len(found) / len(ids) * len(truth.ids))
    if is_binary:
        return Finding("it names training rows in a form that cannot be read", n_named)
    for labels in truth.labels.values():
        if lines_tell(lines, labels):
            return Finding("its lines hold ids of training rows with their labels", n_named)
    return Finding("", n_named)


def sample_ids(ids: pd.Series[str]) -> dict[int, str]:
    """Return ids to look for by their rows: those that no other text holds by chance."""
    long = ids[ids.str.len() >= MIN_ID_CHARS]
    return dict(long.sample(min(N_SAMPLED, len(long)), random_state=0).items())  # type: ignore[arg-type]


def line_around(data: mmap.mmap, place: int) -> str:
    """Return the line at a place, at most 2,000 bytes of it."""
    begin = max(data.rfind(b"\n", max(0, place - 1000), place) + 1, place - 1000, 0)
    end = data.find(b"\n", place, place + 1000)
    return data[begin : end if end >= 0 else place + 1000].decode("utf-8", "replace")


def lines_tell(lines: dict[int, str], labels: pd.Series[str]) -> bool:
    """Whether lines hold the labels of their own rows, and not as often those of others."""
    rows = list(lines)
    if len(rows) < MIN_IDS or labels.nunique() < 2:
        return False
    own = [holds_word(lines[row], labels[row]) for row in rows]
    others = [holds_word(lines[row], labels[rows[i - 1]]) for i, row in enumerate(rows)]
    return float(np.mean(own)) >= SAME_LABELS and np.mean(others) < 0.5 + 0.5 * np.mean(
        [labels[row] == labels[rows[i - 1]] for i, row in enumerate(rows)]
    )


def holds_word(text: str, word: str) -> bool:
    """Whether a text holds a word, not as a part of another."""
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
