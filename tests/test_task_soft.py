"""Probabilities and values in place of labels: read, decoded nested over folds, judged, blended."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from trust_kit import write_frames

from task.data.prepare import prepare_task
from task.grade.blend import blend_attempts, blend_driver, mix_submissions
from task.grade.grade import grade_execution
from task.grade.handover import write_final_submission
from task.grade.metrics import METRICS
from task.grade.predictions import (
    PredictionsError,
    get_truth,
    read_pair,
    read_predictions,
    read_said,
)
from task.grade.soft import decode
from task.grade.soft.confusion import count_pairs, score_matrices
from task.grade.soft.decode import DecodedTarget, decode_across_folds, fit_decoder
from task.grade.soft.loss import class_losses
from task.grade.soft.rules import SOFT_RULES, find_rule
from task.load.spec import load_task
from task.types import Prepared

LABELS = {2: ["no", "yes"], 3: ["a b", "1.0", "c"], 4: ["0", "1", "2", "3"]}


def make_task(tmp_path: Path, metric: str, n_classes: int, *, soft: bool = True) -> Prepared:
    """A task of classes that follow `x`, with probabilities in its other columns."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(500)], "x": rng.normal(size=500)})
    frame["z"] = rng.normal(size=500)
    true = np.digitize(
        frame["x"] + rng.normal(0, 0.7, 500), np.linspace(-1, 1, n_classes + 1)[1:-1]
    )
    frame["label"] = np.array(LABELS[n_classes])[true]
    folder = write_frames(tmp_path / metric, frame[:400], frame[400:], metric=metric)
    return prepare_task(
        load_task(str(folder)),
        str(tmp_path / "public"),
        str(tmp_path / "private"),
        seed=0,
        audit=False,
        soft=soft,
    )


def write_soft(prepared: Prepared, folder: Path, sharpness: float = 2.0) -> dict[str, str]:
    """Files of a model of `x`, in the soft form of the task; and those of its likeliest labels."""
    folder.mkdir(parents=True)
    labels = prepared.form.labels if prepared.form else []
    order = [LABELS[len(labels)].index(spell(label, LABELS[len(labels)])) for label in labels]
    assert prepared.soft is not None
    files = {}
    for name, table in (("oof.csv", "train"), ("submission.csv", "test")):
        rows = pd.read_csv(f"{prepared.public}/{table}.csv")
        middles = np.linspace(-1, 1, len(labels))
        p = np.exp(-sharpness * (rows["x"].to_numpy()[:, None] - middles) ** 2)[:, order]
        p /= p.sum(axis=1, keepdims=True)
        if prepared.soft.layout == "classes":
            frame = pd.DataFrame(p, columns=prepared.soft.columns[1:])
        elif prepared.soft.layout == "positive":
            frame = pd.DataFrame({"label": p[:, 1]})
        else:
            frame = pd.DataFrame({"label": p @ np.arange(len(labels))})
        frame.insert(0, "id", rows["id"])
        frame.to_csv(folder / name, index=False)
        files[name] = str(folder / name)
    return files


def spell(label: str, labels: list[str]) -> str:
    return next(one for one in labels if one in (label, label + ".0", label.removesuffix(".0")))


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_weighted", "mcc", "jaccard", "qwk"],
)
def test_a_confusion_matrix_scores_as_the_metric_does(metric: str) -> None:
    rng = np.random.default_rng(0)
    n_classes = 2 if metric == "f1" else 4
    for n in (12, 300):
        true = np.r_[np.arange(n_classes), rng.integers(0, n_classes, n)]
        said = np.where(rng.random(len(true)) < 0.6, true, rng.integers(0, n_classes, len(true)))
        found = score_matrices(metric, count_pairs(true, said, n_classes))
        assert float(found) == pytest.approx(METRICS[metric].score(true * 1.0, said * 1.0))


def test_thresholds_of_a_fold_are_fitted_without_it() -> None:
    """Of pure noise a threshold fitted on the same rows scores above chance; a nested one not."""
    rng = np.random.default_rng(0)
    target = DecodedTarget("mcc", "weights", (np.array([0.0, 1.0]),))
    nested, own = [], []
    for _ in range(40):
        y, second, folds = rng.integers(0, 2, 200), rng.random(200), np.arange(200) % 5
        p = np.column_stack([1 - second, second])
        said = decode_across_folds(target, y, p, folds)
        nested.append(METRICS["mcc"].score(y, said))
        weights = np.array(fit_decoder(target, y, p).weights)
        own.append(METRICS["mcc"].score(y, (p * weights).argmax(axis=1)))
    assert np.mean(own) > 0.05 and abs(np.mean(nested)) < 0.03


