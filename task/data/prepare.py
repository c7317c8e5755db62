"""A task made ready for a run: the public folder that scripts see, the private one that never leaves the harness."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from task.data import splits
from task.data.twins import twin_groups
from task.grade.metrics import get_metric
from task.load.tables import read_table, write_table
from task.types import Prepared, Split, Task, TaskError

AUDIT_ROWS = 2000  # fewer training rows than this: no audit, every row is needed
AUDIT_SHARE = 0.1
AUDIT_MAX = 10_000
ROW_ID = "row_id"


def prepare(
    task: Task, public: str, private: str, *, seed: int, audit: bool, n_folds: int | None = None
) -> Prepared:
    """Writes both folders. The same task and seed give the same bytes."""
    train, test = tables(task)
    id_column = task.id or ROW_ID
    split = settle(task, train, test, n_folds)
    task = task.model_copy(update={"split": split})
    columns, labels = submission_columns(task, train, id_column)
    twins = twin_groups(train, test, [id_column, *task.target])
    held = (
        audit_rows(train, task, seed, twins)
        if audit and len(train) >= AUDIT_ROWS
        else np.zeros(len(train), dtype=bool)
    )
    shown = train[~held].reset_index(drop=True)
    kept = None if twins is None else twins[~held]
    folds = splits.assign(shown, split, task.kind, task.target, id_column, seed, together=kept)
    public_test, audit_ids = mixed(train[held], test, task, id_column, seed)
    write_public(Path(public), task, shown, public_test, folds, columns, labels)
    secret = Path(private)
    secret.mkdir(parents=True, exist_ok=True)
    keep_labels(secret, shown, train[held], audit_ids, folds, task, id_column, kept)
    (secret / "meta.json").write_text(
        json.dumps(
            {
                "labels": labels,
                "test_ids": [str(key) for key in test[id_column]],
                "id_from_rows": task.id is None,
            }
        )
    )
    return Prepared(
        task=task,
        public=public,
        private=private,
        inputs=inputs_of(task, Path(public)),
        id=id_column,
        columns=columns,
        n_train=len(shown),
        n_test=len(public_test),
        n_audit=int(held.sum()),
        seed=seed,
        data_hash=fingerprint(task),
    )


def prepare_refit(prepared: Prepared, public: str) -> Prepared:
    """The same task with every labelled row in train and nothing mixed into test, for the final fit."""
    task = prepared.task
    train, test = tables(task)
    columns, labels = submission_columns(task, train, prepared.id)
    twins = twin_groups(train, test, [prepared.id, *task.target])
    folds = splits.assign(
        train, task.split, task.kind, task.target, prepared.id, prepared.seed, together=twins
    )
    write_public(Path(public), task, train, test, folds, columns, labels)
    changes = {
        "public": public,
        "inputs": inputs_of(task, Path(public)),
        "n_train": len(train),
        "n_test": len(test),
        "n_audit": 0,
    }
    return prepared.model_copy(update=changes)


def tables(task: Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test with an id column; rows are numbered where the task has none."""
    train, test = read_table(Path(task.train)), read_table(Path(task.test))
    test = test.drop(columns=[column for column in task.target if column in test])
    if task.id is None:
        if ROW_ID in train or ROW_ID in test:
            raise TaskError(
                f"{task.train} has a column {ROW_ID!r} but no `id:` in task.yaml; name it there or rename the column"
            )
        train.insert(0, ROW_ID, np.arange(len(train)))
        test.insert(0, ROW_ID, np.arange(len(train), len(train) + len(test)))
    return train, test


def settle(task: Task, train: pd.DataFrame, test: pd.DataFrame, n_folds: int | None) -> Split:
    """The split with `auto` decided."""
    split = task.split if n_folds is None else task.split.model_copy(update={"n_folds": n_folds})
    if split.kind != "auto":
        return split
    return splits.decide(train, test, task.kind, task.target, task.id, split.n_folds)[0]


def submission_columns(
    task: Task, train: pd.DataFrame, id_column: str
) -> tuple[list[str], list[str]]:
    """Columns of submission and oof, and the class labels behind them in order (empty for values)."""
    needs = get_metric(task.metric, task.direction).needs
    classes = sorted_classes(train[task.target[0]]) if task.kind != "regression" else []
    many = needs == "probability" and task.kind == "multiclass"
    if task.sample_submission:
        names = [
            str(column) for column in read_table(Path(task.sample_submission), n_rows=5).columns
        ]
        if not many:
            return [id_column, *names[1:]], classes
        return [id_column, *names[1:]], matched(names[1:], classes, task)
    return [id_column, *(classes if many else task.target)], classes


