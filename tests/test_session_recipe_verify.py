"""`gome recipes verify`: which tasks and seeds are measured, and what is not believed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from evals.harness.planted import write_planted_task
from memory.recipes import evidence as sealed
from memory.recipes.evidence import Evidence, TaskGain, read_evidence
from memory.recipes.library import BOOK, load_library, read_folder
from memory.recipes.seeds import may_depend_on_seed
from memory.recipes.template import recipe_template
from session.recipe_trials import task_name, task_word, tasks_to_try

OWN = {each.id: each for each in read_folder(BOOK, own=True).recipes}


def named_task(name: str, data: str = "f00d" * 4, rows: int = 1) -> Any:
    """Return what stands for a task of this name."""
    prepared = SimpleNamespace(task=SimpleNamespace(name=name), data_hash=data, n_train=rows)
    return SimpleNamespace(prepared=prepared)


def gain_on(task: str, seeds: int = 1, rows: int = 1, data: str = "") -> TaskGain:
    return TaskGain(task=task, metric="auc", rows=rows, seeds=seeds, gain=0.1, se=0.1, data=data)


def evidence_of(*tasks: TaskGain, failed: tuple[str, ...] = ()) -> Evidence:
    return Evidence(measured="", by="", tasks=tasks, failed=failed)


def test_a_task_is_measured_anew_under_more_seeds_and_after_a_failure() -> None:
    evidence = evidence_of(gain_on("fair"), gain_on("ratio", seeds=3), failed=("digits",))
    tasks = [named_task(name) for name in ("fair", "ratio", "digits", "co2")]

    def names(recipe: str, seeds: int) -> list[str]:
        return [task_word(t) for t in tasks_to_try(OWN[recipe], evidence, tasks, seeds)]

    assert names("extra-trees", 3) == ["fair", "digits", "co2"]
    assert names("extra-trees", 1) == ["digits", "co2"]
    assert names("target-log1p", 3) == ["digits", "co2"], "nothing in it depends on the seed"


def test_other_data_of_the_same_name_are_another_task() -> None:
    with_data = evidence_of(gain_on("fair", data="f00d" * 4))
    assert task_name(with_data, named_task("Fair")) == "fair"
    assert task_name(with_data, named_task("Fair", "beef" * 4)) == "fair-beefbe"
    without = evidence_of(gain_on("fair", rows=7))
    assert task_name(without, named_task("fair", rows=7)) == "fair"
    assert task_name(without, named_task("fair", rows=8)) == "fair-f00df0"
    assert task_name(None, named_task("задача")) == "task-f00df0"


@pytest.mark.parametrize(
    ("code", "depends"),
    [
        ("def fit_predict(X, y, tables, seed):\n    return predictions(boosting(seed), tables)", 0),
        ("def fit_predict(X, y, tables, s):\n    return predictions(boosting(s), tables)", 0),
        ("def fit_predict(X, y, tables, s):\n    return predictions(Trees(s), tables)", 1),
        ("def fit_predict(X, y, t, seed):\n    return boosting(seed, early_stopping=True)", 1),
        ("def fit_predict(X, y, t, seed):\n    return boosting(seed, max_iter=300)", 0),
        ("def choose_rows(fit, y):\n    return fit.sample(9, random_state=SEED), y", 1),
        ("def prepare(train, test):\n    # the seed of an idea\n    return train, test", 0),
    ],
)
def test_what_depends_on_the_seed_is_seen_in_the_code(code: str, depends: int) -> None:
    assert may_depend_on_seed(code) == bool(depends)


LEAKING = """
def finish(p, rows):
    table = pd.read_csv("input/train.csv")
    known = dict(zip(table[ID].astype(str), table[TARGETS[0]].astype(str)))
    label = rows[ID].astype(str).map(known).map({CLASSES[0]: 0.0, CLASSES[-1]: 1.0}).to_numpy(float)
    p = np.array(p, dtype=float)
    seen = ~np.isnan(label)
    p[seen] = 0.8 * p[seen] + 0.2 * np.column_stack([1 - label[seen], label[seen]])
    return p
"""


@pytest.mark.slow
def test_it_measures_in_the_sandbox_counts_data_once_and_finds_out_a_reader_of_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "KEY_FILE", tmp_path / "a.key")
    write_planted_task("one_per_group", tmp_path / "task")
    mine, runner = tmp_path / "mine", CliRunner()
    monkeypatch.chdir(tmp_path / "task")

    def verify(*words: str, code: int = 0) -> str:
        result = runner.invoke(app, ["recipes", "verify", *words, "--recipes", str(mine)])
        assert result.exit_code == code, result.output
        return result.output

    twice = ("--task", ".", "--task", str(tmp_path / "task"), "--seeds", "1")
    output = verify("conditional-logit", "text-words-linear", *twice)
    assert "count once" in output and "2 recipes, 1 task" in output
    assert "no task at hand meets its conditions (one_per_group: modality is table" in output
    assert "(a verdict takes 3), helped" in output

    def evidence_in_folder(name: str) -> Evidence:
        (recipe,) = [each for each in load_library(str(mine)).recipes if each.id == name]
        found = read_evidence(recipe)
        assert found is not None
        return found

    found = evidence_in_folder("conditional-logit")
    measured = next(each for each in found.tasks if each.task == "one_per_group")
    assert measured.z > 3 and measured.private is not None and measured.private > 0
    again = ("conditional-logit", "--task", str(tmp_path / "task"), "--seeds", "1")
    assert "measured on these tasks already" in verify(*again)
    text = recipe_template("reads-labels").partition("## Code")[0]
    (mine / "reads-labels.md").write_text(f"{text}## Code\n```python{LEAKING}```\n")
    output = verify("reads-labels", "--task", ".", "--seeds", "1", code=1)
    assert "something in it reads them" in output and "untested" in output
    assert evidence_in_folder("reads-labels").tasks == ()