@pytest.mark.parametrize(
    ("metric", "n_classes"),
    [("f1_macro", 3), ("mcc", 2), ("qwk", 4), ("map@2", 3)],
)
def test_probabilities_are_graded_judged_and_handed_over_as_labels(
    tmp_path: Path, metric: str, n_classes: int
) -> None:
    prepared = make_task(tmp_path, metric, n_classes)
    files = write_soft(prepared, tmp_path / "one")
    other = write_soft(prepared, tmp_path / "two", sharpness=0.01)
    reference = {"best": {"oof": other["oof.csv"], "submission": other["submission.csv"]}}
    grade = grade_execution(prepared, files, reference, None)  # type: ignore[arg-type]
    assert grade["ok"], grade["problems"]
    assert grade["surrogate"]["best"]["n"] == 400 and grade["evidence"]["surrogate"]["decoder"]
    script = write_final_submission(
        prepared, files["submission.csv"], str(tmp_path / "final.csv"), files["oof.csv"]
    )
    final = pd.read_csv(tmp_path / "final.csv", dtype=str)
    assert list(final.columns) == ["id", "label"]
    assert {word for cell in final["label"] for word in split(metric, cell)} <= {
        str(label) for label in pd.read_csv(f"{prepared.public}/train.csv", dtype=str)["label"]
    }
    assert script is not None
    (tmp_path / "one" / "labels.py").write_text(script)
    subprocess.run([sys.executable, "labels.py"], cwd=tmp_path / "one", check=True)
    again = pd.read_csv(tmp_path / "one" / "labels.csv", dtype=str)
    assert again.set_index("id").loc[final["id"], "label"].tolist() == final["label"].tolist()


def split(metric: str, cell: str) -> list[str]:
    return re.findall("a b|[^ ]+", cell) if metric.startswith("map") else [cell]


def test_labels_stay_valid_and_are_not_compared_by_the_surrogate(tmp_path: Path) -> None:
    prepared = make_task(tmp_path, "accuracy", 2)
    soft = write_soft(prepared, tmp_path / "soft")
    (tmp_path / "hard").mkdir()
    for name, path in soft.items():
        frame = pd.read_csv(path)
        frame["label"] = np.where(frame["label"] > 0.5, "yes", "no")
        frame.to_csv(tmp_path / "hard" / name, index=False)
    hard = {name: str(tmp_path / "hard" / name) for name in soft}
    one = grade_execution(prepared, soft, {"best": {"oof": hard["oof.csv"]}}, None)
    two = grade_execution(prepared, hard, {"best": {"oof": soft["oof.csv"]}}, None)
    assert one["score"] == two["score"] and one["paired"]["best"]["d"] == 0
    assert one["surrogate"] == two["surrogate"] == {}
    with pytest.raises(PredictionsError, match="write both in the same form"):
        read_pair(get_truth(prepared), soft["oof.csv"], hard["submission.csv"])


def test_a_task_that_switches_it_off_refuses_probabilities(tmp_path: Path) -> None:
    off, on = (
        make_task(tmp_path / name, "accuracy", 2, soft=name == "on") for name in ("off", "on")
    )
    files = write_soft(on, tmp_path / "files")
    assert grade_execution(off, files, {}, None)["problems"][0]["code"] == "unknown_label"


HOSTILE: dict[str, tuple[Any, str]] = {
    "missing": (lambda p: p.assign(c=math.nan), "NaN or infinite"),
    "infinite": (lambda p: p.assign(c="1e999"), "NaN or infinite"),
    "negative": (lambda p: p.assign(c=-0.5), "outside 0..1"),
    "large": (lambda p: p.assign(c=1e300), "outside 0..1"),
    "sums": (lambda p: p.assign(c=p["c"] / 2 + 0.5), "divide each row by its sum"),
    "words": (lambda p: p.assign(c="=1+1"), "not numbers"),
    "an unknown class": (lambda p: p.rename(columns={"c": "d"}), "or .* with probabilities"),
    "a class twice": (lambda p: p.assign(**{"1": 0.0}), "or .* with probabilities"),
    "one class": (lambda p: p[["id", "c"]], "or .* with probabilities"),
}


def test_hostile_probabilities_are_refused_and_a_class_may_lack(tmp_path: Path) -> None:
    prepared = make_task(tmp_path, "accuracy", 3)
    truth, path = get_truth(prepared), tmp_path / "bad.csv"
    good = pd.read_csv(write_soft(prepared, tmp_path / "good")["oof.csv"])
    for what, (spoil, words) in HOSTILE.items():
        spoil(good).to_csv(path, index=False)
        with pytest.raises(PredictionsError, match=words) as caught:
            read_said(truth, str(path), "oof.csv", truth.validated_ids)
        assert len(str(caught.value)) < 400, what
    two = good.drop(columns="c")
    two.iloc[:, 1:] = 0.5
    two.to_csv(path, index=False)
    said = read_said(truth, str(path), "oof.csv", truth.validated_ids).soft
    assert said is not None and said.shape == (400, 3) and (said[:, 2] == 0).all()