def sorted_classes(values: pd.Series[Any]) -> list[str]:
    return [
        plain(value) for value in sorted(values.unique(), key=lambda v: (isinstance(v, str), v))
    ]


def plain(value: Any) -> str:
    """A label as text: 1.0 and 1 are the same."""
    if (
        isinstance(value, float)
        and value.is_integer()
        or isinstance(value, np.floating)
        and float(value).is_integer()
    ):
        return str(int(value))
    return str(value)


def matched(names: list[str], classes: list[str], task: Task) -> list[str]:
    """The class of every probability column: by name, by a common prefix, or by order."""
    if len(names) != len(classes):
        raise TaskError(
            f"{task.sample_submission} has {len(names)} prediction columns for {len(classes)} classes; give one column per class"
        )
    if set(names) == set(classes):
        return names
    by_ending = [
        next((c for c in sorted(classes, key=len, reverse=True) if name.endswith(c)), None)
        for name in names
    ]
    return (
        [str(c) for c in by_ending]
        if len(set(by_ending)) == len(classes) and None not in by_ending
        else classes
    )


def audit_rows(train: pd.DataFrame, task: Task, seed: int, twins: Any = None) -> Any:
    """Which training rows are held back: the last ones in time, whole groups (or sets of twins), or a stratified draw."""
    n = min(AUDIT_MAX, int(len(train) * AUDIT_SHARE))
    rng = np.random.default_rng(seed + 7919)
    held = np.zeros(len(train), dtype=bool)
    split = task.split
    if split.kind == "time":
        order = splits.blocks(train[str(split.column)], len(train) - 1)
        held[np.argsort(order, kind="stable")[-n:]] = True
    elif split.kind == "group" or twins is not None:
        groups = (
            train[str(split.column)].astype(str)
            if split.kind == "group"
            else pd.Series(twins, index=train.index)
        )
        chosen = rng.permutation(groups.unique())
        sizes = groups.value_counts()[chosen].cumsum()
        held = groups.isin(chosen[: max(1, int((sizes <= n).sum()))]).to_numpy()
    else:
        strata = splits.classes(train, task.kind, task.target)
        for stratum in np.unique(strata):
            rows = np.flatnonzero(strata == stratum)
            held[rng.choice(rows, int(round(len(rows) * n / len(train))), replace=False)] = True
    return held


def mixed(
    audit: pd.DataFrame, test: pd.DataFrame, task: Task, id_column: str, seed: int
) -> tuple[pd.DataFrame, list[Any]]:
    """Test with the audit rows among its own, without labels; and the ids that the audit rows go by."""
    if audit.empty:
        return test, []
    rows = dressed(audit.drop(columns=task.target), test, seed)
    taken = set(test[id_column])
    ids = list(rows[id_column])
    if taken & set(ids) or task.id is None:
        ids = fresh_ids(test[id_column], len(rows), seed)
    rows = rows.assign(**{id_column: ids})
    if task.split.kind == "time":
        return pd.concat([rows, test], ignore_index=True)[list(test.columns)], ids
    together = pd.concat([test, rows], ignore_index=True)[list(test.columns)]
    return together.sample(frac=1, random_state=seed).reset_index(drop=True), ids


