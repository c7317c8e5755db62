"""The final submission is written as the sample is: separator, decimal mark, order."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import write_task

from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.grade.rehearse import rehearse
from task.grade.score_answers import score_private
from task.load.spec import load_task
from task.types import Prepared, TaskError

N_TRAIN, N_TEST = 60, 12


def make_tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    n = N_TRAIN + N_TEST
    frame = pd.DataFrame({"id": [f"r;{i}" for i in range(n)], "x": rng.normal(size=n).round(3)})
    frame["y"] = (frame["x"] * 3 + 10).round(2)
    test = frame[N_TRAIN:].reset_index(drop=True)
    return {"train": frame[:N_TRAIN], "test": test.drop(columns="y"), "answers": test[["id", "y"]]}


def prepare_folder(folder: Path) -> Prepared:
    place = folder.parent
    task = load_task(str(folder))
    return prepare_task(task, str(place / "public"), str(place / "private"), seed=0, audit=False)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    filling=st.sampled_from([0, 0.5, 12.25]),
    is_packed=st.booleans(),
    order=st.permutations(range(N_TEST)),
)
def test_a_submission_has_the_form_of_its_sample(
    tmp_path_factory: pytest.TempPathFactory,
    separator: str,
    decimal: str,
    quoting: Any,
    encoding: str,
    filling: float,
    is_packed: bool,
    order: list[int],
) -> None:
    place = tmp_path_factory.mktemp("task")
    (place / "t").mkdir()
    form: dict[str, Any] = {"sep": separator, "decimal": decimal if separator != "," else "."}
    tables = make_tables()
    for name in ("train", "test"):
        tables[name].to_csv(place / "t" / f"{name}.csv", index=False, **form)
    sample = tables["test"][["id"]].assign(y=filling).iloc[list(order)]
    raw = sample.to_csv(index=False, quoting=quoting, **form).encode(encoding)
    path = place / "t" / ("sample_submission.csv" + ".gz" * is_packed)
    path.write_bytes(gzip.compress(raw) if is_packed else raw)
    prepared = prepare_folder(place / "t")
    rehearse(prepared)
    said = tables["answers"].assign(y=lambda frame: frame["y"] + 0.125)
    said.to_csv(place / "said.csv", index=False)
    out = place / "submission.csv"
    write_final_submission(prepared, str(place / "said.csv"), str(out))
    back = pd.read_csv(out, **form)
    assert list(back.columns) == ["id", "y"]
    assert list(back["id"]) == list(sample["id"])
    assert np.allclose(back["y"], said["y"].iloc[list(order)])
    tables["answers"].to_csv(place / "answers.csv", index=False, **form)
    error = score_private(str(place / "t"), str(place / "answers.csv"), str(out))
    assert error == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("at_fault", "spelling"), [("said", "{}"), ("said", "{}.0"), ("answers", "{}")]
)
def test_score_refuses_an_id_in_several_rows(tmp_path: Path, at_fault: str, spelling: str) -> None:
    (tmp_path / "t").mkdir()
    tables = make_tables()
    for name, frame in tables.items():
        frame["id"] = frame["id"].str.removeprefix("r;")
        if name != "answers":
            frame.to_csv(tmp_path / "t" / f"{name}.csv", index=False)
    true = tables["answers"]
    again = true.head(2).assign(id=true["id"].head(2).map(spelling.format), y=99.0)
    files = {"said": true, "answers": true}
    paths = {name: tmp_path / f"{name}.csv" for name in files}
    for name, frame in files.items():
        frame.to_csv(paths[name], index=False)
    ends = (str(tmp_path / "t"), str(paths["answers"]), str(paths["said"]))
    assert score_private(*ends) == pytest.approx(0.0)
    pd.concat([files[at_fault], again]).to_csv(paths[at_fault], index=False)
    first = true["id"].iloc[0]
    with pytest.raises(TaskError, match=rf"4 rows for 2 ids \(e\.g\. 2 for '{first}'\)") as caught:
        score_private(*ends)
    assert str(paths[at_fault]) in str(caught.value)


@pytest.mark.parametrize("name", ["sample_submission.tsv", "sample_submission.json"])
def test_a_sample_in_another_format_gives_a_plain_csv(tmp_path: Path, name: str) -> None:
    (tmp_path / "t").mkdir()
    tables = make_tables()
    for table in ("train", "test"):
        tables[table].to_csv(tmp_path / "t" / f"{table}.csv", index=False)
    sample = tables["test"][["id"]].assign(y=0.5)
    if name.endswith("json"):
        sample.to_json(tmp_path / "t" / name, orient="records")
    else:
        sample.to_csv(tmp_path / "t" / name, index=False, sep="\t")
    prepared = prepare_folder(tmp_path / "t")
    out = tmp_path / "submission.csv"
    source = Path(prepared.public) / "sample_submission.csv"
    write_final_submission(prepared, str(source), str(out))
    assert list(pd.read_csv(out)["id"]) == list(sample["id"])


def test_labels_are_handed_over_with_the_separator_of_the_sample(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    tables = make_tables()
    words = tables["train"].assign(y=lambda f: np.where(f["y"] > 10, "high; up", "low"))
    words.to_csv(tmp_path / "t" / "train.csv", index=False, sep=";")
    tables["test"].to_csv(tmp_path / "t" / "test.csv", index=False, sep=";")
    sample = tables["test"][["id"]].assign(y="low")
    sample.to_csv(tmp_path / "t" / "sample_submission.csv", index=False, sep=";")
    prepared = prepare_folder(tmp_path / "t")
    assert prepared.task.metric == "accuracy"
    source = sample.assign(y="high; up")
    source.to_csv(tmp_path / "said.csv", index=False)
    write_final_submission(prepared, str(tmp_path / "said.csv"), str(tmp_path / "out.csv"))
    assert list(pd.read_csv(tmp_path / "out.csv", sep=";")["y"]) == ["high; up"] * N_TEST


def test_labels_of_several_targets_are_rounded_and_handed_over_whole(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    tables = make_tables()
    targets = {"wet": lambda f: (f["x"] > 0).astype(int), "hot": lambda f: (f["x"] > 1).astype(int)}
    tables["train"].drop(columns="y").assign(**targets).to_csv(
        tmp_path / "t" / "train.csv", index=False
    )
    tables["test"].to_csv(tmp_path / "t" / "test.csv", index=False)
    sample = tables["test"][["id"]].assign(hot=0, wet=0)
    sample.to_csv(tmp_path / "t" / "sample_submission.csv", index=False)
    (tmp_path / "t" / "description.md").write_text("Evaluated by the mean F1 of both columns.\n")
    prepared = prepare_folder(tmp_path / "t")
    assert prepared.task.metric == "f1_mean_columns"
    rehearse(prepared)
    said = sample.assign(hot=0.2, wet=0.8)
    said.to_csv(tmp_path / "said.csv", index=False)
    write_final_submission(prepared, str(tmp_path / "said.csv"), str(tmp_path / "out.csv"))
    back = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert set(back["wet"]) == {"1"} and set(back["hot"]) == {"0"}


@pytest.mark.parametrize(
    ("dry", "metric"),
    [
        (lambda f: (f["x"] <= 0).astype(int), "log_loss"),  # one class a row
        (lambda f: (f["x"] > 1).astype(int), "auc_mean_columns"),  # any number of labels
        (lambda f: f["x"], "rmse_mean_columns"),
    ],
)
def test_several_targets_of_zeros_and_ones_are_labels_by_default(
    tmp_path: Path, dry: Callable[[pd.DataFrame], pd.Series[Any]], metric: str
) -> None:
    (tmp_path / "t").mkdir()
    tables = make_tables()
    train = tables["train"].drop(columns="y")
    train = train.assign(wet=(train["x"] > 0).astype(int), dry=dry)
    train.to_csv(tmp_path / "t" / "train.csv", index=False)
    tables["test"].to_csv(tmp_path / "t" / "test.csv", index=False)
    sample = tables["test"][["id"]].assign(wet=0.5, dry=0.5)
    sample.to_csv(tmp_path / "t" / "sample_submission.csv", index=False)
    prepared = prepare_folder(tmp_path / "t")
    assert prepared.task.metric == metric
    rehearse(prepared)


def test_a_submission_of_other_values_is_named_once(tmp_path: Path) -> None:
    task, said = write_task(tmp_path / "task"), tmp_path / "said.csv"
    test = pd.read_csv(task / "test.csv", dtype=str)
    test[["id"]].assign(label="1").to_csv(tmp_path / "answers.csv", index=False)
    test[["id"]].assign(label="word").to_csv(said, index=False)
    with pytest.raises(TaskError) as refusal:
        score_private(str(task), str(tmp_path / "answers.csv"), str(said))
    assert str(refusal.value).startswith(str(said)) and str(refusal.value).count("said.csv") == 1
