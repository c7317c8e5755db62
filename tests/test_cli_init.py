"""`gome init`: what was read, as text and as JSON, also of folders that cannot be written."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from task.load.init import describe_task, init_task, replace_text
from task.types import TaskError

KEYS = (
    "train test sample id target kind metric direction columns classes positive split rows "
    "repairs rehearsal refusal"
)


def gome(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gome", *arguments], cwd=cwd, capture_output=True, text=True
    )


def describe(folder: Path, *arguments: str) -> dict[str, Any]:
    done = gome("init", str(folder), "--dry-run", "--json", *arguments, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "task"
    place.mkdir()
    train = pd.DataFrame(
        {"id": np.arange(50), "x": np.arange(50) % 9, "risk": ["low", "high"] * 25}
    )
    train.to_csv(place / "train.csv", index=False)
    test = pd.DataFrame({"id": np.arange(50, 60), "x": 1})
    test.to_csv(place / "test.csv", index=False)
    test[["id"]].assign(high=0.5).to_csv(place / "sample_submission.csv", index=False)
    return place


def test_a_dry_run_prints_one_object_and_writes_nothing(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    found = describe(folder)
    assert set(KEYS.split()) <= set(found)
    assert (found["id"], found["target"], found["positive"]) == ("id", ["risk"], "high")
    assert [set(item) for item in found["columns"]] == [{"name", "kind", "why", "fate"}] * 3
    assert found["rehearsal"]["truth"] == 1.0
    assert found["refusal"] is None
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_refusal_is_a_sentence_of_the_object(folder: Path) -> None:
    (folder / "sample_submission.csv").unlink()
    found = describe(folder)
    assert "positive: " in found["refusal"]
    assert found["train"] == "train.csv"


def test_a_folder_that_is_none_is_a_refusal_too(tmp_path: Path) -> None:
    assert "is not a folder" in describe(tmp_path / "nowhere")["refusal"]


@pytest.mark.slow
def test_the_written_task_reads_as_the_dry_run_said(folder: Path) -> None:
    before = describe(folder)
    done = gome("init", str(folder), cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert "Positive class of risk: high" in done.stdout
    after = describe(folder)
    same = ("id", "target", "kind", "metric", "positive", "split", "classes", "columns")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}


def test_task_yaml_goes_where_config_says(folder: Path) -> None:
    path = folder.parent / "elsewhere" / "task.yaml"
    done = gome("init", str(folder), "--config", str(path), cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert not (folder / "task.yaml").exists()
    path.write_text(path.read_text().replace("metric: auc", "metric: log_loss"))
    assert describe(folder, "--config", str(path))["metric"] == "log_loss"


def test_a_task_file_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text("metric: auc\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            replace_text(path, "metric: rmse\n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "metric: auc\n"
    assert [item.name for item in tmp_path.iterdir()] == ["task.yaml"]


def test_a_line_that_a_refusal_asks_for_is_kept_and_the_file_completed(folder: Path) -> None:
    (folder / "sample_submission.csv").unlink()
    with pytest.raises(TaskError, match=r"set `positive: low` \(or the other\) in task.yaml"):
        init_task(str(folder))
    (folder / "task.yaml").write_text("# by hand\npositive: high")
    written = init_task(str(folder))
    text = (folder / "task.yaml").read_text()
    assert text.startswith("# by hand\npositive: high\n# Added by `gome init`:\nname: task")
    assert text.count("positive:") == 1 and "completed" in written.notice
    assert describe_task(str(folder))["positive"] == "high"
    with pytest.raises(TaskError, match="exists; edit it, or overwrite it with --force"):
        init_task(str(folder))


def test_a_target_beside_that_of_the_file_is_refused(folder: Path) -> None:
    (folder / "task.yaml").write_text("target: risk\n")
    with pytest.raises(TaskError, match="says `target: risk`"):
        init_task(str(folder), target="x")
    assert (folder / "task.yaml").read_text() == "target: risk\n"


def test_a_file_that_takes_no_more_lines_is_left(folder: Path) -> None:
    (folder / "task.yaml").write_text("{positive: high}\n")
    with pytest.raises(TaskError, match="no line can be added"):
        init_task(str(folder))
    assert (folder / "task.yaml").read_text() == "{positive: high}\n"


def test_a_mistyped_column_is_answered_with_the_nearest(folder: Path) -> None:
    refusal = describe_task(str(folder), target="Risks")["refusal"]
    assert "to one of risk, id, x" in str(refusal)


def test_only_metrics_of_the_kind_are_offered(folder: Path) -> None:
    init_task(str(folder))
    [line] = [
        text
        for text in (folder / "task.yaml").read_text().splitlines()
        if text.startswith("metric:")
    ]
    assert "log_loss" in line and "levenshtein" not in line and "rmse" not in line


def test_numbers_behind_a_prefix_name_the_rows(tmp_path: Path) -> None:
    numbers = pd.Series([f"P-{number:04d}" for number in range(60)], name="Patient No.")
    table = pd.DataFrame({numbers.name: numbers, "x": np.arange(60) % 7, "y": np.arange(60.0)})
    table[:40].to_csv(tmp_path / "train.csv", index=False)
    table[40:].drop(columns="y").to_csv(tmp_path / "test.csv", index=False)
    found = describe_task(str(tmp_path))
    assert found["id"] == "Patient No."
    assert any("a prefix and a number for each row" in text for text in found["decided"])
    table.assign(**{"Patient No.": "P-1"}).to_csv(tmp_path / "train.csv", index=False)
    assert describe_task(str(tmp_path))["id"] is None
    plots = table.rename(columns={"Patient No.": "plot"}).assign(plot=range(60))
    plots[:40].to_csv(tmp_path / "train.csv", index=False)
    plots[40:].drop(columns="y").assign(plot=range(900, 920)).to_csv(
        tmp_path / "test.csv", index=False
    )
    counted = describe_task(str(tmp_path))
    assert counted["id"] is None and any("set `id: plot`" in text for text in counted["decided"])


def test_rows_held_out_keep_their_names(tmp_path: Path) -> None:
    root = tmp_path / "clinic"
    root.mkdir()
    names = [f"P-{number:04d}" for number in range(60)]
    table = pd.DataFrame({"Patient No.": names, "x": np.arange(60) % 7, "y": np.arange(60.0)})
    table.to_csv(root / "clinic.csv", index=False)
    reasons = init_task(str(root), hold_out=0.2).reasons
    answers = pd.read_csv(tmp_path / "clinic-private" / "answers.csv")
    assert list(answers) == ["Patient No.", "y"]
    assert any(line.startswith("id: Patient No. (") for line in reasons)


def test_an_id_that_stands_twice_is_answered_with_remedies_that_work(folder: Path) -> None:
    train = pd.read_csv(folder / "train.csv")
    pd.concat([train, train[:1]]).to_csv(folder / "train.csv", index=False)
    refusal = str(describe_task(str(folder))["refusal"])
    assert "remove the rows that are there twice, or that column from the training" in refusal
    for remedy in (train, train.drop(columns="id")):
        remedy.to_csv(folder / "train.csv", index=False)
        assert describe_task(str(folder))["refusal"] is None


def test_several_rows_for_one_prediction_are_put_together(folder: Path) -> None:
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "test")}
    for name, table in tables.items():
        table.assign(id=table["id"] // 2).to_csv(folder / f"{name}.csv", index=False)
    pd.DataFrame({"id": range(25, 30), "high": 0.5}).to_csv(
        folder / "sample_submission.csv", index=False
    )
    refusal = str(describe_task(str(folder))["refusal"])
    assert "the sample asks for one prediction per id: put the rows of each id together" in refusal
    for name, table in tables.items():
        together = table.groupby(table["id"] // 2).first().drop(columns="id").reset_index()
        if "risk" in together:
            together["risk"] = ["low", "high"] * 12 + ["low"]
        together.to_csv(folder / f"{name}.csv", index=False)
    assert describe_task(str(folder))["refusal"] is None


def test_a_metric_that_no_line_names_is_not_passed_over(folder: Path) -> None:
    (folder / "metric.py").write_text("def score(answers, submission):\n    return 0.0\n")
    made = init_task(str(folder))
    assert any("metric.py is not used; `metric: metric.py`" in reason for reason in made.reasons)
