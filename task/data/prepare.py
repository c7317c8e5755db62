"""Prepare a task for a run: a public folder for scripts, and a private one for the harness."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from task.data import splits
from task.data.media.side_files import SideFiles, empty_like
from task.data.public_tables import keeps_spelling, spell_texts, write_public_table
from task.data.twins import describe_twins, twin_groups
from task.grade.frames.answers import make_answers
from task.grade.metrics import task_metric
from task.grade.soft.rules import make_soft_form
from task.load.form import class_labels, label_text, make_form
from task.load.layouts.inventory import walk_names
from task.load.number_columns import DECIMAL_COMMA
from task.load.rows import TaskRows, read_rows
from task.load.tables import Table, read_table
from task.types import CLASS_KINDS, Prepared, Split, SubmissionForm, Task

MIN_AUDITED_ROWS = 2000  # with fewer training rows there is no audit: every row is needed
AUDIT_SHARE = 0.1
MAX_AUDIT_ROWS = 10_000
MIN_GROUPS = 3  # with fewer groups of held-back rows there is no audit
LONG_ROWS = 1_000_000  # of a table of which no copy is held
ANSWERS = "answers.parquet"  # all columns of the labelled rows, for metrics over tables
LABEL_PREFIX = "="  # of the target columns in labels.parquet, beside _id, _fold and _twin
Array = NDArray[Any]


class PublicRows(NamedTuple):
    """The rows as scripts see them: ids and labels in a spelling that plain pandas keeps."""

    train: pd.DataFrame
    test: pd.DataFrame
    id: str
    has_made_ids: bool
    form: SubmissionForm
    written_ids: dict[str, str]  # id that scripts see -> as the task writes it, where they differ
    columns: list[dict[str, str]]
    repairs: list[str]


def prepare_task(
    task: Task,
    public: str,
    private: str,
    *,
    seed: int,
    audit: bool,
    n_folds: int | None = None,
    read: TaskRows | None = None,
    soft: bool = False,
) -> Prepared:
    """Write both folders. The same task and seed give the same bytes. Raises TaskError.

    Args:
        task: the task.
        public: folder that scripts see.
        private: folder of the harness.
        seed: of folds and audit rows.
        audit: hold rows back where there are enough.
        n_folds: of the cross-validation; None: as the task says.
        read: the task's rows, where they are read already.
        soft: scripts may write probabilities or values where the metric wants labels.
    """
    rows = read_public_rows(task, read)
    side = SideFiles.read(task, rows.train, rows.test, rows.id, Path(public), seed)
    train, test, id_column = side.train, rows.test, rows.id
    task = task.model_copy(update={"split": resolve_split(task, train, test, n_folds)})
    twins = twin_groups(train, test, [id_column, *task.target])
    side.notes += describe_twins(twins)
    together = side.group_rows(twins)
    is_audit = np.zeros(len(train), dtype=bool)
    if audit and len(train) >= MIN_AUDITED_ROWS and side.may_hold_back(task):
        is_audit = hold_rows_back(side, train, task, seed, together)
    hidden = side.name_held_back(train[is_audit])
    rows = rows._replace(train=empty_like(rows.train))  # a long table is held once
    side.forget_rows()
    visible = take_rows(train, ~is_audit) if is_audit.any() else train
    train = rows.train
    pa.default_memory_pool().release_unused()
    visible_twins = None if twins is None else twins[~is_audit]
    visible_sets = None if together is None else together[~is_audit]
    folds = splits.assign_folds(
        visible, task.split, task.kind, task.target, id_column, seed, together=visible_sets
    )
    public_test, audit_ids = mix_audit_into_test(hidden, test, task, rows, seed, side.held_ids)
    write_public_folder(Path(public), task, visible, public_test, folds, rows.form)
    inputs = side.mount(~is_audit)
    secret = Path(private)
    secret.mkdir(parents=True, exist_ok=True)
    hidden = hidden.assign(**{id_column: audit_ids})
    write_labels(secret, visible, hidden, [id_column, *task.target], folds, visible_twins)
    if task_metric(task).frame is not None:
        rows_of_labels = pd.concat([visible, hidden], ignore_index=True)
        make_answers(rows_of_labels, rows.form).to_parquet(secret / ANSWERS, index=False)
    n_train, n_audit = len(visible), len(hidden)
    soft_form = make_soft_form(task, task_metric(task), rows.form, visible) if soft else None
    del visible, hidden
    pa.default_memory_pool().release_unused()
    meta = {
        "labels": rows.form.labels,
        "test_ids": list(test[id_column]),
        "written_ids": rows.written_ids,
        "id_from_rows": task.id is None,
    }
    (secret / "meta.json").write_text(json.dumps(meta))
    return Prepared(
        task=task,
        public=public,
        private=private,
        inputs=list_inputs(Path(public), inputs),
        id=id_column,
        columns=rows.form.names,
        n_train=n_train,
        n_test=len(public_test),
        n_audit=n_audit,
        seed=seed,
        data_hash=data_fingerprint(task),
        form=rows.form,
        soft=soft_form,
        read=rows.columns,
        repairs=list(dict.fromkeys([*task.repairs, *rows.repairs, *side.notes])),
    )


def take_rows(frame: pd.DataFrame, is_taken: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the rows that a mask takes; those of a long table leave it column by column."""
    if len(frame) < LONG_ROWS:
        return frame[is_taken].reset_index(drop=True)
    frame = frame.copy(deep=False)
    arrays = {name: frame.pop(name).array[is_taken] for name in list(frame.columns)}
    return pd.DataFrame(arrays, copy=False)


