"""Files of held-back training rows: under names like those of the test rows, where these lie.

Where that cannot be done so that nothing tells them apart, no rows are held back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from task.data.copies import holds_word, inspect_copies, label_truth
from task.data.media.index import MountedFile, RowFile
from task.data.media.names import imitate_ids, look_alike
from task.data.media.place import NO_LINKS, FileNamesPlan, can_link
from task.data.media.rows import MediaRows
from task.types import Task

MAX_SHARE_GAP = 0.1  # between the shares of train's and test's rows that have files
MAX_LOOSE_BYTES = 0.2  # of a part's bytes, in files that belong to no row
N_PROBED = 60
TEXT_FILES = (".csv", ".json", ".txt", ".xml", ".tsv", ".jsonl", ".html", ".md", ".svg")
ROLE_WORDS = re.compile(r"train(ing)?|valid(ation)?|test(ing)?|labell?ed|eval", re.IGNORECASE)
MAX_PROBED_BYTES = 2**20
ID_PIECE = re.compile(r"[0-9a-f]{6,}|\d+", re.IGNORECASE)
Slot = tuple[str, ...]


def find_obstacle(
    media: MediaRows, task: Task, train: pd.DataFrame, test: pd.DataFrame, id_column: str, at: Path
) -> str:
    """Say why held-back rows could be told from test rows by their files; empty: they cannot."""
    if not media.opened.sources and not media.opened.closed:
        return ""  # no side files of rows
    if not media.has_files:
        return explain_bulk(media)
    columns = {match.column for match in (*media.train, *media.test)}
    by_folder = any(item.is_folder for match in media.train for item in match.files[:1])
    if len(columns) > 1 or (by_folder and columns != {id_column}):
        return f"their files are named by {', '.join(sorted(columns))} and not by the id alone"
    gap = abs(media.train[0].share - media.test[0].share) if media.train and media.test else 1.0
    if gap > MAX_SHARE_GAP:
        return "the shares of training and test rows that have files differ"
    owned = media.owned_files(train[id_column].astype(str), "train")
    return (
        explain_owned(media, test[id_column].astype(str))
        or explain_loose(media, owned)
        or explain_unread(media)
        or explain_named(media, task, train, test, id_column)
        or explain_labelled_files(media, task, train)
        or ("" if can_link(media, at) else NO_LINKS)
    )


def explain_bulk(media: MediaRows) -> str:
    """Say that rows stand in files of many rows, which cannot be taken apart."""
    for source in media.opened.sources:
        if any(file.role == "train" for file in source.files):
            return f"input/{source.name}/ holds data of training rows that cannot be told apart"
    return explain_unread(media)


def explain_owned(media: MediaRows, test_ids: pd.Series[str]) -> str:
    """Say which files test rows have beside the one of their name: held-back rows lack them."""
    for name in media.owned_files(test_ids, "test"):
        return f"files such as {name[:80]!r} belong to the rows that their names begin with"
    return ""


def explain_loose(media: MediaRows, owned: Collection[str]) -> str:
    """Say which part of the training files belongs to no row; `owned`: files that do."""
    loose = sum(
        file.n_bytes
        for file in media.loose_files()
        if file.role == "train" and file.name not in owned
    )
    total = sum(file.n_bytes for file in media.opened.files if file.role == "train")
    return "many training files belong to no row" if loose > MAX_LOOSE_BYTES * total else ""


def explain_unread(media: MediaRows) -> str:
    """Say which file cannot be looked through."""
    for path, why in media.unread.items():
        return f"{Path(path).name}: {why}"
    return ""


def explain_named(
    media: MediaRows, task: Task, train: pd.DataFrame, test: pd.DataFrame, id_column: str
) -> str:
    """Say which other file names training rows and not as often test rows."""
    kept = {path: n for path, n in media.named.items() if path not in media.left_out}
    if not kept:
        return ""
    keeps_ids = look_alike(list(train[id_column].astype(str)), list(test[id_column].astype(str)))
    unlabelled = label_truth(test, id_column, [])
    for path, n_named in kept.items():
        n_test = inspect_copies(Path(path), unlabelled).n_named
        gap = abs(n_named / len(train) - n_test / max(1, len(test)))
        if gap > MAX_SHARE_GAP or not keeps_ids:
            return f"{Path(path).name} names the training rows"
    return ""


def explain_labelled_files(media: MediaRows, task: Task, train: pd.DataFrame) -> str:
    """Say that the rows' own files hold their labels, by a look at some texts."""
    labels = train[task.target[0]].astype(str)
    rng = np.random.default_rng(0)
    slots: dict[str, list[RowFile]] = {}
    for match in media.train:
        for item in match.files:
            if item.file.name.lower().endswith(TEXT_FILES):
                slots.setdefault(PurePosixPath(item.file.name).suffix, []).append(item)
    for items in slots.values():
        chosen = [items[int(i)] for i in rng.permutation(len(items))[:N_PROBED]]
        texts = [probe_text(item.file) for item in chosen]
        own = [labels.iloc[item.row] for item in chosen]
        others = own[1:] + own[:1]
        hits = np.mean([holds_word(text, word) for text, word in zip(texts, own, strict=True)])
        chance = np.mean([holds_word(text, word) for text, word in zip(texts, others, strict=True)])
        if hits > 0.5 and hits > chance + 0.5 * (1 - chance):
            return f"files such as {chosen[0].file.name[:80]!r} hold the labels of their rows"
    return ""


