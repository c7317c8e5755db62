"""Faults of tables are refused with their own sentence, not read another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from task.load.init import describe_task
from task.load.spec import read_task
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


def test_a_link_to_the_training_table_is_no_other_table(tmp_path: Path) -> None:
    write_task(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "2020.csv")
    (tmp_path / "train.csv").symlink_to(tmp_path / "2020.csv")
    assert not any("same columns" in said for said in accepted(tmp_path)["decided"])


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("True", "False"), ("Present", "absent")])
def test_several_targets_in_words_are_zeros_and_ones(tmp_path: Path, yes: str, no: str) -> None:
    train, test = write_task(tmp_path, sample=False)
    for name, column in (("warm", "x"), ("large", "z")):
        train[name] = np.where(train[column] > 0, yes, no)
    train.drop(columns="target").to_csv(tmp_path / "train.csv", index=False)
    test[["id"]].assign(warm=0.5, large=0.5).to_csv(tmp_path / "sample_submission.csv", index=False)
    loaded = read_task(str(tmp_path))
    assert list(loaded.rows.train["warm"]) == list((train.x > 0).astype(float))
    assert any(f"{yes} = 1" in text and f"{no} = 0" in text for text in loaded.task.repairs)
    test[["id"]].assign(warm=no, large=yes).to_csv(tmp_path / "sample_submission.csv", index=False)
    assert "asks for words such as" in refusal(tmp_path)


def test_several_targets_of_other_words_are_refused_with_what_helps(tmp_path: Path) -> None:
    train, _ = write_task(tmp_path, sample=False)
    train["size"] = np.where(train.x > 1, "L", np.where(train.x > 0, "M", "S"))
    train.to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "task.yaml").write_text("target: [target, size]\n")
    said = refusal(tmp_path)
    assert "'size' is not numeric" in said and "one column alone" in said
    (tmp_path / "task.yaml").write_text("target: size\n")
    accepted(tmp_path)


def test_a_sample_with_a_row_per_class_is_refused_and_its_remedy_works(tmp_path: Path) -> None:
    train, test = write_task(tmp_path, {"metric": "log_loss", "columns": "{class: cat}"})
    kinds = ["cat", "dog", "owl"]
    train["target"] = [kinds[i % 3] for i in range(N)]
    train.to_csv(tmp_path / "train.csv", index=False)
    rows = [(i, kind, 1 / 3) for i in test.id for kind in kinds]
    sample = pd.DataFrame(rows, columns=["id", "class", "probability"])
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    said = refusal(tmp_path)
    assert "a row for every 'id' and class of 'class'" in said and "id, cat, dog, owl" in said
    (tmp_path / "task.yaml").unlink()
    wide = test[["id"]].assign(cat=0.2, dog=0.3, owl=0.5)
    wide.to_csv(tmp_path / "sample_submission.csv", index=False)
    assert accepted(tmp_path)["metric"] == "log_loss"
    melted = wide.melt(["id"], var_name="class", value_name="probability")
    assert set(map(tuple, melted[["id", "class"]].values)) == set(
        map(tuple, sample[["id", "class"]].values)
    )


def test_a_date_as_target_is_called_a_date(tmp_path: Path) -> None:
    train, _ = write_task(tmp_path, sample=False)
    days = pd.date_range("2020-01-01", periods=N)
    for style in ("%Y-%m-%d", "%d/%m/%Y", "%d %b %Y"):
        train["target"] = days.strftime(style)
        train.to_csv(tmp_path / "train.csv", index=False)
        assert "holds dates" in refusal(tmp_path)
    train["target"] = (days - days[0]).days  # the remedy
    train.to_csv(tmp_path / "train.csv", index=False)
    assert accepted(tmp_path)["kind"] == "regression"