def prepare_refit(prepared: Prepared, public: str) -> Prepared:
    """Prepare the final fit: every labelled row in train, and no audit rows in test."""
    task = prepared.task
    rows = read_public_rows(with_known_positive(prepared))
    side = SideFiles.read(task, rows.train, rows.test, rows.id, Path(public), prepared.seed)
    train, test = side.train, rows.test
    together = side.group_rows(twin_groups(train, test, [prepared.id, *task.target]))
    folds = splits.assign_folds(
        train, task.split, task.kind, task.target, prepared.id, prepared.seed, together=together
    )
    write_public_folder(Path(public), task, train, test, folds, rows.form)
    changes = {
        "public": public,
        "inputs": list_inputs(Path(public), side.mount()),
        "n_train": len(train),
        "n_test": len(test),
        "n_audit": 0,
    }
    return prepared.model_copy(update=changes)


def with_known_positive(prepared: Prepared) -> Task:
    """Return the task with the positive class that its run uses, in runs of any version."""
    task = prepared.task
    if task.kind != "binary" or task.positive or prepared.form is not None:
        return task
    labels = json.loads((Path(prepared.private) / "meta.json").read_text())["labels"]
    return task.model_copy(update={"positive": labels[-1]})


def read_public_rows(task: Task, read: TaskRows | None = None) -> PublicRows:
    """Read train and test, spell ids and labels for scripts, and derive the submission's form."""
    rows = read or read_rows(task)
    sample = read_table(Path(task.sample_submission)) if task.sample_submission else None
    form = make_form(task, rows.train, sample.frame if sample else None, rows.id)
    if sample:
        form = write_as_sample(form, sample, rows.has_decimal_commas)
    train, test = rows.train.copy(deep=False), rows.test.copy(deep=False)
    spelled: dict[str, str] = {}
    if not keeps_spelling(train[rows.id], test[rows.id]):
        spelled = spell_texts([*train[rows.id], *test[rows.id]])
        train[rows.id], test[rows.id] = train[rows.id].map(spelled), test[rows.id].map(spelled)
    repairs = describe_spelling(spelled, "ids")
    if task.kind in CLASS_KINDS:
        target = task.target[0]
        labels = spell_texts(list(dict.fromkeys([*class_labels(train[target]), *form.labels])))
        train[target] = train[target].map(labels)
        form = spell_form(form, labels)
        repairs += describe_spelling(labels, "labels")
    written = {text: key for key, text in spelled.items() if text != key}
    return PublicRows(train, test, rows.id, rows.has_made_ids, form, written, rows.columns, repairs)


