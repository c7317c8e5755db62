"""`gome.solve` as people call it: texts for settings, data frames, errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
import pytest
from kit import write_task
from pydantic import ValidationError

import gome
from session.front import FrameTask, write_frame_task
from session.session import Outcome
from settings.keywords import SettingsKeywords
from task.load.spec import load_task
from tools import keywords

ROOT = Path(__file__).parents[1]
QUICK: dict[str, Any] = {"traces": 1, "steps": 1, "memory": "off"}


def frames(n: int = 240) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": rng.normal(size=n), "b": rng.normal(size=n), "city": rng.choice(list("abc"), n)}
    )
    label = np.where(table.a + rng.normal(size=n) > 0, "yes", "no")
    return table[:160].assign(label=label[:160]), table[160:]


def user_code(folder: str) -> None:
    """Never called: mypy checks it as it checks the code of a user."""
    assert_type(gome.solve(folder, traces=2, time_s="5m", model="gpt-5"), Outcome)
    gome.solve(folder, time_s=300, model=["gpt-5", "diagnose=o3"], target=0.9, policy="tree")
    gome.solve(folder, tracess=2)  # type: ignore[call-arg]
    gome.solve(folder, traces="two")  # type: ignore[arg-type]


def test_texts_are_read_as_on_the_command_line() -> None:
    settings = gome.Settings(**{"time_s": "5m", "model": "gpt-5, diagnose=o3", "answer_time_s": 7})
    assert (settings.time_s, settings.model) == (300, ["gpt-5", "diagnose=o3"])
    assert settings.answer_time_s == 7


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tracess": 2}, "no setting is called 'tracess', did you mean `traces`?"),
        ({"time_s": "5 minutes"}, "time_s: expected seconds, or a number with s, m or h"),
        ({"policy": "best"}, "'gome', 'adaptive'"),
    ],
)
def test_a_wrong_setting_is_a_value_error_that_names_it(
    given: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=sentence.replace("?", r"\?")) as error:
        gome.solve(str(tmp_path), **given)
    assert isinstance(error.value, ValueError)


def test_errors_are_of_kinds_that_callers_know() -> None:
    assert issubclass(gome.TaskError, ValueError)
    assert issubclass(gome.SandboxUnavailableError, RuntimeError)
    assert issubclass(gome.ReasonerUnavailableError, RuntimeError)
    with pytest.raises(AttributeError, match="has no attribute 'Setting'"):
        _ = gome.Setting


def test_every_setting_is_a_documented_keyword() -> None:
    names = set(gome.Settings.model_fields) - set(keywords.OWN_PARAMETERS)
    assert set(SettingsKeywords.__annotations__) == names
    assert all(f"{name}: " in (gome.solve.__doc__ or "") for name in gome.Settings.model_fields)
    assert keywords.PATH.read_text() == keywords.keywords_module(), "run `make reference`"


def test_frames_are_solved_and_the_run_can_be_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train, test = frames()
    outcome = gome.solve(
        train=train, test=test, target="label", metric="auc", time_s="2m", audit=False, **QUICK
    )
    assert outcome.metric == "auc" and outcome.score is not None and outcome.score > 0.6
    assert outcome.submission is not None
    assert len(pd.read_csv(outcome.submission)) == len(test)
    [folder] = (tmp_path / "runs" / "tasks").iterdir()
    assert load_task(str(folder)).target == ["label"]


def test_the_same_frames_are_the_same_folder(tmp_path: Path) -> None:
    train, test = frames()
    one, two = (
        write_frame_task(FrameTask(train, test, target="label", metric="auc"), str(tmp_path))
        for _ in range(2)
    )
    other = write_frame_task(FrameTask(train[1:], test, target="label"), str(tmp_path))
    assert one == two != other
    assert not list((tmp_path / "tasks").glob(".draft*"))


def test_an_index_with_a_name_becomes_the_id(tmp_path: Path) -> None:
    train, test = (frame.rename_axis("person") for frame in frames())
    folder = write_frame_task(FrameTask(train, test, target="label"), str(tmp_path))
    assert load_task(str(folder)).id == "person"


def test_cells_that_parquet_refuses_are_written_as_csv(tmp_path: Path) -> None:
    train, test = frames()
    mixed: list[Any] = [1, "two"]
    train, test = train.assign(mixed=mixed * 80), test.assign(mixed=mixed * 40)
    folder = write_frame_task(FrameTask(train, test, target="label"), str(tmp_path))
    assert (folder / "train.csv").exists() and (folder / "test.csv").exists()
    assert load_task(str(folder)).target == ["label"]


def test_a_metric_of_ones_own_is_copied(tmp_path: Path) -> None:
    train, test = frames()
    (tmp_path / "mine.py").write_text("def score(y_true, y_pred):\n    return 0.0\n")
    given = FrameTask(train, test, target="label", metric=str(tmp_path / "mine.py"))
    assert (write_frame_task(given, str(tmp_path)) / "metric.py").exists()
    with pytest.raises(gome.TaskError, match="there is no such file"):
        write_frame_task(FrameTask(train, test, metric="nowhere.py"), str(tmp_path))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "give a task folder, gome.solve(folder), or data frames"),
        ({"train": frames()[0], "target": "label"}, "gome.solve(train=…, test=…"),
        ({"train": [1, 2], "test": [3]}, "train= should be a data frame, not list"),
        ({"train": frames()[0][:0], "test": frames()[1]}, "train= has no rows"),
        ({"task": frames()[0]}, "a task folder, not DataFrame; data frames have names"),
        (
            {"train": frames()[0], "test": frames()[1], "target": "lable"},
            "target: 'lable' is no column of train, did you mean `label`?",
        ),
    ],
)
def test_what_is_no_task_is_refused(
    given: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gome.TaskError) as refused:
        gome.solve(**given)
    assert sentence in str(refused.value)


def test_frames_do_not_go_with_a_folder(tmp_path: Path) -> None:
    train, test = frames()
    with pytest.raises(gome.TaskError, match="train= goes with data frames"):
        gome.solve(write_task(tmp_path / "task"), train=train, test=test)
    with pytest.raises(gome.TaskError, match="metric= goes with data frames"):
        gome.solve(str(write_task(tmp_path / "task")), metric="auc")


@pytest.mark.parametrize("name", ["graph", "settings", "memory"])
def test_a_module_of_the_user_that_hides_ours_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text(f"import sys\nsys.path.append({str(ROOT)!r})\nimport gome\n")
    done = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{name}.py hides Gome's package '{name}': rename that file" in done.stderr
