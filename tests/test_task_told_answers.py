"""Files with the labels of the rows to predict are not among the scripts' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from media_kit import prepare_folder

from task.types import Prepared

N, M = 120, 40


def write_rows(folder: Path, first_test_id: int = 500) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write train and test; return the test rows with their labels, and train."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.normal(size=N + M).round(4), "b": rng.normal(size=N + M)})
    rows.insert(0, "id", [*range(N), *range(first_test_id, first_test_id + M)])
    rows["target"] = rng.integers(0, 2, N + M)
    rows[:N].to_csv(folder / "train.csv", index=False)
    rows[N:].drop(columns="target").to_csv(folder / "test.csv", index=False)
    return rows[N:].reset_index(drop=True), rows[:N]


def prepare(folder: Path) -> Prepared:
    return prepare_folder(folder, folder.parent / "run", audit=False)


FORMS = {
    "solution.csv": ["id", "target"],
    "test_labels.csv": ["id", "label"],
    "keys.csv": ["id", "y_true"],
    "answers.txt": ["id", "target"],
    "test_full.csv": ["id", "a", "b", "target"],
    "labelled.csv": ["a", "b", "target"],
    "y_test.csv": ["target"],
    "more/solution.json": ["id", "outcome"],
}


@pytest.mark.parametrize("name", FORMS)
def test_labels_of_the_rows_to_predict_are_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "task/more").mkdir(parents=True)
    (tmp_path / "task/more/notes.txt").write_text("nothing")
    asked, _ = write_rows(tmp_path / "task")
    columns = FORMS[name]
    given = {"label": "target", "y_true": "target", "outcome": "target"}
    file = asked[[given.get(column, column) for column in columns]].set_axis(columns, axis=1)
    path = tmp_path / "task" / name
    if name.endswith("json"):
        file.to_json(path, orient="records")
    else:
        file.to_csv(path, index=False)
    prepared = prepare(tmp_path / "task")
    seen = {Path(source) for source in prepared.inputs.values()}
    assert path not in seen and path.parent not in seen - {tmp_path / "task" / "more"}
    assert not any((Path(source) / Path(name).name).exists() for source in seen)
    said = [text for text in prepared.repairs if Path(name).name in text]
    assert len(said) == 1 and "holds labels of the rows to predict" in said[0]


@pytest.mark.parametrize("first", [500, 0])
def test_features_of_the_rows_to_predict_stay(first: int, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    asked, train = write_rows(tmp_path / "task", first)
    rng = np.random.default_rng(1)
    days = {"is_weekend": rng.integers(0, 2, M), "class": rng.integers(1, 4, M)}
    asked[["id"]].assign(**days).to_csv(tmp_path / "task" / "test_days.csv", index=False)
    both = pd.concat([train[["id"]], asked[["id"]]]).drop_duplicates()
    both.assign(label=rng.integers(0, 2, len(both))).to_csv(
        tmp_path / "task" / "stores.csv", index=False
    )
    inputs = set(prepare(tmp_path / "task").inputs)
    assert "test_days.csv" in inputs
    assert ("stores.csv" in inputs) == (first == 500)  # ids in both: told by its column's name


def test_a_solution_is_no_sample(tmp_path: Path) -> None:
    """Its labels would decide on the metric."""
    (tmp_path / "task").mkdir()
    asked, _ = write_rows(tmp_path / "task")
    asked[["id", "target"]].to_csv(tmp_path / "task" / "solution.csv", index=False)
    task = prepare(tmp_path / "task").task
    assert task.sample_submission is None and task.metric == "auc"
    asked[["id"]].assign(target=0).to_csv(tmp_path / "task" / "solution.csv", index=False)
    task = prepare_folder(tmp_path / "task", tmp_path / "again", audit=False).task
    assert str(task.sample_submission).endswith("solution.csv")  # the same in every row: a form
