"""Prepare a task for a run: a public folder for scripts, and a private one for the harness."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.data import splits
from task.data.twins import twin_groups
from task.grade.metrics import get_metric
from task.load.tables import read_table, write_table
from task.types import Prepared, Split, Task, TaskError

MIN_AUDITED_ROWS = 2000  # with fewer training rows there is no audit: every row is needed
AUDIT_SHARE = 0.1
MAX_AUDIT_ROWS = 10_000
ROW_ID = "row_id"
Array = NDArray[Any]


class SubmissionForm(NamedTuple):
    """Columns of submission.csv and oof.csv, the id first, and the class labels in order.

    `labels` is empty where values are predicted.
    """

    columns: list[str]
    labels: list[str]


def prepare_task(
    task: Task, public: str, private: str, *, seed: int, audit: bool, n_folds: int | None = None
) -> Prepared:
    """Write both folders. The same task and seed give the same bytes. Raises TaskError."""
    train, test = read_task_tables(task)
    id_column = task.id or ROW_ID
    task = task.model_copy(update={"split": resolve_split(task, train, test, n_folds)})
    form = submission_form(task, train, id_column)
    twins = twin_groups(train, test, [id_column, *task.target])
    is_audit = np.zeros(len(train), dtype=bool)
    if audit and len(train) >= MIN_AUDITED_ROWS:
        is_audit = choose_audit_rows(train, task, seed, twins)
    visible, hidden = train[~is_audit].reset_index(drop=True), train[is_audit]
    visible_twins = None if twins is None else twins[~is_audit]
    folds = splits.assign_folds(
        visible, task.split, task.kind, task.target, id_column, seed, together=visible_twins
    )
    public_test, audit_ids = mix_audit_into_test(hidden, test, task, id_column, seed)
    write_public_folder(Path(public), task, visible, public_test, folds, form)
    secret = Path(private)
    secret.mkdir(parents=True, exist_ok=True)
    hidden = hidden.assign(**{id_column: audit_ids})
    write_labels(secret, visible, hidden, [id_column, *task.target], folds, visible_twins)
    test_ids = [str(key) for key in test[id_column]]
    meta = {"labels": form.labels, "test_ids": test_ids, "id_from_rows": task.id is None}
    (secret / "meta.json").write_text(json.dumps(meta))
    return Prepared(
        task=task,
        public=public,
        private=private,
        inputs=list_inputs(task, Path(public)),
        id=id_column,
        columns=form.columns,
        n_train=len(visible),
        n_test=len(public_test),
        n_audit=len(hidden),
        seed=seed,
        data_hash=data_fingerprint(task),
    )


def prepare_refit(prepared: Prepared, public: str) -> Prepared:
    """Prepare the final fit: every labelled row in train, and no audit rows in test."""
    task = prepared.task
    train, test = read_task_tables(task)
    form = submission_form(task, train, prepared.id)
    twins = twin_groups(train, test, [prepared.id, *task.target])
    folds = splits.assign_folds(
        train, task.split, task.kind, task.target, prepared.id, prepared.seed, together=twins
    )
    write_public_folder(Path(public), task, train, test, folds, form)
    changes = {
        "public": public,
        "inputs": list_inputs(task, Path(public)),
        "n_train": len(train),
        "n_test": len(test),
        "n_audit": 0,
    }
    return prepared.model_copy(update=changes)


def read_task_tables(task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read train and test with an id column; number the rows where the task has none."""
    train, test = read_table(Path(task.train)), read_table(Path(task.test))
    test = test.drop(columns=[column for column in task.target if column in test])
    if task.id is None:
        if ROW_ID in train or ROW_ID in test:
            raise TaskError(
                f"{task.train} has a column {ROW_ID!r} but no `id:` in task.yaml; "
                "name it there or rename the column"
            )
        train.insert(0, ROW_ID, np.arange(len(train)))
        test.insert(0, ROW_ID, np.arange(len(train), len(train) + len(test)))
    return train, test


def resolve_split(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, n_folds: int | None
) -> Split:
    """Return the task's split, with `auto` decided from the data."""
    split = task.split if n_folds is None else task.split.model_copy(update={"n_folds": n_folds})
    if split.kind != "auto":
        return split
    return splits.decide_split(train, test, task.kind, task.target, task.id, split.n_folds)[0]


def submission_form(task: Task, train: pd.DataFrame, id_column: str) -> SubmissionForm:
    """Derive the form of submissions from the sample or, without one, from the target."""
    needs = get_metric(task.metric, task.direction).needs
    classes = class_labels(train[task.target[0]]) if task.kind != "regression" else []
    has_column_per_class = needs == "probability" and task.kind == "multiclass"
    if not task.sample_submission:
        predicted = classes if has_column_per_class else task.target
        return SubmissionForm([id_column, *predicted], classes)
    sample = read_table(Path(task.sample_submission), n_rows=5)
    names = [str(column) for column in sample.columns[1:]]
    labels = match_class_columns(names, classes, task) if has_column_per_class else classes
    return SubmissionForm([id_column, *names], labels)


def class_labels(values: pd.Series[Any]) -> list[str]:
    """Return the distinct labels as text, numbers first."""
    distinct = sorted(values.unique(), key=lambda value: (isinstance(value, str), value))
    return [label_text(value) for value in distinct]


