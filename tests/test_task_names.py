"""Columns, classes and ids of a submission are matched by name, never by place."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.load.form import match_names
from task.load.spec import load_task, read_task
from task.load.targets import find_target_columns
from task.types import Prepared, TaskError

N = 60


def write_folder(
    folder: Path, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame | None, **keys: Any
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    if sample is not None:
        sample.to_csv(folder / "sample_submission.csv", index=False)
    if keys:
        lines = [f"{key}: {value}" for key, value in keys.items()]
        (folder / "task.yaml").write_text("\n".join(lines))
    return folder


def rows(labels: list[Any], target: str = "y") -> tuple[pd.DataFrame, pd.DataFrame]:
    train = pd.DataFrame({"id": np.arange(N), "x": np.arange(N) % 7 * 1.5})
    train[target] = [labels[i % len(labels)] for i in range(N)]
    return train, pd.DataFrame({"id": np.arange(N, N + 9), "x": np.arange(9) * 1.0})


def prepare(folder: Path, out: Path) -> Prepared:
    task = load_task(str(folder))
    return prepare_task(task, str(out / "public"), str(out / "private"), seed=0, audit=False)


@pytest.mark.parametrize(
    "name",
    ["{}", "p_{}", "{}_prob", "P({})", "Class {} share"],
)
def test_class_columns_are_matched_without_prefix_and_suffix(tmp_path: Path, name: str) -> None:
    train, test = rows(["low", "medium", "high"])
    sample = test[["id"]].copy()
    for label in ("medium", "low", "high"):
        sample[name.format(label)] = 1 / 3
    form = read_task(str(write_folder(tmp_path / "t", train, test, sample))).form
    assert [column.label for column in form.columns] == ["medium", "low", "high"]


def test_numbered_classes_are_not_taken_for_each_other() -> None:
    labels = [str(i) for i in range(12)]
    match = match_names([f"c{i}" for i in reversed(range(12))], labels)
    assert match is not None
    assert match.meaning == {f"c{label}": label for label in labels}


def test_class_columns_that_names_do_not_decide_are_refused_and_said(tmp_path: Path) -> None:
    train, test = rows(["a", "b", "c"])
    sample = test[["id"]].assign(p1=0.3, p2=0.3, p3=0.4)
    folder = write_folder(tmp_path / "t", train, test, sample)
    with pytest.raises(TaskError, match="columns: {p1: a"):
        load_task(str(folder))
    (folder / "task.yaml").write_text("columns: {p1: c, p2: a, p3: b}\n")
    form = read_task(str(folder)).form
    assert [column.label for column in form.columns] == ["c", "a", "b"]


def test_a_class_without_a_column_in_the_sample_is_named(tmp_path: Path) -> None:
    train, test = rows(["a", "b", "c"])
    folder = write_folder(tmp_path / "t", train, test, test[["id"]].assign(a=0.5, b=0.5))
    with pytest.raises(TaskError, match="no column for the class 'c' of 'y'"):
        load_task(str(folder))
    write_folder(folder, train[train["y"] != "c"], test, None)
    assert read_task(str(folder)).form.names == ["id", "a", "b"]


def test_columns_of_test_that_differ_by_case_alone_are_those_of_train(tmp_path: Path) -> None:
    train, test = rows([0, 1])
    folder = write_folder(tmp_path / "t", train, test.rename(columns={"x": "X ", "id": "ID"}), None)
    task = load_task(str(folder))
    assert (task.id, task.target) == ("id", ["y"])
    assert any("'X' is 'x'" in said for said in task.repairs)


def test_ids_of_the_sample_in_another_spelling_are_matched_and_told(tmp_path: Path) -> None:
    train, test = rows([0, 1])
    test["id"] = [f"Ä-{i}" for i in range(9)]
    sample = test[["id"]].assign(y=0.5)
    sample["id"] = [unicodedata.normalize("NFD", key.lower()) for key in sample["id"]]
    task = load_task(str(write_folder(tmp_path / "t", train, test, sample)))
    assert any("matched without case, blanks and marks" in said for said in task.decided)


def test_a_sample_that_numbers_rows_in_another_order_is_refused_and_sorted_read(
    tmp_path: Path,
) -> None:
    train, test = (frame.drop(columns="id") for frame in rows([0, 1]))
    sample = pd.DataFrame({"Id": range(9), "y": 0.5})
    folder = write_folder(tmp_path / "t", train, test, sample[::-1])
    with pytest.raises(TaskError, match="sort the rows of the sample by it"):
        load_task(str(folder))
    sample.to_csv(folder / "sample_submission.csv", index=False)
    assert load_task(str(folder)).id is None


def test_an_id_with_a_gap_in_train_is_refused_not_left_out(tmp_path: Path) -> None:
    train, test = rows([0, 1])
    train["id"] = train["id"].astype(float).where(train.index != 7)
    with pytest.raises(TaskError, match="column 'id' has rows without an id"):
        load_task(str(write_folder(tmp_path / "t", train, test, None)))


def test_a_class_that_train_lacks_has_probability_zero(tmp_path: Path) -> None:
    train, test = rows(["a", "b", "c"])
    sample = test[["id"]].assign(p_a=0.25, p_b=0.25, p_c=0.25, p_z=0.25)
    prepared = prepare(write_folder(tmp_path / "t", train, test, sample), tmp_path)
    public = pd.read_csv(Path(prepared.public) / "sample_submission.csv")
    assert (public["p_z"] == 0).all()


@pytest.mark.parametrize(
    ("labels", "column", "positive"),
    [
        (["good", "bad"], "bad", "bad"),
        (["good", "bad"], "prob_good", "good"),
        ([0, 1], "target", "1"),
        (["no", "yes"], "y", "yes"),
        (["yes", "no"], "y", "yes"),
        (["Not_Churned", "Churned"], "y", "Churned"),
        ([True, False], "probability", "True"),
        ([-1, 1], "y", "1"),
    ],
)
def test_the_positive_class_is_named_or_says_yes(
    tmp_path: Path, labels: list[Any], column: str, positive: str
) -> None:
    train, test = rows(labels)
    sample = test[["id"]].assign(**{column: 0.5})
    form = read_task(str(write_folder(tmp_path / "t", train, test, sample))).form
    assert form.positive == positive
    assert form.labels[-1] == positive


def test_an_unknown_positive_class_is_asked_for_and_the_remedy_works(tmp_path: Path) -> None:
    train, test = rows(["cat", "dog"])
    folder = write_folder(tmp_path / "t", train, test, test[["id"]].assign(y=0.5))
    with pytest.raises(TaskError, match="positive: dog"):
        load_task(str(folder))
    (folder / "task.yaml").write_text("positive: cat\n")
    assert read_task(str(folder)).form.positive == "cat"


def test_both_classes_of_a_binary_task_have_their_columns(tmp_path: Path) -> None:
    train, test = rows(["cat", "dog"])
    sample = test[["id"]].assign(dog=0.5, cat=0.5)
    prepared = prepare(write_folder(tmp_path / "t", train, test, sample), tmp_path)
    source = test[["id"]].assign(cat=0.2, dog=0.6)
    source.to_csv(tmp_path / "submission.csv", index=False)
    write_final_submission(prepared, str(tmp_path / "submission.csv"), str(tmp_path / "out.csv"))
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns) == ["id", "dog", "cat"]
    assert np.allclose(out["dog"], 0.75)
    assert np.allclose(out["cat"], 0.25)


def test_targets_follow_the_order_of_the_sample(tmp_path: Path) -> None:
    train, test = rows([1.5, 2.5, 9.0], "a")
    train["b"] = train["a"] * 10
    sample = test[["id"]].assign(b=0.0, a=0.0)
    loaded = read_task(str(write_folder(tmp_path / "t", train, test, sample)))
    assert loaded.task.target == ["b", "a"]
    assert [column.target for column in loaded.form.columns] == ["b", "a"]


def test_ids_that_train_lacks_are_matched_with_a_shuffled_sample(tmp_path: Path) -> None:
    train, test = rows([0, 1])
    sample = test[["id"]].assign(y=0.5).sample(frac=1, random_state=1)
    folder = write_folder(tmp_path / "t", train.drop(columns="id"), test, sample)
    prepared = prepare(folder, tmp_path)
    source = test[["id"]].assign(y=test["id"] / 1000)
    source.to_csv(tmp_path / "submission.csv", index=False)
    write_final_submission(prepared, str(tmp_path / "submission.csv"), str(tmp_path / "out.csv"))
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out["id"]) == list(sample["id"])
    assert np.allclose(out["y"], out["id"] / 1000)


def test_an_id_is_put_together_of_columns(tmp_path: Path) -> None:
    train, test = rows([1.0, 2.0, 3.5])
    days = [f"2024-01-{day:02d}" for day in range(1, 10)]
    test = test.drop(columns="id").assign(store=list("abcabcabc"), day=days)
    train = train.drop(columns="id").assign(
        store="a", day=pd.date_range("2023-01-01", periods=N).strftime("%Y-%m-%d")
    )
    sample = pd.DataFrame({"key": test["store"] + "_" + test["day"], "y": 0.0})
    task = load_task(str(write_folder(tmp_path / "t", train, test, sample[::-1])))
    assert task.id == "key"
    assert task.id_parts == ["store", "day"]


def test_ids_and_labels_are_handed_over_as_the_sample_writes_them(tmp_path: Path) -> None:
    train, test = rows(["None", "NA", "ok"])
    ids = ["0007", "1e5", "NA", "12.0", "a b", "-", "007x", "nan", "9" * 30]
    test = test.assign(id=ids)
    train = train.assign(id=[f"t{i}" for i in range(N)])
    sample = pd.DataFrame({"id": ids[::-1], "y": "None"})
    folder = write_folder(tmp_path / "t", train, test, sample, metric="accuracy")
    prepared = prepare(folder, tmp_path)
    source = Path(prepared.public) / "sample_submission.csv"
    write_final_submission(prepared, str(source), str(tmp_path / "out.csv"))
    out = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert list(out["id"]) == ids[::-1]
    assert set(out["y"]) <= {"None", "NA", "ok"}


@settings(derandomize=True, max_examples=15, deadline=None)
@given(st.permutations(range(9)), st.permutations(["p_a", "p_b", "p_c"]))
def test_a_permuted_sample_gives_the_permuted_submission(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], names: list[str]
) -> None:
    place = tmp_path_factory.mktemp("task")
    train, test = rows(["a", "b", "c"])
    sample = test[["id"]].assign(**dict.fromkeys(names, 1 / 3)).iloc[list(order)]
    prepared = prepare(write_folder(place / "t", train, test, sample), place)
    values: dict[str, Any] = {"p_a": test["id"] / 100, "p_b": 1 - test["id"] / 100, "p_c": 0.0}
    source = test[["id"]].assign(**values)[prepared.columns]
    source.to_csv(place / "submission.csv", index=False)
    write_final_submission(prepared, str(place / "submission.csv"), str(place / "out.csv"))
    out = pd.read_csv(place / "out.csv")
    assert list(out.columns) == ["id", *names]
    assert list(out["id"]) == list(sample["id"])
    assert np.allclose(out["p_a"], out["id"] / 100)


def test_a_column_that_is_merely_empty_in_test_is_no_target_beside_an_absent_one() -> None:
    train = pd.DataFrame({"id": [1, 2], "train_only": [0.5, 0.7], "y": [0, 1]})
    test = pd.DataFrame({"id": [3], "train_only": [float("nan")]})
    assert find_target_columns(None, train, test, [], "id", Path("train.csv")) == ["y"]
    assert find_target_columns(None, train.drop(columns="y"), test, [], "id", Path("t.csv")) == [
        "train_only"
    ]
