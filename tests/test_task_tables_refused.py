"""Faults of tables are refused with their own sentence, not read another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from task.load.init import describe_task
from task.types import TaskReport

N, M = 80, 40


def write_task(
    folder: Path, keys: dict[str, str] | None = None, *, sample: bool = True
) -> tuple[pd.DataFrame, ...]:
    """Write a plain task with a feature that tells the target."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": np.arange(N + M) + 100, "x": rng.normal(size=N + M).round(3)})
    rows["z"] = rng.normal(size=N + M).round(3)
    train = rows[:N].assign(target=(rows.x[:N] > 0).astype(int))
    test = rows[N:].reset_index(drop=True)
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    if sample:
        given = pd.DataFrame({"id": test.id, "target": 0.5})
        given.to_csv(folder / "sample_submission.csv", index=False)
    if keys:
        (folder / "task.yaml").write_text("".join(f"{k}: {v}\n" for k, v in keys.items()))
    return train, test


def refusal(folder: Path) -> str:
    return str(describe_task(str(folder))["refusal"])


def accepted(folder: Path) -> TaskReport:
    report = describe_task(str(folder))
    assert report["refusal"] is None
    return report


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "unreadable"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "HTML"),
        (b"100,0.5,0.25\n101,0.1,0.2\n102,0.7,0.1\n103,0.2,0.9\n", "no line with the names"),
    ],
)
def test_a_broken_test_table_is_named_although_a_sample_has_the_ids(
    tmp_path: Path, content: bytes, said: str
) -> None:
    write_task(tmp_path)
    (tmp_path / "test.csv").write_bytes(content)
    assert said in refusal(tmp_path) and "test.csv" in refusal(tmp_path)


def test_features_that_no_table_has_for_the_rows_to_predict_are_missed(tmp_path: Path) -> None:
    write_task(tmp_path)
    (tmp_path / "test.csv").unlink()
    assert "put them there as test.csv" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("id", "foo", "no id column 'foo'"),
        ("test", "gone.csv", "gone.csv does not exist"),
        ("test", "../x.csv", "outside the task folder"),
        ("split", "kfold", "'kfold' is not known"),
        ("split", "group:target", "by the target itself"),
        ("target", "id", "names the rows"),
        ("direction", "min", "contradicts the metric auc"),
    ],
)
def test_a_wrong_key_is_refused_by_its_name(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    write_task(tmp_path, {key: value})
    assert said in refusal(tmp_path)


def test_a_time_split_by_words_is_refused(tmp_path: Path) -> None:
    train, test = write_task(tmp_path, {"split": "time:city"})
    train.assign(city="Rome").to_csv(tmp_path / "train.csv", index=False)
    test.assign(city="Oslo").to_csv(tmp_path / "test.csv", index=False)
    assert "has no order of time" in refusal(tmp_path)


@pytest.mark.parametrize("word", ["no", "off", "007"])
def test_values_of_task_yaml_are_text_as_written(tmp_path: Path, word: str) -> None:
    train, _ = write_task(tmp_path, {"positive": word})
    train["target"] = train.target.map({0: "other", 1: word})
    train.to_csv(tmp_path / "train.csv", index=False)
    assert accepted(tmp_path)["positive"] == word


@pytest.mark.parametrize("fault", ["gap", "twice"])
def test_an_id_with_a_gap_in_test_is_refused_without_a_sample_too(
    tmp_path: Path, fault: str
) -> None:
    _, test = write_task(tmp_path, sample=False)
    test["id"] = test.id.astype(object)
    test.loc[3, "id"] = None if fault == "gap" else test.id[4]
    test.to_csv(tmp_path / "test.csv", index=False)
    assert "column 'id'" in refusal(tmp_path)


def test_row_numbers_without_a_name_are_no_feature_and_no_prediction(tmp_path: Path) -> None:
    for frame, name in zip(write_task(tmp_path), ("train", "test"), strict=True):
        frame.to_csv(tmp_path / f"{name}.csv")
    pd.read_csv(tmp_path / "sample_submission.csv").to_csv(tmp_path / "sample_submission.csv")
    report = accepted(tmp_path)
    assert report["id"] == "id" and report["target"] == ["target"]
    assert [column["name"] for column in report["columns"]] == ["id", "x", "z", "target"]
    assert any("numbers the rows; left out" in said for said in report["repairs"])


def test_labels_that_the_sample_writes_in_other_letters_are_classes(tmp_path: Path) -> None:
    train, test = write_task(tmp_path)
    train["target"] = train.target.map({0: "FALSE", 1: "TRUE"})
    train.to_csv(tmp_path / "train.csv", index=False)
    words = ["true", "false"] * (M // 2)
    sample = pd.DataFrame({"id": test.id, "target": words})
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    (tmp_path / "description.md").write_text("Scored by accuracy.\n")
    report = accepted(tmp_path)
    assert (report["kind"], report["classes"]) == ("binary", ["FALSE", "TRUE"])


def test_classes_that_differ_by_case_alone_are_told(tmp_path: Path) -> None:
    train, _ = write_task(tmp_path, sample=False)
    train["target"] = ["Yes", "no", "yes", "no"] * (N // 4)
    train.to_csv(tmp_path / "train.csv", index=False)
    assert any("differ by case" in said for said in accepted(tmp_path)["decided"])


def test_numbers_of_several_rows_per_id_become_mean_min_and_max(tmp_path: Path) -> None:
    train, test = write_task(tmp_path)
    twice = pd.concat([train, train.assign(x=train.x + 1)])
    twice.to_csv(tmp_path / "train.csv", index=False)
    pd.concat([test, test.assign(x=test.x + 1)]).to_csv(tmp_path / "test.csv", index=False)
    report = accepted(tmp_path)
    names = [column["name"] for column in report["columns"]]
    assert {"x_mean", "x_min", "x_max", "n_rows"} <= set(names) and "x" not in names
    assert report["rows"] == {"train": N, "test": M}


def test_other_tables_with_the_columns_of_train_are_told_or_refused(tmp_path: Path) -> None:
    train, _ = write_task(tmp_path)
    train.iloc[:9].to_csv(tmp_path / "valid.csv", index=False)
    assert any(
        "valid.csv" in said and "not trained on" in said for said in accepted(tmp_path)["decided"]
    )
    (tmp_path / "train.csv").rename(tmp_path / "2020.csv")
    (tmp_path / "valid.csv").rename(tmp_path / "2021.csv")
    assert "put their rows into one train.csv" in refusal(tmp_path)
