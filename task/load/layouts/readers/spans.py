"""Answers as spans of words in a text, a long and a short one: JSON lines with `annotations`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from task.load.form import label_text
from task.load.layouts.readers.tables import make_rows_of_sample
from task.load.layouts.scene import LayoutTables, Scene, free_name, says_test, split_sample
from task.load.tables import Table
from task.types import TaskError

MARK = "_"
KINDS = {"long", "short"}
LABEL_KEY, KIND = "annotations", "answer"
LINE_ENDINGS = (".jsonl", ".ndjson", ".json")
MAX_TEXT_BYTES = 2**30
"""Files beyond it are read without their long texts, which would not fit into memory twice."""
MAX_CELL_CHARS = 5_000
Record = dict[str, Any]


def read_spans(scene: Scene) -> LayoutTables | None:
    """Read a long and a short answer per record; None where the sample asks for no such."""
    if scene.sample is None or scene.sample_path is None:
        return None
    columns = split_sample(scene.sample.frame, None)
    if len(columns.ids) != 1 or len(columns.predicted) != 1:
        return None
    pieces = [text.rpartition(MARK) for text in scene.sample.frame[columns.ids[0]].map(label_text)]
    if {piece[2] for piece in pieces} != KINDS:
        return None
    paths = [p for p in scene.inventory.tables if p.name.lower().endswith(LINE_ENDINGS)]
    labelled = [path for path in paths if not says_test(path) and has_spans(first_record(path))]
    asked = {piece[0] for piece in pieces}
    for path in filter(says_test, paths):
        if len(labelled) == 1 and (name := find_key(path, asked)):
            return tables_of_spans(scene, labelled[0], path, name)
    return None


def read_lines(path: Path) -> Iterator[Record]:
    """Yield the objects of a file of JSON lines. Raises TaskError for another line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise TaskError(f"{path}: line {number} is no JSON object ({error})") from error
            if not isinstance(record, dict):
                raise TaskError(f"{path}: line {number} is no JSON object; write one a line")
            yield record


def first_record(path: Path) -> Record:
    """Return the first object of a file; empty for a file of another kind."""
    try:
        return next(read_lines(path), {})
    except (TaskError, OSError):
        return {}


def has_spans(record: Record) -> bool:
    """Whether a record has annotations with a long and short answers."""
    notes = record.get(LABEL_KEY)
    first = notes[0] if isinstance(notes, list) and notes else None
    return isinstance(first, dict) and {"long_answer", "short_answers"} <= set(first)


def find_key(path: Path, asked: set[str]) -> str | None:
    """Return the key of test records whose values begin the sample's ids."""
    names = [name for name, value in first_record(path).items() if label_text(value) in asked]
    for name in names:
        if {label_text(record.get(name)) for record in read_lines(path)} == asked:
            return name
    return None


def write_span(answer: object) -> str:
    """Return an answer as `first word:one past the last`; empty where there is none."""
    if not isinstance(answer, dict):
        return ""
    start, end = answer.get("start_token", -1), answer.get("end_token", -1)
    is_span = isinstance(start, int) and isinstance(end, int) and 0 <= start < end
    return f"{start}:{end}" if is_span else ""


def write_answers(record: Record) -> dict[str, str]:
    """Return the long and the short answer of a record; of several short ones the first."""
    notes = record.get(LABEL_KEY) or [{}]
    note = notes[0] if isinstance(notes[0], dict) else {}
    word = str(note.get("yes_no_answer", "NONE"))
    short = [write_span(answer) for answer in note.get("short_answers") or []]
    said = word if word in ("YES", "NO") else next(filter(None, short), "")
    return {"long": write_span(note.get("long_answer")), "short": said}


def tables_of_spans(scene: Scene, path: Path, test_path: Path, name: str) -> LayoutTables:
    """Return two rows per record, with the texts that both parts have."""
    assert scene.sample is not None and scene.sample_path is not None
    columns = split_sample(scene.sample.frame, None)
    [key], [target] = columns.ids, columns.predicted
    row, answer_kind = free_name(name if name != key else "record", key), free_name(KIND, key, name)
    is_long = max(path.stat().st_size, test_path.stat().st_size) > MAX_TEXT_BYTES
    shared = [
        k for k in first_record(test_path) if k in first_record(path) and k not in (name, target)
    ]
    rows, n_several, n_cut = [], 0, 0
    for record in read_lines(path):
        notes = record.get(LABEL_KEY) or [{}]
        n_several += len(notes[0].get("short_answers") or []) > 1
        features = {k: write_cell(record.get(k), is_long) for k in shared}
        n_cut += is_long and None in features.values()
        text = label_text(record.get(name))
        for kind, answer in write_answers(record).items():
            rows.append(
                features | {key: text + MARK + kind, row: text, answer_kind: kind, target: answer}
            )
    known = {
        label_text(record.get(name)): {k: write_cell(record.get(k), is_long) for k in shared}
        for record in read_lines(test_path)
    }
    test, more = make_rows_of_sample(scene, columns)
    pieces = [text.rpartition(MARK) for text in test[key].map(label_text)]
    facts = pd.DataFrame([known[p[0]] | {row: p[0], answer_kind: p[2]} for p in pieces])
    test = pd.concat([test.reset_index(drop=True), facts], axis=1)
    said = [
        f"labels: a long and a short answer for each record of {scene.name_path(path)}, as "
        "start:end of its words, YES or NO, empty where there is none",
        f"{more}, with the records of {scene.name_path(test_path)}",
    ]
    if n_several:
        said.append(f"{n_several} records have several short answers: the first is the label")
    if n_cut:
        said.append(f"texts above {MAX_CELL_CHARS} characters are left out: the files are large")
    return LayoutTables(
        train=Table(pd.DataFrame(rows), []),
        test=Table(test, []),
        labels=path,
        rows=test_path,
        sample=scene.sample_path,
        id=key,
        sample_id=key,
        target=[target],
        readings=said,
        label_sources=[path],
        group=row,
    )


def write_cell(value: object, is_long: bool) -> object:
    """Return a cell of a table: lists as JSON text, without long texts where files are large."""
    if isinstance(value, (list, dict)):
        value = json.dumps(value)
    return None if is_long and isinstance(value, str) and len(value) > MAX_CELL_CHARS else value
