"""Columns of the training table that its ids are put together of: the test ids tell them too."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from task.load.form import label_text

MARKS = ("_", "-", "/", ":", "|")
N_TRIED = 20
MAX_PARTS, MAX_COLUMNS = 6, 40


class IdParts(NamedTuple):
    """Columns that an id is put together of, in order, and the mark between them."""

    names: list[str]
    mark: str
    wide: int  # the one part whose texts may have the mark in them


def add_id_parts(
    train: pd.DataFrame, test: pd.DataFrame, key: str
) -> tuple[pd.DataFrame, list[str], str]:
    """Return the rows to predict with what their ids say, the columns, and a sentence.

    The columns are those of `train` that its ids are put together of; none where they are not.
    """
    parts = find_id_parts(train, key) if key in train else None
    if parts is None:
        return test, [], ""
    pieces = [split_id(text, parts) for text in test[key].map(label_text)]
    found = [piece for piece in pieces if piece]
    if len(found) < len(pieces):
        return test, [], ""
    fresh = [name for name in parts.names if name not in test]
    values = dict(zip(parts.names, zip(*found, strict=True), strict=True))
    told = f"{key!r} is {parts.mark.join(parts.names)}: {', '.join(fresh)} of test are read from it"
    return test.assign(**{name: list(values[name]) for name in fresh}), parts.names, told


def find_id_parts(train: pd.DataFrame, key: str) -> IdParts | None:
    """Find the columns of a table that its ids are put together of."""
    names = [str(name) for name in train.columns if name != key and train[name].notna().all()]
    names = [name for name in names if not isinstance(train[name].iloc[0], (list, dict))]
    head = train.head(N_TRIED)
    ids = list(head[key].map(label_text))
    texts = {name: list(head[name].map(label_text)) for name in names[:MAX_COLUMNS]}
    for mark in MARKS:
        chosen = match_parts(ids, texts, mark, [])
        if len(chosen) < 2:
            continue
        columns = [train[name].map(label_text) for name in chosen]
        joined = columns[0]
        for column in columns[1:]:
            joined = joined + mark + column
        if not (joined == train[key].map(label_text)).all():
            continue
        marked = [any(mark in text for text in column) for column in columns]
        if sum(marked) <= 1:
            return IdParts(chosen, mark, marked.index(True) if any(marked) else 0)
    return None


def match_parts(
    rest: list[str], texts: dict[str, list[str]], mark: str, chosen: list[str]
) -> list[str]:
    """Return the columns that the rests of ids are made of from here on; empty for none."""
    if len(chosen) == MAX_PARTS:
        return []
    for name, values in texts.items():
        if name in chosen:
            continue
        if values == rest:
            return [*chosen, name]
        if all(text.startswith(value + mark) for text, value in zip(rest, values, strict=True)):
            left = [t[len(v) + len(mark) :] for t, v in zip(rest, values, strict=True)]
            if found := match_parts(left, texts, mark, [*chosen, name]):
                return found
    return []


def split_id(text: str, parts: IdParts) -> list[str] | None:
    """Return the parts of an id; None where it has fewer."""
    pieces, n = text.split(parts.mark), len(parts.names)
    if len(pieces) < n:
        return None
    after = n - parts.wide - 1
    middle = parts.mark.join(pieces[parts.wide : len(pieces) - after])
    return [*pieces[: parts.wide], middle, *pieces[len(pieces) - after :]]
