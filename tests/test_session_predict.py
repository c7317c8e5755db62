"""`gome predict`: the best solution on new rows, and what is said of rows that do not fit."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_kit import gome, one_line
from kit import HONEST, Player, quick, table, write_task
from test_scoring_ensemble import Halves
from trust_kit import one_column

from run.lock import RunError
from session.predict import predict_rows
from session.session import Outcome, start_run
from task.data.new_rows import prepare_new_rows
from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.load.spec import load_task
from task.types import NewRows, Prepared, TaskError

EXACT = HONEST.format(noise=0)
COUNTS = EXACT.replace(
    "return 1 / (1 +", "return len(train) / 1e5 + 0.5 / (1 +"
)  # says how many rows it was trained with
NEEDS_TEST = EXACT + "\nassert len(list(csv.DictReader(open('input/test.csv')))) == 120, 'my rows'"


async def solved(tmp_path: Path, script: str = EXACT, n: int = 120, **changes: Any) -> Outcome:
    """A finished run of one step."""
    task = write_task(tmp_path / "task", n)
    return await start_run(
        str(task), quick(tmp_path, steps=1, **changes), reasoner=Player([script])
    )


def by_id(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


async def test_held_back_rows_get_the_predictions_of_the_run(tmp_path: Path) -> None:
    outcome = await solved(tmp_path)
    with (tmp_path / "task/test.csv").open() as file:
        rows = list(csv.DictReader(file))[::3]
    table(tmp_path / "new.csv", ["y", "id", "x"], [[r["y"], r["id"], r["x"]] for r in rows[::-1]])
    said: list[str] = []
    before = sorted(path.name for path in outcome.folder.iterdir())
    done = await predict_rows(
        outcome.folder, tmp_path / "new.csv", tmp_path / "out.csv", say=said.append
    )
    found, submitted = by_id(tmp_path / "out.csv"), by_id(outcome.folder / "best/submission.csv")
    assert found == {row["id"]: submitted[row["id"]] for row in rows}
    assert list(found) == [row["id"] for row in rows[::-1]]  # in the order of the new rows
    assert (done.n_rows, done.attempt) == (40, "t0s0") and said == ["running t0s0 on 40 rows"]
    assert sorted(path.name for path in outcome.folder.iterdir()) == before
    assert list((outcome.folder / "work").iterdir()) == []


@pytest.mark.slow
async def test_it_is_trained_with_what_the_best_was_trained_with(tmp_path: Path) -> None:
    """2,200 rows: a tenth is held back for the audit, and the final fit has them all."""
    outcome = await solved(tmp_path, COUNTS, 2200)
    test = tmp_path / "task/test.csv"
    await predict_rows(outcome.folder, test, tmp_path / "out.csv")
    assert by_id(tmp_path / "out.csv") == by_id(outcome.folder / "best/submission.csv")
    assert min(map(float, by_id(tmp_path / "out.csv").values())) >= 2200 / 1e5


@pytest.mark.slow
def test_the_command_names_run_rows_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.chdir(tmp_path)
    outcome = asyncio.run(solved(tmp_path, NEEDS_TEST))
    rows = str(tmp_path / "task/test.csv")
    done = gome("predict", outcome.run, rows, "-o", "mine.csv")
    assert done.exit_code == 0 and "mine.csv: 120 rows by t0s0" in done.output
    assert gome("predict", rows).exit_code == 0 and Path("predictions.csv").is_file()
    table(tmp_path / "few.csv", ["id", "x", "y"], [["a", 1, 2]])
    assert "fails on these rows: AssertionError: my rows" in gome("predict", "few.csv").stderr
    assert not list(tmp_path.glob(".*part"))
    assert "no such file; give the table" in one_line(gome("predict", "gone.csv"))
    assert "expected one table" in one_line(gome("predict", "a", "b", "c"))
    assert "--time soon: expected seconds" in one_line(gome("predict", rows, "--time", "soon"))


async def test_a_run_of_a_stranger_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the program that its run.json names, nor a path as the name of an attempt."""
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome = await solved(tmp_path)
    rows, out = tmp_path / "task/test.csv", tmp_path / "out.csv"
    path = outcome.folder / "run.json"
    meta = json.loads(path.read_text())
    meta["settings"]["python"] = str(tmp_path / "evil/bin/python")
    path.write_text(json.dumps(meta))
    with pytest.raises(RunError, match="was not started by this account, .* python="):
        await predict_rows(outcome.folder, rows, out)
    await predict_rows(outcome.folder, rows, out, changes={"python": sys.executable})
    best = outcome.folder / "best/best.json"
    facts = json.loads(best.read_text()) | {"attempt": "../../best", "ref": None}
    best.write_text(json.dumps(facts))
    with pytest.raises(RunError, match="'../../best' is not the name of an attempt"):
        await predict_rows(outcome.folder, rows, out, changes={"python": sys.executable})
    assert (outcome.folder / "best/solution.py").is_file()