def label_text(value: object) -> str:
    """Return a label as text; 1.0 and 1 are the same."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def match_class_columns(names: list[str], classes: list[str], task: Task) -> list[str]:
    """Return the class of every probability column: by name, by ending, or by order."""
    if len(names) != len(classes):
        raise TaskError(
            f"{task.sample_submission} has {len(names)} prediction columns "
            f"for {len(classes)} classes; give one column per class"
        )
    if set(names) == set(classes):
        return names
    longest_first = sorted(classes, key=len, reverse=True)
    by_ending = [next((c for c in longest_first if name.endswith(c)), None) for name in names]
    matches = [label for label in by_ending if label is not None]
    return matches if len(set(matches)) == len(classes) else classes


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
        order = splits.time_blocks(train[str(split.column)], len(train) - 1)
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


def mix_audit_into_test(
    audit: pd.DataFrame, test: pd.DataFrame, task: Task, id_column: str, seed: int
) -> tuple[pd.DataFrame, list[Any]]:
    """Return test with the unlabelled audit rows mixed in, and the ids that these have there."""
    if audit.empty:
        return test, []
    rows = imitate_test_columns(audit.drop(columns=task.target), test, seed)
    ids = list(rows[id_column])
    if set(test[id_column]) & set(ids) or task.id is None:
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


def draw_new_ids(test_ids: pd.Series[Any], n: int, seed: int) -> list[Any]:
    """Draw ids that no test row has, in the style of the test's ids."""
    if pd.api.types.is_integer_dtype(test_ids):
        top = int(test_ids.max())
        free = np.arange(top + 1, top + 1 + 3 * n)
        return [int(key) for key in np.random.default_rng(seed).choice(free, n, replace=False)]
    taken = set(test_ids.astype(str))
    width = max(6, len(str(test_ids.iloc[0])))
    hashes = (hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()[:width] for i in range(10 * n))
    return [key for key in hashes if key not in taken][:n]


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
    suffix = ".parquet" if task.train.endswith(".parquet") else ".csv"
    write_table(train, folder / f"train{suffix}")
    write_table(test, folder / f"test{suffix}")
    id_column = form.columns[0]
    write_table(pd.DataFrame({id_column: train[id_column], "fold": folds}), folder / "folds.csv")
    write_table(sample_submission(task, train, test, form), folder / "sample_submission.csv")
    if task.description:
        (folder / "description.md").write_text(task.description)


def sample_submission(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, form: SubmissionForm
) -> pd.DataFrame:
    """Return a submission that ignores the features: class rates, commonest label or median."""
    columns, labels = form
    frame = pd.DataFrame({columns[0]: test[columns[0]]})
    needs = get_metric(task.metric, task.direction).needs
    texts = train[task.target[0]].map(label_text)
    for index, name in enumerate(columns[1:]):
        if needs == "probability":
            label = labels[index] if task.kind == "multiclass" else labels[-1]
            frame[name] = round(float((texts == label).mean()), 6)
        elif needs in ("label", "ranking"):
            frame[name] = train[task.target[0]].mode().iloc[0]
        else:
            values = train[task.target[min(index, len(task.target) - 1)]]
            is_numeric = pd.api.types.is_numeric_dtype(values)
            frame[name] = float(values.median()) if is_numeric else 0.5
    return frame


def write_labels(
    folder: Path,
    visible: pd.DataFrame,
    hidden: pd.DataFrame,
    columns: list[str],
    folds: splits.Folds,
    twins: Array | None,
) -> None:
    """Write labels.parquet: id, targets, fold (-2 for audit rows), twin (repeats another row).

    `columns`: the id, then the targets.
    """
    is_twin = np.zeros(len(visible), dtype=bool)
    if twins is not None:
        is_twin = np.asarray(pd.Series(twins).duplicated(keep=False))
    labels = visible[columns].assign(fold=folds, twin=is_twin)
    if len(hidden):
        audit_labels = hidden[columns].assign(fold=-2, twin=False)
        labels = pd.concat([labels, audit_labels], ignore_index=True)
    labels[columns[0]] = labels[columns[0]].astype(str)
    labels.to_parquet(folder / "labels.parquet", index=False)


def list_inputs(task: Task, public: Path) -> dict[str, str]:
    """List what is mounted below input/: the public tables and the task's other files.

    The task's own tables, which contain the audit labels, are never among them.
    """
    tables = {path.name: str(path) for path in sorted(public.iterdir()) if path.is_file()}
    return tables | {
        Path(extra).name: extra for extra in task.extra if Path(extra).name not in tables
    }


def data_fingerprint(task: Task) -> str:
    """Hash the bytes of train and test."""
    digest = hashlib.sha256()
    for path in (task.train, task.test):
        with Path(path).open("rb") as file:
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


def read_test_ids(prepared: Prepared) -> list[str]:
    """Return the ids of the task's own test rows, in their order."""
    meta = json.loads((Path(prepared.private) / "meta.json").read_text())
    return list(meta["test_ids"])


def write_final_submission(prepared: Prepared, source: str, out: str) -> None:
    """Write the submission of the task's own test rows.

    Audit rows are dropped; order, ids and columns are those of the task's sample.
    """
    task = prepared.task
    predictions = pd.read_csv(source)
    predictions[prepared.id] = predictions[prepared.id].map(label_text)
    predictions = predictions.drop_duplicates(prepared.id).set_index(prepared.id)
    columns = prepared.columns[1:]
    if task.sample_submission:
        sample = read_table(Path(task.sample_submission))
        keys = sample.iloc[:, 0].map(label_text) if task.id else read_test_ids(prepared)
        values = predictions.loc[list(keys), columns].to_numpy()
        result = pd.DataFrame({sample.columns[0]: sample.iloc[:, 0]})
        for index, name in enumerate(sample.columns[1:]):
            result[name] = values[:, index]
    else:
        ids = read_task_tables(task)[1][prepared.id]
        result = predictions.loc[list(ids.map(label_text)), columns].reset_index(drop=True)
        result.insert(0, prepared.id, ids.to_numpy())
    result.to_csv(out, index=False)