def write_as_sample(form: SubmissionForm, sample: Table, has_commas: bool) -> SubmissionForm:
    """Return the form with the separator and the decimal mark that the sample has.

    `has_commas`: whether the other tables write 3,14, for a sample without such a number.
    """
    if sample.separator == ",":
        return form
    names = [column.name for column in form.columns]
    cells = [str(cell) for name in names for cell in sample.frame[name].dropna().unique()[:1000]]
    is_comma = has_commas and not any("." in cell for cell in cells)
    is_comma = is_comma or any(map(DECIMAL_COMMA.match, cells))
    decimal = "," if is_comma else "."
    return form.model_copy(update={"separator": sample.separator, "decimal": decimal})


def describe_spelling(spelled: dict[str, str], what: str) -> list[str]:
    """Say which texts scripts see in another spelling."""
    changed = {written: text for written, text in spelled.items() if written != text}
    if not changed:
        return []
    written, text = next(iter(changed.items()))
    return [
        f"{len(changed)} {what} read as something else in Python (e.g. {written!r}): scripts see "
        f"{text!r}; what is handed over has {written!r}"
    ]


def spell_form(form: SubmissionForm, labels: dict[str, str]) -> SubmissionForm:
    """Return the form with the labels that scripts see; `spelling` leads back."""
    final = {text: form.spelling.get(written, written) for written, text in labels.items()}
    columns = [
        column.model_copy(update={"label": labels.get(column.label, column.label)})
        for column in form.columns
    ]
    changes = {
        "columns": columns,
        "labels": [labels[label] for label in form.labels],
        "positive": labels.get(form.positive, form.positive),
        "spelling": {text: written for text, written in final.items() if text != written},
    }
    return form.model_copy(update=changes)


def resolve_split(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, n_folds: int | None
) -> Split:
    """Return the task's split, with `auto` decided from the data."""
    split = task.split if n_folds is None else task.split.model_copy(update={"n_folds": n_folds})
    if split.kind != "auto":
        if task.kind in CLASS_KINDS and split.kind in ("stratified", "random"):
            usable = splits.usable_folds(train[task.target[0]], split.n_folds)
            return split.model_copy(update={"n_folds": usable})
        return split
    return splits.decide_split(train, test, task.kind, task.target, task.id, split.n_folds)[0]


def choose_audit_rows(
    train: pd.DataFrame, task: Task, seed: int, twins: Array | None = None
) -> NDArray[np.bool_]:
    """Choose the training rows to hold back, as a mask.

    They are the last ones in time, whole groups (or sets of twins), or a stratified draw.
    """
    n = min(MAX_AUDIT_ROWS, int(len(train) * AUDIT_SHARE))
    rng = np.random.default_rng(seed + 7919)
    mask = np.zeros(len(train), dtype=bool)
    split = task.split
    if split.kind == "time":
        order = splits.time_blocks(splits.time_values(train, str(split.column)), len(train) - 1)
        mask[np.argsort(order, kind="stable")[-n:]] = True
        return mask
    if split.kind == "group" or twins is not None:
        groups = splits.group_labels(train, split, twins)
        shuffled = rng.permutation(groups.unique())
        sizes = groups.value_counts()[shuffled].cumsum()
        n_groups = max(1, int((sizes <= n).sum()))
        return np.asarray(groups.isin(shuffled[:n_groups]))
    strata = splits.strata_codes(train, task.kind, task.target)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        n_rows = int(round(len(rows) * n / len(train)))
        mask[rng.choice(rows, n_rows, replace=False)] = True
    return mask


def hold_rows_back(
    side: SideFiles, train: pd.DataFrame, task: Task, seed: int, together: Array | None
) -> NDArray[np.bool_]:
    """Choose the rows to hold back and name their files; none where they could tell nothing."""
    mask = choose_audit_rows(train, task, seed, together)
    if has_few_groups(train[mask], task.split):
        side.refuse_audit(
            f"a tenth of the rows has fewer than {MIN_GROUPS} whole groups of "
            f"{task.split.column!r}, whose luck cannot be told from a leak"
        )
        return np.zeros_like(mask)
    return mask & side.hold_back(train[mask])