# columns


async def test_a_best_that_names_no_attempt_is_one_sentence(tmp_path: Path) -> None:
    outcome = await solved(tmp_path)
    path = outcome.folder / "best/best.json"
    published = json.loads(path.read_text())
    for ref in ("../../run.json", "00", "f" * 64):
        path.write_text(json.dumps(published | {"ref": ref}))
        with pytest.raises(RunError, match="gome resume --repair"):
            await predict_rows(outcome.folder, tmp_path / "task/test.csv", tmp_path / "o.csv")


@pytest.mark.slow
async def test_an_edited_solution_is_named_and_not_used(tmp_path: Path) -> None:
    outcome = await solved(tmp_path)
    assert outcome.solution is not None
    outcome.solution.write_text("raise SystemExit('edited')")
    said: list[str] = []
    rows, out = tmp_path / "task/test.csv", tmp_path / "out.csv"
    await predict_rows(outcome.folder, rows, out, say=said.append)
    assert by_id(out) == by_id(outcome.folder / "best/submission.csv")
    assert said[0].startswith("edited since the run, and not used here: best/solution.py;")
    path = outcome.folder / "best/best.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attempt": "t7s7"}))
    with pytest.raises(RunError, match="names 't7s7', .* is t0s0: it was edited"):
        await predict_rows(outcome.folder, rows, out)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    task = write_task(tmp_path / "task")
    places = [str(tmp_path / name) for name in ("public", "private")]
    return prepare_task(load_task(str(task)), *places, seed=0, audit=False)


def checked(prepared: Prepared, header: list[str], rows: list[list[Any]]) -> NewRows:
    root = Path(prepared.public).parent
    table(root / "new.csv", header, rows)
    places = [str(root / name) for name in ("new-public", "new-private")]
    return prepare_new_rows(prepared, str(root / "new.csv"), prepared.inputs, *places)


@pytest.mark.parametrize(
    ("header", "row", "sentences"),
    [
        (["id", "x"], ["a", 1], ["new.csv has no column 'y', which the solution was trained on"]),
        (
            ["id", "z"],
            ["a", 1],
            [f"new.csv has no column {name!r}, which the solution was trained on" for name in "xy"],
        ),
        (
            ["id", "x", "y"],
            ["a", 1, "many"],
            [
                "new.csv: the column 'y' holds numbers in the training table, but reads as text "
                "with the new rows (e.g. 'many'; correct or empty it)"
            ],
        ),
    ],
)
def test_columns_that_do_not_fit_are_a_sentence_each(
    prepared: Prepared, header: list[str], row: list[Any], sentences: list[str]
) -> None:
    with pytest.raises(TaskError) as refusal:
        checked(prepared, header, [[f"{row[0]}{i}", *row[1:]] for i in range(60)])
    assert str(refusal.value).splitlines() == sentences


def test_repeated_ids_are_refused(prepared: Prepared) -> None:
    with pytest.raises(TaskError, match="repeats 1 id in 'id', e.g. 'a'"):
        checked(prepared, ["id", "x", "y"], [["a", 1, 2], ["a", 3, 4]])


def test_an_empty_table_is_refused(prepared: Prepared) -> None:
    with pytest.raises(TaskError, match="has no rows"):
        checked(prepared, ["id", "x", "y"], [])