def dressed(rows: pd.DataFrame, test: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Audit rows as test rows look: a column that test has empty or constant is so here too, else it would tell audit rows apart."""
    rng, changes = np.random.default_rng(seed + 11), {}
    for name in rows.columns.intersection(test.columns):
        other = test[name]
        if (
            len(other)
            and (other.nunique() <= 1 or other.isna().mean() > 0.95)
            and rows[name].nunique() > 1
        ):
            changes[name] = pd.Series(rng.choice(other.to_numpy(), len(rows)), index=rows.index)
    return rows.assign(**changes)


def fresh_ids(known: pd.Series[Any], n: int, seed: int) -> list[Any]:
    """Ids that no test row has, in the test's own style."""
    if pd.api.types.is_integer_dtype(known):
        top = int(known.max())
        return [
            int(key)
            for key in np.random.default_rng(seed).choice(
                np.arange(top + 1, top + 1 + 3 * n), n, replace=False
            )
        ]
    taken = set(known.astype(str))
    made = (
        hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()[: max(6, len(str(known.iloc[0])))]
        for i in range(10 * n)
    )
    return [key for key in made if key not in taken][:n]


def write_public(
    folder: Path,
    task: Task,
    train: pd.DataFrame,
    test: pd.DataFrame,
    folds: splits.Folds,
    columns: list[str],
    labels: list[str],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".parquet" if task.train.endswith(".parquet") else ".csv"
    write_table(train, folder / f"train{suffix}")
    write_table(test, folder / f"test{suffix}")
    write_table(pd.DataFrame({columns[0]: train[columns[0]], "fold": folds}), folder / "folds.csv")
    write_table(sample(task, train, test, columns, labels), folder / "sample_submission.csv")
    if task.description:
        (folder / "description.md").write_text(task.description)


def sample(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, columns: list[str], labels: list[str]
) -> pd.DataFrame:
    """A submission that knows nothing: class rates, the commonest label, or the median."""
    frame = pd.DataFrame({columns[0]: test[columns[0]]})
    needs = get_metric(task.metric, task.direction).needs
    texts = train[task.target[0]].map(plain)
    for index, name in enumerate(columns[1:]):
        if needs == "probability":
            label = labels[index] if task.kind == "multiclass" else labels[-1]
            frame[name] = round(float((texts == label).mean()), 6)
        elif needs in ("label", "ranking"):
            frame[name] = train[task.target[0]].mode().iloc[0]
        else:
            source = task.target[min(index, len(task.target) - 1)]
            frame[name] = (
                float(train[source].median())
                if pd.api.types.is_numeric_dtype(train[source])
                else 0.5
            )
    return frame


def keep_labels(
    folder: Path,
    shown: pd.DataFrame,
    audit: pd.DataFrame,
    audit_ids: list[Any],
    folds: splits.Folds,
    task: Task,
    id_column: str,
    twins: Any = None,
) -> None:
    """labels.parquet: id, fold (-2 for audit rows), twin (repeats another training row), targets."""
    repeated = (
        pd.Series(twins).duplicated(keep=False).to_numpy()
        if twins is not None
        else np.zeros(len(shown), dtype=bool)
    )
    train_part = shown[[id_column, *task.target]].assign(fold=folds, twin=repeated)
    audit_part = audit[[id_column, *task.target]].assign(fold=-2, twin=False)
    audit_part[id_column] = audit_ids
    frame = pd.concat([train_part, audit_part], ignore_index=True) if len(audit) else train_part
    frame[id_column] = frame[id_column].astype(str)
    frame.to_parquet(folder / "labels.parquet", index=False)


def inputs_of(task: Task, public: Path) -> dict[str, str]:
    """What is mounted below input/: the public tables and the task's other files; never a file that holds the audit's labels."""
    found = {path.name: str(path) for path in sorted(public.iterdir()) if path.is_file()}
    return found | {
        Path(extra).name: extra for extra in task.extra if Path(extra).name not in found
    }


def fingerprint(task: Task) -> str:
    digest = hashlib.sha256()
    for path in (task.train, task.test):
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


def final_submission(prepared: Prepared, source: str, out: str) -> None:
    """The submission for the task's own test rows: audit rows dropped, order, ids and columns of the task's sample."""
    task = prepared.task
    got = pd.read_csv(source)
    got[prepared.id] = got[prepared.id].map(plain)
    got = got.drop_duplicates(prepared.id).set_index(prepared.id)
    if task.sample_submission:
        frame = read_table(Path(task.sample_submission))
        order = (
            frame.iloc[:, 0].map(plain)
            if task.id
            else pd.Series(
                json.loads((Path(prepared.private) / "meta.json").read_text())["test_ids"]
            )
        )
        values = got.loc[list(order), prepared.columns[1:]].to_numpy()
        result = pd.DataFrame({frame.columns[0]: frame.iloc[:, 0]})
        for index, name in enumerate(frame.columns[1:]):
            result[name] = values[:, index]
    else:
        ids = tables(task)[1][prepared.id]
        result = got.loc[list(ids.map(plain)), prepared.columns[1:]].reset_index(drop=True)
        result.insert(0, prepared.id, ids.to_numpy())
    result.to_csv(out, index=False)