def has_few_groups(held: pd.DataFrame, split: Split) -> bool:
    """Whether these rows are whole groups, and too few of them to tell anything."""
    return split.kind == "group" and held[str(split.column)].nunique() < MIN_GROUPS


def mix_audit_into_test(
    audit: pd.DataFrame,
    test: pd.DataFrame,
    task: Task,
    public: PublicRows,
    seed: int,
    held_ids: list[str],
) -> tuple[pd.DataFrame, list[Any]]:
    """Return test with the unlabelled audit rows mixed in, and the ids that these have there.

    `held_ids`: their ids, where their files have names after them.
    """
    if audit.empty:
        return test, []
    id_column = public.id
    rows = imitate_test_columns(audit.drop(columns=task.target), test, seed)
    ids = held_ids or list(rows[id_column])
    if not held_ids and (set(test[id_column]) & set(ids) or public.has_made_ids):
        ids = draw_new_ids(test[id_column], len(rows), seed)
    rows = rows.assign(**{id_column: ids})
    if task.split.kind == "time":
        return pd.concat([rows, test], ignore_index=True)[list(test.columns)], ids
    mixture = pd.concat([test, rows], ignore_index=True)[list(test.columns)]
    return mixture.sample(frac=1, random_state=seed).reset_index(drop=True), ids


