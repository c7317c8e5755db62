"""Before a run the true labels are graded as a submission: what cannot be scored is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from task.data.prepare import prepare_task
from task.grade.predictions import get_truth
from task.grade.rehearse import grade_truth, rehearse
from task.load.spec import load_task
from task.types import Prepared, TaskError

N = 90
RNG = np.random.default_rng(0)


def prepare(folder: Path, target: pd.DataFrame, yaml: str, sample: bool = True) -> Prepared:
    task = folder / "task"
    task.mkdir()
    features = pd.DataFrame({"id": [f"r{i}" for i in range(N)], "x": RNG.normal(size=N)})
    features.join(target).to_csv(task / "train.csv", index=False)
    test = pd.DataFrame({"id": [f"s{i}" for i in range(9)], "x": RNG.normal(size=9)})
    test.to_csv(task / "test.csv", index=False)
    if sample:
        answer: dict[str, Any] = {str(name): target[name].iloc[0] for name in target}
        test[["id"]].assign(**answer).to_csv(task / "sample_submission.csv", index=False)
    (task / "task.yaml").write_text(yaml)
    loaded = load_task(str(task))
    return prepare_task(
        loaded, str(folder / "public"), str(folder / "private"), seed=0, audit=False
    )


KINDS = {
    "auc": pd.DataFrame({"y": np.arange(N) % 2}),
    "accuracy": pd.DataFrame({"y": np.array(["None", "true", "1e5"])[np.arange(N) % 3]}),
    "f1": pd.DataFrame({"y": np.array(["no", "yes"])[np.arange(N) % 2]}),
    "qwk": pd.DataFrame({"y": np.arange(N) % 5 - 1}),
    "map@3": pd.DataFrame({"y": np.array(["a b", "b", "a", "c d e"])[np.arange(N) % 4]}),
    "rmsle": pd.DataFrame({"y": RNG.gamma(2, 3, N)}),
    "log_loss": pd.DataFrame({"a": np.arange(N) % 2, "b": np.arange(N) // 2 % 2}),
    "spearman": pd.DataFrame({"u": RNG.normal(size=N), "v": RNG.normal(size=N)}),
}


@pytest.mark.parametrize("metric", list(KINDS))
def test_the_true_labels_have_the_optimum(tmp_path: Path, metric: str) -> None:
    found = rehearse(prepare(tmp_path, KINDS[metric], f"metric: {metric}\n"))
    assert found["truth"] == pytest.approx(found["optimum"], abs=1e-6)
    assert abs(found["shuffled"] - found["truth"]) > 0.1


def test_names_with_line_ends_are_written_and_graded(tmp_path: Path) -> None:
    target = pd.DataFrame({'my\ntarget, "x"': np.arange(N) % 2})
    found = rehearse(prepare(tmp_path, target, "metric: auc\n"))
    assert found["truth"] == 1.0


def test_a_wrong_direction_is_refused(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    metric = "def score(y, p):\n    return float(abs(y - p).mean())\n"
    (tmp_path / "task" / "metric.py").write_text(metric)
    (tmp_path / "task").rename(tmp_path / "kept")
    prepared = prepare(tmp_path, KINDS["rmsle"], "metric: mae\n")
    changes = {"metric": str(tmp_path / "kept" / "metric.py"), "direction": "max"}
    reversed_task = prepared.task.model_copy(update=changes)
    with pytest.raises(TaskError, match="max is better"):
        rehearse(prepared.model_copy(update={"task": reversed_task}))


def test_a_metric_that_depends_on_the_order_of_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text(
        "direction = 'max'\ncalls = []\n"
        "def score(y, p):\n    calls.append(1)\n    return float(len(calls))\n"
    )
    prepared = prepare(tmp_path, KINDS["rmsle"], "metric: mae\n")
    own = prepared.task.model_copy(
        update={"metric": str(tmp_path / "metric.py"), "direction": "max"}
    )
    with pytest.raises(TaskError, match="another order"):
        rehearse(prepared.model_copy(update={"task": own}))


def test_swapped_columns_are_found(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, KINDS["spearman"], "metric: spearman\n")
    labels = Path(prepared.private) / "labels.parquet"
    frame = pd.read_parquet(labels)
    frame.rename(columns={"=u": "=v", "=v": "=u"}).to_parquet(labels)
    with pytest.raises(TaskError, match="instead of 1"):
        rehearse(prepared)


def test_labels_lost_on_the_way_to_scripts_are_found(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, KINDS["accuracy"], "metric: accuracy\n")
    train = Path(prepared.public) / "train.csv"
    train.write_text(train.read_text().replace("None_", "None"))
    with pytest.raises(TaskError, match="refused"):
        rehearse(prepared)


def test_a_target_below_zero_cannot_have_rmsle(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="negative"):
        prepare(tmp_path, pd.DataFrame({"y": RNG.normal(size=N)}), "metric: rmsle\n")


def test_predictions_are_clipped_as_they_are_handed_over(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, KINDS["rmsle"], "metric: rmsle\n")
    truth = get_truth(prepared)
    assert truth.form.bounds == (0.0, None)
    assert grade_truth(truth, tmp_path)["truth"] == 0
