"""The expert's scripts end with valid files on tables in which a fit lacks something."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from briefs.task_brief import make_task_brief
from reasoner.expert.drafts import first_spec
from reasoner.expert.facts import read_task_facts
from reasoner.expert.names import plain_names
from reasoner.expert.render import render_script
from reasoner.expert.spec import FAMILIES, ScriptSpec
from reasoner.protocol import DraftBrief, Resources, Stage
from task.data.prepare import prepare_task
from task.data.profile import profile_data
from task.grade.predictions import get_truth, read_predictions
from task.load.spec import load_task
from task.types import Prepared

Case = tuple[pd.DataFrame, pd.Series, str]
"""Features with an id, labels, metric."""
N = 200
FAST_FAMILIES = ("hgb", "lgbm", "linear")


def plain_case(kind: str = "binary") -> tuple[pd.DataFrame, pd.Series]:
    """Two numbers and a category; the label follows them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 2)).round(3), columns=["a", "b"])
    frame["city"] = rng.choice(["Rome", "Oslo", "Bonn"], N)
    frame.insert(0, "id", np.arange(N) + 1000)
    z = frame["a"] - frame["b"] + rng.normal(size=N) * 0.5
    labels = {"binary": (z > 0).astype(int), "classes": np.digitize(z, [-1, 1]), "number": z * 10}
    return frame, pd.Series(np.asarray(labels[kind]), name="y")


def days() -> Any:
    return pd.date_range("2023-01-01", periods=N).strftime("%Y-%m-%d")


def class_that_comes_late() -> Case:
    frame, y = plain_case("classes")
    y.iloc[80::5] = 3
    return frame.assign(day=days()), y, "log_loss"


def positives_that_come_late() -> Case:
    frame, y = plain_case()
    y.iloc[:90] = 0
    return frame.assign(day=days()), y, "log_loss"


def class_of_one_row() -> Case:
    frame, y = plain_case("classes")
    y.iloc[5] = 7
    return frame, y, "log_loss"


def column_empty_in_the_past() -> Case:
    frame, y = plain_case("number")
    frame["late"] = frame["a"].where(np.arange(N) > 110)
    return frame.assign(day=days()), y, "rmse"


def infinite_numbers() -> Case:
    frame, y = plain_case()
    frame.loc[[1, 5, 190], "a"] = [np.inf, -np.inf, np.inf]
    return frame.assign(huge=frame["b"] * 1e300), y, "auc"


def nothing_but_an_id() -> Case:
    frame, y = plain_case()
    return frame[["id"]], y, "auc"


def words_that_never_repeat() -> Case:
    frame, y = plain_case()
    text = [f"aa{i} bb{i} cc{i} dd{i} ee{i}" for i in range(N)]
    return frame[["id"]].assign(text=text), y, "auc"


def odd_names() -> Case:
    frame, y = plain_case()
    frame = frame.rename(columns={"a": "[x], <y>", "city": 'a "c"\nity'})
    more: dict[str, Any] = {"n m": frame["b"], "n_m": frame["b"] ** 2, "b_missing": 1.0}
    return frame.assign(**more), y, "auc"


CASES: list[Callable[[], Case]] = [
    class_that_comes_late,
    positives_that_come_late,
    class_of_one_row,
    column_empty_in_the_past,
    infinite_numbers,
    nothing_but_an_id,
    words_that_never_repeat,
    odd_names,
]


def prepare_case(case: Case, folder: Path) -> Prepared:
    """Write train and test, the last 60 rows, and prepare the task."""
    frame, y, metric = case
    folder.mkdir()
    frame[:-60].assign(y=y[:-60]).to_csv(folder / "train.csv", index=False)
    frame[-60:].to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text(f"metric: {metric}\nid: id\ntarget: y\n")
    task = load_task(str(folder))
    public, private = str(folder / "public"), str(folder / "private")
    return prepare_task(task, public, private, seed=0, audit=True)


def brief_of(prepared: Prepared) -> DraftBrief:
    profile = profile_data(prepared)
    return DraftBrief(
        task=make_task_brief(prepared, profile["prediction"]),
        profile=profile,
        resources=Resources(wall_s=60, memory_bytes=2**31, cpus=1),
        stage=Stage(phase="improve", used=0.2, step=0, trace=0, n_traces=1),
    )