def imitate_test_columns(rows: pd.DataFrame, test: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Make columns that are empty or constant in test the same in the audit rows.

    Such a column would tell the audit rows apart.
    """
    rng, changes = np.random.default_rng(seed + 11), {}
    for name in rows.columns.intersection(test.columns):
        other = test[name]
        is_dead = len(other) and (other.nunique() <= 1 or other.isna().mean() > 0.95)
        if is_dead and rows[name].nunique() > 1:
            changes[name] = pd.Series(rng.choice(other.to_numpy(), len(rows)), index=rows.index)
    return rows.assign(**changes)


def draw_new_ids(test_ids: pd.Series[Any], n: int, seed: int) -> list[str]:
    """Draw ids that no test row has, in the style of the test's ids."""
    taken = set(test_ids.astype(str))
    if all(text.isdigit() for text in taken):
        return draw_digit_ids(taken, n, seed)
    width = max(6, len(str(test_ids.iloc[0])))
    hashes = (hashlib.sha256(f"{seed}/{i}".encode()).hexdigest() for i in range(10 * n))
    named = (f"r{key}"[:width] for key in hashes)  # a letter first: no hash reads as a number
    return [key for key in dict.fromkeys(named) if key not in taken][:n]


def draw_digit_ids(taken: set[str], n: int, seed: int) -> list[str]:
    """Draw ids of digits after the largest, led by zeros where the others are."""
    rng, top = np.random.default_rng(seed), max(map(int, taken))
    lengths = {len(key) for key in taken}
    width = max(lengths) if len(lengths) == 1 and any(key[0] == "0" for key in taken) else 0
    steps = rng.choice(3 * n, n, replace=False)
    return [str(top + 1 + int(step)).zfill(width) for step in steps]


def write_public_folder(
    folder: Path,
    task: Task,
    train: pd.DataFrame,
    test: pd.DataFrame,
    folds: splits.Folds,
    form: SubmissionForm,
) -> None:
    """Write the files that scripts see as input/."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [form.id, *(task.target if task.kind in CLASS_KINDS else [])]
    write_rows(train, folder / "train.csv", task, texts)
    write_rows(test, folder / "test.csv", task, texts)
    write_public_table(pd.DataFrame({form.id: train[form.id], "fold": folds}), folder / "folds.csv")
    sample = sample_submission(task, train, test, form)
    free = form.names[1:] if task.kind == "text" else []
    write_public_table(sample, folder / "sample_submission.csv", free)
    if task.description:
        (folder / "description.md").write_text(task.description)


def write_rows(frame: pd.DataFrame, path: Path, task: Task, texts: list[str]) -> None:
    """Write train or test as csv; as parquet, with numbers for texts, where train is parquet."""
    if not task.train.endswith(".parquet"):
        free = task.target if task.kind == "text" else []
        write_public_table(frame, path, [name for name in free if name in frame])
        return
    changes = {name: as_numbers(frame[name]) for name in texts if name in frame}
    frame.assign(**changes).to_parquet(path.with_suffix(".parquet"), index=False)


def as_numbers(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts that are all whole numbers as such, as pandas reads them from a csv."""
    is_whole = texts.map(lambda text: text.lstrip("-").isdigit() and str(int(text)) == text)
    return texts.astype("int64") if is_whole.all() and texts.str.len().max() < 18 else texts


def sample_submission(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, form: SubmissionForm
) -> pd.DataFrame:
    """Return a submission that ignores the features: class rates, commonest labels or median."""
    frame = pd.DataFrame({form.id: test[form.id]})
    metric = task_metric(task)
    for column in form.columns:
        if not column.target:
            frame[column.name] = metric.true_value[1] if metric.true_value else 0.5
            continue
        values = train[column.target]
        if column.label:
            frame[column.name] = round(float((values.map(label_text) == column.label).mean()), 6)
        elif metric.needs == "text":
            texts = values.map(metric.write_truth) if metric.write_truth else values
            frame[column.name] = texts.mode().iloc[0]
        elif metric.needs == "ranking":
            top = values.value_counts().index[: int(metric.name.rpartition("@")[2] or 1)]
            frame[column.name] = " ".join(map(str, top))
        elif metric.needs == "label":
            frame[column.name] = values.mode().iloc[0]
        else:
            is_numeric = pd.api.types.is_numeric_dtype(values)
            frame[column.name] = float(values.median()) if is_numeric else 0.5
    return frame


def write_labels(
    folder: Path,
    visible: pd.DataFrame,
    hidden: pd.DataFrame,
    columns: list[str],
    folds: splits.Folds,
    twins: Array | None,
) -> None:
    """Write labels.parquet: _id, _fold (-2: audit rows), _twin (repeats another row), targets.

    `columns`: the id, then the targets, whose names get a prefix.
    """
    is_twin = np.zeros(len(visible), dtype=bool)
    if twins is not None:
        is_twin = np.asarray(pd.Series(twins).duplicated(keep=False))
    names = {columns[0]: "_id"} | {name: LABEL_PREFIX + name for name in columns[1:]}
    labels = visible[columns].rename(columns=names).assign(_fold=folds, _twin=is_twin)
    if len(hidden):
        audit_labels = hidden[columns].rename(columns=names).assign(_fold=-2, _twin=False)
        labels = pd.concat([labels, audit_labels], ignore_index=True)
    labels["_id"] = labels["_id"].astype(str)
    labels.to_parquet(folder / "labels.parquet", index=False)


def list_inputs(public: Path, side_files: dict[str, str]) -> dict[str, str]:
    """List what is mounted below input/: the public tables and the task's other files.

    The task's own tables, which contain the audit labels, are never among them.
    """
    tables = {path.name: str(path) for path in sorted(public.iterdir()) if path.is_file()}
    return tables | {name: path for name, path in side_files.items() if name not in tables}


def data_fingerprint(task: Task) -> str:
    """Hash the bytes of train and test; of a folder, the names of its files."""
    digest = hashlib.sha256()
    for path in (Path(task.train), Path(task.test)):
        if path.is_dir():
            digest.update("\n".join(walk_names(path)).encode("utf-8", "surrogateescape"))
            continue
        with path.open("rb") as file:
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


class TestIds(NamedTuple):
    """Ids of the task's own test rows in their order: as scripts see them, and as written."""

    seen: list[str]
    written: list[str]


def read_test_ids(prepared: Prepared) -> TestIds:
    """Return the ids of the task's own test rows."""
    meta = json.loads((Path(prepared.private) / "meta.json").read_text())
    seen, written = list(meta["test_ids"]), meta.get("written_ids", {})
    return TestIds(seen, [written.get(key, key) for key in seen])