def probe_text(file: MountedFile) -> str:
    """Return the beginning of a text file."""
    try:
        with Path(file.path).open("rb") as opened:
            return opened.read(MAX_PROBED_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def choose_ids(
    own: Sequence[str], test: Sequence[str], known: Sequence[str], seed: int
) -> list[str] | None:
    """Return ids for held-back rows that look like test ids: their own, or drawn ones, or None."""
    if not set(own) & set(test) and look_alike(own, test):
        return list(own)
    return imitate_ids(test, len(own), known, np.random.default_rng(seed + 17))


def plan_held_back(
    media: MediaRows,
    plan: FileNamesPlan,
    hidden: pd.DataFrame,
    test: pd.DataFrame,
    id_column: str,
    new_ids: Sequence[str],
    train_kinds: set[Slot],
    seed: int,
) -> tuple[list[tuple[str, str, str]], str]:
    """Plan names for the files of held-back rows, as the test rows' files have them.

    `train_kinds`: of files that no test row has. Returns the rows of the index (id, part, path),
    or why it cannot be done.
    """
    rng = np.random.default_rng(seed + 5)
    test_ids = test[id_column].astype(str)
    models: dict[Slot, list[RowFile]] = {}
    for match in media.test:
        for item in match.files:
            models.setdefault(name_slot(item, test_ids.iloc[item.row]), []).append(item)
    coarse: dict[Slot, list[Slot]] = {}
    for kind in models:
        coarse.setdefault((kind[0], kind[-1]), []).append(kind)
    ids = dict(
        zip(hidden.index, zip(hidden[id_column].astype(str), new_ids, strict=True), strict=True)
    )
    records = []
    items = [item for match in media.train for item in match.files if item.row in ids]
    plan.moved_out |= {item.file.name for item in items}
    plan.moved_out |= set(media.owned_files(hidden[id_column].astype(str), "train"))
    taken = {file.name for file in media.opened.files} - plan.moved_out
    shared = {item.file.name for m in media.train for item in m.files if item.row not in ids}
    slots = [name_slot(item, ids[item.row][0]) for item in items]
    exact = {item.row for item, slot in zip(items, slots, strict=True) if slot in models}
    for item, own_slot in zip(items, slots, strict=True):
        own, new = ids[item.row]
        if item.file.name in shared:
            return [], "rows share files"
        near = {} if item.row in exact else coarse
        slot = find_slot(own_slot, models, near)
        if slot is None or name_inner_kind(item, own) in train_kinds:
            continue  # a file that test rows do not have, such as a mask
        model = models[slot][int(rng.integers(len(models[slot])))]
        name = name_like(model, test_ids.iloc[model.row], item, own, new)
        if name is None or name in taken:
            return [], "their files cannot be named as those of test rows are"
        taken.add(name)
        plan.moved_in[name] = item.file
        records.append((new, "test", name))
    lacking = 1 - len({record[0] for record in records}) / max(1, len(hidden))
    if lacking > MAX_SHARE_GAP + 1 - media.test[0].share:
        return [], "test rows have files of kinds that training rows lack"
    return records, ""


def list_train_kinds(media: MediaRows, train: pd.Series[str], test: pd.Series[str]) -> set[Slot]:
    """List the kinds of files in the rows' folders that no test row has, such as `mask.png`.

    A name that one row alone has is no kind where test rows have such files in such a folder.
    `train`, `test`: the rows' ids.
    """
    rows: dict[Slot, set[int]] = {}
    for match in media.train:
        for item in match.files:
            kind = name_inner_kind(item, train.iloc[item.row])
            rows.setdefault(kind, set()).add(item.row)
    of_test = {
        name_inner_kind(item, test.iloc[item.row]) for match in media.test for item in match.files
    }
    folders = {(*kind[:-2], kind[-1]) for kind in of_test if kind}
    lacking = {kind for kind in rows if kind and kind not in of_test}
    return {
        kind for kind in lacking if len(rows[kind]) > 1 or (*kind[:-2], kind[-1]) not in folders
    }


def name_inner_kind(item: RowFile, key: str) -> Slot:
    """Return folders, stem and ending of a file in its row's folder, without numbers; or ()."""
    if not item.is_folder:
        return ()
    inner = inner_name(item.file.name, PurePosixPath(key).stem)
    path = PurePosixPath(inner or PurePosixPath(item.file.name).name)
    return (*(ID_PIECE.sub("#", part) for part in (*path.parts[:-1], path.stem)), path.suffix)


def find_slot(
    slot: Slot, models: dict[Slot, list[RowFile]], coarse: dict[Slot, list[Slot]]
) -> Slot | None:
    """Return the test rows' slot that is like one of train: equal, or the only one of its kind."""
    if slot in models:
        return slot
    near = coarse.get((slot[0], slot[-1]), [])
    return near[0] if len(near) == 1 else None


def name_slot(item: RowFile, key: str) -> Slot:
    """Return what is common to the files of a kind: folders without ids and words of roles."""
    path = PurePosixPath(item.file.name)
    folders, offset, key = [], 0, PurePosixPath(key).stem
    for depth, part in enumerate(path.parts[:-1]):
        if part == key:
            folders.append("{id}")
            break
        if depth and key.startswith(part, offset):
            folders.append("{piece}")
            offset += len(part)
        else:
            folders.append("#" if part.isdigit() else ROLE_WORDS.sub("*", part))
    return (*folders, path.suffix.lower()) if folders else ("", path.suffix.lower())


def name_like(model: RowFile, model_id: str, item: RowFile, own: str, new: str) -> str | None:
    """Return a name for a held-back row's file after the model of a test row's file."""
    old_stem, new_stem = PurePosixPath(model_id).stem, PurePosixPath(new).stem
    parts, offset = list(PurePosixPath(model.file.name).parts), 0
    for depth in range(1, len(parts) - 1):
        part = parts[depth]
        if part == old_stem:
            inner = inner_name(item.file.name, PurePosixPath(own).stem)
            return None if inner is None else "/".join([*parts[:depth], new_stem, inner])
        if old_stem.startswith(part, offset):
            parts[depth] = new_stem[offset : offset + len(part)]
            offset += len(part)
    last = PurePosixPath(parts[-1])
    numbered = replace_number(last.stem, old_stem, new_stem)
    if numbered:
        parts[-1] = numbered + PurePosixPath(item.file.name).suffix
    elif old_stem and old_stem in last.name:
        ending = PurePosixPath(item.file.name).suffix
        parts[-1] = last.name.replace(old_stem, new_stem, 1).removesuffix(last.suffix) + ending
    else:
        return None
    return "/".join(parts)


def replace_number(text: str, old: str, new: str) -> str:
    """Return a text with a number replaced, led by as many zeros; empty where it has none."""
    if not (old.isdigit() and new.isdigit()):
        return ""
    for run in re.finditer(r"\d+", text):
        if int(run[0]) == int(old):
            is_padded = run[0][0] == "0" and len(run[0]) > 1
            number = str(int(new)).zfill(len(run[0])) if is_padded else new
            return text[: run.start()] + number + text[run.end() :]
    return ""


def inner_name(name: str, key: str) -> str | None:
    """Return what follows the folder of a row in the name of one of its files."""
    parts = name.split("/")
    return "/".join(parts[parts.index(key) + 1 :]) if key in parts[:-1] else None
