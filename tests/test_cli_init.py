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

from task.load.init import replace_text

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