def test_the_surrogate_is_blind_to_what_the_decoder_undoes() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 3000)
    y = np.array([rng.choice(3, p=row) for row in p])
    folds = np.arange(3000) % 5
    overconfident = p**3 / (p**3).sum(axis=1, keepdims=True)
    tilted = p * [4, 1, 1] / (p * [4, 1, 1]).sum(axis=1, keepdims=True)
    honest = class_losses(y, p, folds, with_weights=True).mean()
    assert class_losses(y, overconfident, folds, with_weights=False).mean() < honest + 0.01
    assert class_losses(y, tilted, folds, with_weights=True).mean() < honest + 0.01
    assert class_losses(y, tilted, folds, with_weights=False).mean() > honest + 0.05


def test_probabilities_blend_as_probabilities_and_the_driver_writes_the_same(
    tmp_path: Path,
) -> None:
    prepared = make_task(tmp_path, "accuracy", 3)
    best = tmp_path / "best"
    found = {
        name: write_soft(prepared, best / "members" / name, sharpness)
        for name, sharpness in (("a", 3.0), ("b", 0.5))
    }
    members = {
        name: {"oof": files["oof.csv"], "submission": files["submission.csv"]}
        for name, files in found.items()
    }
    blend = blend_attempts(prepared, members, str(tmp_path))
    truth = get_truth(prepared)
    assert read_said(truth, blend["oof"], "oof.csv", truth.validated_ids).soft is not None
    weights = {"a": 0.25, "b": 0.75}
    mixed = tmp_path / "mixed.csv"
    submissions = {name: files["submission.csv"] for name, files in found.items()}
    mix_submissions(prepared, submissions, weights, str(mixed))
    for name in members:
        (best / "members" / name / "solution.py").write_text("")
    (best / "input").mkdir()
    (best / "solution.py").write_text(blend_driver(blend | {"weights": weights}))
    subprocess.run([sys.executable, "solution.py"], cwd=best, check=True)
    one, two = (pd.read_csv(path).set_index("id") for path in (best / "submission.csv", mixed))
    assert np.allclose(one.loc[two.index, two.columns], two)
    labels = read_predictions(truth, blend["oof"], "oof.csv", truth.validated_ids)
    assert truth.metric.score(truth.y, labels) > 0.5


def test_the_table_of_the_docs_is_the_table_of_the_code() -> None:
    text = (Path(__file__).parents[1] / "docs" / "trust.md").read_text()
    told = dict(re.findall(r"^\| `([\w@]+)` \| (\w+ \| \w+ \| [\w ]+) \|$", text, re.MULTILINE))
    assert told == {
        name: f"{rule.writes} | {rule.decoder} | {rule.loss}" for name, rule in SOFT_RULES.items()
    }
    for name, metric in METRICS.items():
        assert (find_rule(metric) is not None) == (name in SOFT_RULES), name
        assert metric.needs != "label" or name in SOFT_RULES


def test_what_is_known_of_the_form_survives_the_setup_file(tmp_path: Path) -> None:
    prepared = make_task(tmp_path, "qwk", 4)
    again = Prepared.model_validate(json.loads(prepared.model_dump_json()))
    assert again.soft == prepared.soft and again.soft is not None
    assert Prepared.model_validate(prepared.model_dump(exclude={"soft"})).soft is None


def test_two_scripts_that_differ_in_noise_alone_get_thresholds_of_one_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The best threshold is luck that no standard error counts; the average of good ones less."""
    target = DecodedTarget("mcc", "weights", (np.array([0.0, 1.0]),))

    def score_pairs() -> NDArray[np.float64]:
        rng, folds, found = np.random.default_rng(0), np.arange(500) % 5, []
        for _ in range(30):
            logit = 1.2 * rng.normal(size=500) - 1.5
            y = (rng.random(500) < 1 / (1 + np.exp(-logit))).astype(int)
            seconds = [1 / (1 + np.exp(0.3 * rng.normal(size=500) - logit)) for _ in range(2)]
            tables = [np.column_stack([1 - second, second]) for second in seconds]
            said = [decode_across_folds(target, y, p, folds).astype(int) for p in tables]
            found.append([float(score_matrices("mcc", count_pairs(y, one, 2))) for one in said])
        return np.array(found)

    averaged = score_pairs()
    monkeypatch.setattr(decode, "SCORE_NOISE", 1e-9)
    best = score_pairs()
    assert np.diff(averaged).std() < 0.8 * np.diff(best).std()
    assert averaged.mean() > best.mean()
