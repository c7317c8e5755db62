"""Features in one table and labels in another: joined by name or row by row, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from media_kit import prepare_folder

from task.load.init import describe_task, init_task
from task.load.spec import read_task
from task.types import TaskError

N, M = 90, 30


def write_tables(folder: Path, names: tuple[str, str, str], *, has_ids: bool) -> pd.Series:
    """Write three tables; return the label of every training row in the order of its features."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": np.arange(N + M), "a": rng.normal(size=N + M)})
    labels = (rows.a > 0).astype(int)
    given = pd.DataFrame({"id": rows.id[:N], "target": labels[:N]})
    if has_ids:
        given = given.sample(frac=1, random_state=0)
    shown = rows if has_ids else rows.drop(columns="id")
    given = given if has_ids else given[["target"]]
    for name, frame in zip(names, (shown[:N], given, shown[N:]), strict=True):
        frame.to_csv(folder / name, index=False)
    return labels[:N]


@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize(
    "names",
    [
        ("X_train.csv", "y_train.csv", "X_test.csv"),
        ("train_features.csv", "train_labels.csv", "test_features.csv"),
        ("TrainValues.csv", "TrainTarget.csv", "TestValues.csv"),
    ],
)
def test_labels_are_joined_with_their_rows(
    names: tuple[str, str, str], has_ids: bool, tmp_path: Path
) -> None:
    labels = write_tables(tmp_path, names, has_ids=has_ids)
    loaded = read_task(str(tmp_path))
    assert loaded.task.target == ["target"]
    assert list(loaded.rows.train["target"]) == list(labels.astype(str))
    how = "joined by 'id'" if has_ids else f"joined row by row ({N} rows in both)"
    assert any(how in text for text in loaded.task.decided)
    init_task(str(tmp_path))  # what it writes reads the same
    again = read_task(str(tmp_path))
    pd.testing.assert_frame_equal(again.rows.train, loaded.rows.train)


def test_scripts_see_no_file_of_labels(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    write_tables(tmp_path / "task", ("X_train.csv", "y_train.csv", "X_test.csv"), has_ids=False)
    pd.DataFrame({"target": np.arange(M) % 2}).to_csv(tmp_path / "task/y_test.csv", index=False)
    prepared = prepare_folder(tmp_path / "task", tmp_path / "run", audit=False)
    assert not {"y_train.csv", "y_test.csv"} & set(prepared.inputs)
    assert len(pd.read_csv(Path(prepared.public) / "train.csv")) == N
    assert any("y_test.csv holds the labels" in text for text in prepared.task.decided)


def test_labels_of_fewer_rows_are_refused_until_an_id_is_added(tmp_path: Path) -> None:
    names = ("X_train.csv", "y_train.csv", "X_test.csv")
    write_tables(tmp_path, names, has_ids=False)
    labels = pd.read_csv(tmp_path / "y_train.csv")
    labels[:70].to_csv(tmp_path / "y_train.csv", index=False)
    refused = str(describe_task(str(tmp_path))["refusal"])
    assert "has 90 rows" in refused and "has 70" in refused and "add one, such as id" in refused
    write_tables(tmp_path, names, has_ids=True)
    assert describe_task(str(tmp_path))["refusal"] is None


def test_a_first_label_is_no_name(tmp_path: Path) -> None:
    write_tables(tmp_path, ("X_train.csv", "y_train.csv", "X_test.csv"), has_ids=False)
    (tmp_path / "y_train.csv").write_text("\n".join(str(i % 2) for i in range(N)) + "\n")
    with pytest.raises(TaskError, match="no line with the name"):
        read_task(str(tmp_path))
