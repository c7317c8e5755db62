"""What is handed over passes what MLE-bench's graders check, whatever a script wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import layout_kit
import numpy as np
import pandas as pd
import pytest
from kit import write_task

from evals.mlebench.checks import check_as_graders
from evals.mlebench.expert_runs import Outcome, render_outcomes, score_constant
from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.grade.predictions import get_truth
from task.load.spec import load_task, read_task
from task.load.tables import read_table
from task.types import Prepared


def make_wild_submission(prepared: Prepared, path: Path, seed: int) -> None:
    """Write what a careless script writes: any order, probabilities that sum to anything."""
    rng, truth = np.random.default_rng(seed), get_truth(prepared)
    frame = pd.read_csv(Path(prepared.public) / "sample_submission.csv", dtype=str)
    names, metric = prepared.columns[1:], truth.metric
    for name in names:
        if metric.needs in ("label", "ranking") and truth.labels:
            frame[name] = rng.choice(truth.labels, len(frame))
        elif metric.needs == "probability":
            frame[name] = rng.uniform(0, 1, len(frame))
        elif metric.needs == "value":
            low, high = truth.form.bounds or (None, None)
            frame[name] = rng.normal(0, 3, len(frame)) if high is None else rng.uniform(-1, 2)
    if metric.name == "auc" and len(names) == 1:
        frame[names[0]] = rng.normal(0, 9, len(frame))
    if metric.sums_to_one:
        frame[names] = rng.uniform(0, 5, (len(frame), len(names)))
    frame.sample(frac=1, random_state=seed)[[*names[::-1], prepared.id]].to_csv(path, index=False)


def hand_over(root: Path, scratch: Path) -> tuple[Prepared, pd.DataFrame, pd.DataFrame]:
    """Prepare a layout and hand over a wild submission; return sample and result as text."""
    task = read_task(str(root)).task
    prepared = prepare_task(
        task, str(scratch / "public"), str(scratch / "private"), seed=0, audit=False
    )
    make_wild_submission(prepared, scratch / "wild.csv", 3)
    write_final_submission(prepared, str(scratch / "wild.csv"), str(scratch / "final.csv"))
    made = pd.read_csv(scratch / "final.csv", dtype=str, keep_default_na=False)
    assert task.sample_submission
    sample = read_table(Path(task.sample_submission)).frame
    return prepared, sample.astype(object).where(sample.notna(), "").map(str), made


WITH_SAMPLE = sorted(layout_kit.KINDS)


@pytest.mark.parametrize("name", WITH_SAMPLE)
def test_a_careless_submission_is_handed_over_as_graders_want_it(name: str, tmp_path: Path) -> None:
    root = tmp_path / "task"
    layout_kit.make_layout(name, root)
    if not read_task(str(root)).task.sample_submission:
        pytest.skip("the layout has no sample")
    prepared, sample, made = hand_over(root, tmp_path)
    assert prepared.form is not None
    assert check_as_graders(sample, made, prepared.form, get_truth(prepared).metric) == []


def test_scores_beyond_one_keep_their_order(tmp_path: Path) -> None:
    root = tmp_path / "task"
    root.mkdir()
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(60), "x": rng.normal(size=60), "y": np.arange(60) % 2})
    frame.to_csv(root / "train.csv", index=False)
    test = pd.DataFrame({"id": range(60, 90), "x": rng.normal(size=30)})
    test.to_csv(root / "test.csv", index=False)
    test[["id"]].assign(y=0.5).to_csv(root / "sample_submission.csv", index=False)
    (root / "task.yaml").write_text("metric: auc\n")
    _, _, made = hand_over(root, tmp_path)
    wild = pd.read_csv(tmp_path / "wild.csv").sort_values("id")["y"]
    values = made["y"].astype(float)
    assert wild.min() < 0 and wild.max() > 1 and values.between(0, 1).all()
    assert list(np.argsort(wild.to_numpy())) == list(np.argsort(values.to_numpy()))


FAULTS: dict[str, Any] = {
    "columns": lambda frame: frame[frame.columns[::-1]],
    "rows instead": lambda frame: frame.iloc[1:],
    "ids": lambda frame: frame.iloc[::-1].reset_index(drop=True),
    "sum to one": lambda frame: frame.assign(a="0.9"),
    "probabilities in": lambda frame: frame.assign(a="1.5"),
    "not a number": lambda frame: frame.assign(a="x"),
    "are empty": lambda frame: frame.assign(a=""),
}


@pytest.mark.parametrize("words", list(FAULTS))
def test_a_fault_is_found(words: str, tmp_path: Path) -> None:
    root = tmp_path / "task"
    root.mkdir()
    frame = pd.DataFrame({"id": range(60), "x": range(60), "y": list("abc") * 20})
    frame.to_csv(root / "train.csv", index=False)
    test = pd.DataFrame({"id": range(60, 70), "x": range(10)})
    test.to_csv(root / "test.csv", index=False)
    shares = dict.fromkeys("abc", 0.3333)
    test[["id"]].assign(**shares).to_csv(root / "sample_submission.csv", index=False)
    (root / "description.md").write_text("Scored by the log loss.\n")
    prepared, sample, made = hand_over(root, tmp_path)
    assert prepared.form is not None
    metric = get_truth(prepared).metric
    assert check_as_graders(sample, made, prepared.form, metric) == []
    found = check_as_graders(sample, FAULTS[words](made), prepared.form, metric)
    assert any(words in one for one in found), found


def test_a_run_is_compared_with_the_constant_of_the_sample(tmp_path: Path) -> None:
    """Its score on the validated rows; a tie, or less than a hundredth, is not better."""
    folder = write_task(tmp_path / "task")
    task = load_task(str(folder))
    public, private = str(tmp_path / "public"), str(tmp_path / "private")
    assert score_constant(prepare_task(task, public, private, seed=0, audit=False)) == 0.5
    runs = [
        Outcome("a", "auc", "max", 0.6, 0.5, ""),
        Outcome("b", "auc", "max", 0.504, 0.5, ""),
        Outcome("c", "rmse", "min", 0.6, 0.5, ""),
        Outcome("d", "accuracy", "max", 0.2, None, ""),
        Outcome("e", "auc", "max", 0.9, 0.5, "no submission"),
    ]
    assert [one.is_better for one in runs] == [True, False, False, True, False]
    table = render_outcomes(runs)
    assert table.startswith("4 of 5 runs end with a valid submission; 2 are better")
    assert "| e | no: no submission | max auc | 0.9 | 0.5 | no |" in table