def run_script(
    prepared: Prepared, spec: ScriptSpec, place: Path, patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Run the script of a spec beside input/; return its checked predictions."""
    place.mkdir()
    (place / "input").symlink_to(prepared.public)
    (place / "solution.py").write_text(render_script(spec, read_task_facts(brief_of(prepared))))
    patch.chdir(place)
    patch.setenv("OMP_NUM_THREADS", "1")
    runpy.run_path("solution.py")
    truth = get_truth(prepared)
    names = ("oof.csv", "submission.csv")
    return {
        name: read_predictions(truth, str(place / name), name, truth.ids(name)) for name in names
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_scripts_end_with_valid_files(
    tmp_path: Path, make: Callable[[], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_case(make(), tmp_path / "task")
    for family in FAST_FAMILIES:
        files = run_script(prepared, ScriptSpec(family=family), tmp_path / family, monkeypatch)
        assert len(files["submission.csv"]) == prepared.n_test


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_scripts_of_the_other_families_end_with_valid_files(
    tmp_path: Path, make: Callable[[], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_case(make(), tmp_path / "task")
    for family in sorted(FAMILIES - {*FAST_FAMILIES}):
        files = run_script(prepared, ScriptSpec(family=family), tmp_path / family, monkeypatch)
        assert len(files["submission.csv"]) == prepared.n_test


@pytest.mark.filterwarnings("ignore")
def test_a_class_absent_from_a_fit_gets_probability_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_case(class_that_comes_late(), tmp_path / "task")
    files = run_script(prepared, ScriptSpec(), tmp_path / "run", monkeypatch)
    first = get_truth(prepared).fold == 0
    late = prepared.columns[1:].index("3")
    assert (files["oof.csv"][first, late] < 1e-9).all()
    assert (files["submission.csv"][:, late] > 0.01).any()


@pytest.mark.filterwarnings("ignore")
def test_columns_are_written_by_the_class_that_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample names the classes by their first word, in another order."""
    frame, y = plain_case("classes")
    words = y.map({0: "low", 1: "middle", 2: "high"})
    folder = tmp_path / "task"
    folder.mkdir()
    sample = pd.DataFrame({"id": frame["id"][-60:], "high_p": 0.3, "low_p": 0.3, "middle_p": 0.4})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    frame[:-60].assign(y=words[:-60]).to_csv(folder / "train.csv", index=False)
    frame[-60:].to_csv(folder / "test.csv", index=False)
    (folder / "task.yaml").write_text("metric: log_loss\nid: id\ntarget: y\n")
    task = load_task(str(folder))
    prepared = prepare_task(task, str(tmp_path / "p"), str(tmp_path / "s"), seed=0, audit=False)
    run_script(prepared, ScriptSpec(), tmp_path / "run", monkeypatch)
    table = pd.read_csv(tmp_path / "run" / "submission.csv").set_index("id")
    said = pd.Series([str(name).removesuffix("_p") for name in table.idxmax(axis=1)])
    assert (said.to_numpy() == words[-60:].to_numpy()).mean() > 0.6


@pytest.mark.filterwarnings("ignore")
def test_names_of_one_word_are_texts_whose_letters_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Different in every row, so that a column of them was taken for an id and left out."""
    rng = np.random.default_rng(0)
    frame, _ = plain_case()
    stems = ["".join(rng.choice(list("bdfklmnprst"), rng.integers(4, 9))) for _ in range(N)]
    endings = rng.choice(["ina", "ella", "ord", "hart"], N)
    names = [stem + ending for stem, ending in zip(stems, endings, strict=True)]
    y = pd.Series(np.isin(endings, ["ina", "ella"]).astype(int), name="y")
    case = frame[["id"]].assign(name=names), y, "auc"
    prepared = prepare_case(case, tmp_path / "task")
    facts = read_task_facts(brief_of(prepared))
    assert (facts.text, facts.few_words) == (("name",), ("name",))
    spec = first_spec(facts, 0, 0)
    files = run_script(prepared, spec, tmp_path / "run", monkeypatch)
    truth = get_truth(prepared)
    said = files["oof.csv"].ravel()
    assert ((said > 0.5) == (truth.y == 1)).mean() > 0.9
    script = render_script(spec, facts)
    folds = script[script.index("def fit_predict") :]
    assert "fit_transform" not in folds
    assert script.count("vectors_of('name'") == 1


def test_ordinary_names_are_kept() -> None:
    assert plain_names(["age", "x<5", "Größe in cm", "a_b", "x.1"]) == ()


def test_names_that_libraries_refuse_are_replaced_by_free_ones() -> None:
    odd = plain_names(["a[0]", "column1", "n m", "n_m", "day", "day_days"])
    assert [name for name, _ in odd] == ["a[0]", "n_m", "day_days"]
    assert "column1" not in [plain for _, plain in odd]