def test_what_is_left_out_or_new_is_said(prepared: Prepared) -> None:
    header = ["id", "x", "label", "extra", "y"]
    found = checked(prepared, header, [["r0", 1, 1, "e", ""], ["b", 2, 0, "f", 3]])
    assert found.notes == [
        "new.csv: the column 'label' is the target; it is left out",
        "new.csv: the column 'extra' is not in the test table of the run; it is left out",
        "new.csv: 1 rows have the id of a training row",
        "new.csv: the column 'y' is empty in 1 rows and never in the training table",
    ]
    public = pd.read_csv(found.prepared.inputs["test.csv"])
    assert list(public.columns) == ["id", "x", "y"] and list(public["id"]) == ["r0", "b"]
    assert found.prepared.inputs["train.csv"] == prepared.inputs["train.csv"]
    assert (found.prepared.n_test, found.prepared.n_audit) == (2, 0)


def test_a_word_among_numbers_is_missing_and_said(prepared: Prepared) -> None:
    found = checked(prepared, ["id", "x", "y"], [["a", 1, "many"], ["b", 2, 3]])
    assert any("many" in note for note in found.notes)
    assert pd.read_csv(found.prepared.inputs["test.csv"])["y"].isna().sum() == 1


@pytest.mark.slow
async def test_an_ensemble_blends_its_members_on_new_rows(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task", n=300)
    player = Halves([one_column("x", noise=0.4), one_column("y", sign=-1, noise=0.4)])
    settings = quick(tmp_path, traces=2, steps=1, average_seeds=2)
    outcome = await start_run(str(task), settings, reasoner=player)
    assert (outcome.folder / "best/members/t0s0-seed1").is_dir()
    assert (outcome.folder / "best/members").is_dir()
    await predict_rows(outcome.folder, task / "test.csv", tmp_path / "out.csv")
    found, submitted = by_id(tmp_path / "out.csv"), by_id(outcome.folder / "best/submission.csv")
    assert list(found) == list(submitted)
    assert all(abs(float(found[key]) - float(submitted[key])) < 1e-6 for key in found)


def test_rows_without_ids_are_numbered(prepared: Prepared, tmp_path: Path) -> None:
    found = checked(prepared, ["x", "y"], [[1, 2], [3, 4], [5, 6]])
    assert found.notes == ["new.csv has no id column 'id': its rows are numbered from 0"]
    seen = pd.read_csv(found.prepared.inputs["test.csv"], dtype=str)
    assert not set(seen["id"]) & set(pd.read_csv(prepared.inputs["train.csv"], dtype=str)["id"])
    table(tmp_path / "s.csv", ["id", "label"], [[key, 0.25] for key in seen["id"][::-1]])
    write_final_submission(found.prepared, str(tmp_path / "s.csv"), str(tmp_path / "out.csv"))
    assert by_id(tmp_path / "out.csv") == dict.fromkeys("012", "0.25")


def test_classes_ids_and_unseen_values_keep_their_spelling(tmp_path: Path) -> None:
    """Ids `NA` and classes called None are text; a colour that train lacks is said."""
    folder = tmp_path / "task"
    folder.mkdir()
    classes, colours = ("None", "B", "C"), ("red", "green")
    rows = [(f"{i:05d}", colours[i % 2], i % 7, classes[i % 3]) for i in range(90)]
    table(folder / "train.csv", ["key", "colour", "n", "kind"], rows)
    table(folder / "test.csv", ["key", "colour", "n"], [("NA", "red", 1), ("00091", "green", 2)])
    table(folder / "sample_submission.csv", ["key", "kind"], [("NA", "B"), ("00091", "B")])
    (folder / "task.yaml").write_text("metric: accuracy\nid: key\ntarget: kind\n")
    places = [str(tmp_path / name) for name in ("public", "private")]
    prepared = prepare_task(load_task(str(folder)), *places, seed=0, audit=False)
    found = checked(prepared, ["key", "colour", "n"], [["NA", "blue", 3], ["00007x", "red", 4]])
    assert found.notes[-1] == (
        "new.csv: the column 'colour' has values in 1 rows that no training row has, e.g. 'blue'"
    )
    source = found.prepared.inputs["sample_submission.csv"]
    write_final_submission(found.prepared, source, str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open() as file:
        answer = [line.split(",") for line in file.read().splitlines()]
    assert answer[0] == ["key", "kind"] and [row[0] for row in answer[1:]] == ["NA", "00007x"]
    assert {row[1] for row in answer[1:]} <= set(classes)
