"""Leak gates: every planted leak is refused by name, and its honest twin is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kit import Player, events, quick
from trust_kit import binary_frames, one_column, ready, save, write_frames

from evals.studies.leaks import CODES, LeakPlan, judge_attempts
from session.session import start_run
from task.data.prepare import prepare_task
from task.data.twins import describe_twins, twin_groups
from task.grade.audit import grade_audit_rows
from task.grade.grade import grade_execution, list_leaks
from task.grade.predictions import get_truth
from task.grade.suspects import predictive_power
from task.load.spec import load_task
from task.types import Reference, ScoreJson


@pytest.mark.parametrize("kind", [*CODES])
def test_a_planted_leak_is_rejected_by_its_name_and_the_honest_attempt_is_not(
    tmp_path: Path, kind: str
) -> None:
    leaking, honest = judge_attempts(LeakPlan(kind, 1), tmp_path / "task")
    assert leaking.verdict == "rejected" and leaking.codes == [CODES[kind]]
    assert honest.verdict == "accepted", honest.texts


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CODES])
def test_planted_leaks_over_seeds(tmp_path: Path, kind: str) -> None:
    found = [judge_attempts(LeakPlan(kind, seed), tmp_path / str(seed)) for seed in range(20)]
    assert sum(CODES[kind] in leaking.codes for leaking, _ in found) >= 19
    assert sum(honest.verdict != "accepted" for _, honest in found) <= 1


def test_audit_rows_look_like_test_rows(tmp_path: Path) -> None:
    """A column that test has empty would otherwise tell the audit rows apart."""
    train, test = binary_frames(2200, 300)
    train["later"], test["later"] = train["label"] + 0.5, np.nan
    prepared = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    public = pd.read_csv(f"{prepared.public}/test.csv")
    assert prepared.n_audit > 100 and public["later"].isna().all()


def test_twins_share_a_fold_where_test_repeats_nothing(tmp_path: Path) -> None:
    train, test = binary_frames(300, 100)
    copies = train.head(60).assign(id=[f"c{i}" for i in range(60)])
    folder = write_frames(tmp_path / "task", pd.concat([train, copies]), test, metric="auc")
    prepared = ready(folder)
    fold = pd.read_csv(f"{prepared.public}/folds.csv").set_index("id")["fold"]
    assert (fold[copies["id"]].to_numpy() == fold[train["id"].head(60)].to_numpy()).all()


def test_repetition_that_test_shows_too_is_natural() -> None:
    """Few discrete answers repeat everywhere: such rows are no copies."""
    rng = np.random.default_rng(0)
    train, test = (
        pd.DataFrame({"a": rng.integers(0, 4, n), "b": rng.integers(0, 4, n)}) for n in (500, 200)
    )
    assert twin_groups(train, test, []) is None


def test_only_the_audit_detects_training_on_validated_rows(tmp_path: Path) -> None:
    train, test = binary_frames(2400, 200)
    folder = write_frames(tmp_path / "task", train, test, metric="auc")
    prepared = prepare_task(
        load_task(str(folder)),
        str(tmp_path / "public"),
        str(tmp_path / "private"),
        seed=0,
        audit=True,
    )
    shown, asked = (
        pd.read_csv(tmp_path / "public" / "train.csv"),
        pd.read_csv(tmp_path / "public" / "test.csv"),
    )
    noise = np.random.default_rng(0)

    def files(share: float) -> dict[str, Any]:
        oof = (
            (1 - share) * (shown["x"] - shown["y"])
            + share * 6 * (shown["label"] - 0.5)
            + noise.normal(0, 0.5, len(shown))
        )
        return {
            "oof.csv": save(tmp_path / "oof.csv", shown["id"], oof),
            "submission.csv": save(tmp_path / "sub.csv", asked["id"], asked["x"] - asked["y"]),
        }

    leaking = grade_execution(prepared, files(0.5), {}, None)
    assert leaking["ok"] and leaking["audit_leak"] and leaking["audit_leak"]["code"] == "leak_audit"
    assert grade_execution(prepared, files(0.0), {}, None)["audit_leak"] is None


def test_the_luck_of_a_few_held_back_groups_is_no_leak(tmp_path: Path) -> None:
    """The held-back rows of a task by groups are a dozen shops, not 240 independent rows."""
    rng = np.random.default_rng(0)
    train, test = (
        pd.DataFrame({"id": range(start, start + 20 * n), "x": rng.normal(size=20 * n)})
        for start, n in ((0, 120), (2400, 9))
    )
    for table in (train, test):
        table["shop"] = "shop " + (table["id"] // 20).astype(str)
    train["label"] = rng.normal(size=len(train))
    folder = write_frames(tmp_path / "task", train, test, metric="mae", split="group:shop")
    place = str(tmp_path / "public"), str(tmp_path / "private")
    truth = get_truth(prepare_task(load_task(str(folder)), *place, seed=0, audit=True))
    shops = truth.audit_clusters
    assert shops is not None and len(shops) == 240 and len(np.unique(shops)) == 12
    shown = ScoreJson(value=0.8, se=0.03, folds=[], n=2160)
    guess = np.zeros(len(truth.test_ids))

    def count_leaks() -> int:
        draws = np.random.default_rng(1)
        n_leaks = 0
        for _ in range(100):  # most of a row's loss is its shop's: half-normal, 0.8 on average
            truth.audit["=label"] = draws.normal(size=12)[shops]
            n_leaks += grade_audit_rows(truth, guess, shown, {}, 0)["audit_leak"] is not None
        return n_leaks

    assert count_leaks() == 0
    truth.__dict__["audit_clusters"] = None  # as if rows were independent
    assert count_leaks() > 5


@pytest.mark.parametrize(("n_shops", "n_held"), [(12, 0), (40, 4)])
def test_of_two_groups_none_is_held_back_and_the_report_says_so(
    tmp_path: Path, n_shops: int, n_held: int
) -> None:
    train, test = binary_frames(2400, 100)
    train["shop"] = [f"shop {i % n_shops}" for i in range(len(train))]
    test["shop"] = "a new one"
    folder = write_frames(tmp_path / "task", train, test, metric="auc", split="group:shop")
    prepared = ready(folder)
    assert prepared.n_audit == n_held * len(train) // n_shops
    said = [text for text in prepared.repairs if "no rows are held back" in text]
    assert len(said) == (n_held == 0) and all("groups of 'shop'" in text for text in said)


@pytest.mark.slow
async def test_the_repair_gets_the_code_and_column_of_a_leak(tmp_path: Path) -> None:
    train, test = binary_frames(400, 100)
    train["later"], test["later"] = (
        2 * train["label"] + np.random.default_rng(0).normal(0, 0.3, len(train)),
        0.0,
    )
    folder = write_frames(tmp_path / "task", train, test, metric="auc")
    told: list[Any] = []

    class Mender(Player):
        async def repair(self, brief: Any) -> Any:
            told.append(brief)
            return await super().repair(brief)

    outcome = await start_run(
        str(folder), quick(tmp_path, steps=1), reasoner=Mender([one_column("later")])
    )
    problem = told[0].evidence["problems"][0]
    assert (problem["code"], problem["about"]) == ("leak_column", "later") and "later" in told[
        0
    ].problems[0]
    attempt = events(outcome.folder, "attempt")[0]
    assert (attempt["verdict"], attempt["codes"], attempt["repairs"]) == (
        "accepted",
        ["first_valid"],
        1,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_expert_leaves_out_a_leaking_column(tmp_path: Path) -> None:
    train, test = binary_frames(400, 100)
    train["later"], test["later"] = (
        2 * train["label"] + np.random.default_rng(0).normal(0, 0.3, len(train)),
        0.0,
    )
    folder = write_frames(tmp_path / "task", train, test, metric="auc")
    outcome = await start_run(str(folder), quick(tmp_path, steps=1, run_time_s=300, time_s=900))
    attempt = events(outcome.folder, "attempt")[0]
    script = (outcome.folder / "best" / "solution.py").read_text()
    assert attempt["verdict"] == "accepted" and "later" in script.split("UNUSED")[1].split("]")[0]
    assert outcome.score is not None and outcome.score < 0.95


def test_gates_cost_nothing_where_an_attempt_cannot_win_unless_it_is_asked_of_all(
    tmp_path: Path,
) -> None:
    """An attempt that is clearly worse is not examined, unless every gate is asked."""
    train, test = binary_frames(300, 100)
    prepared = ready(
        write_frames(
            tmp_path / "plain", train.assign(copy=train["label"]), test.assign(copy=0), metric="auc"
        )
    )
    rows = pd.read_csv(f"{prepared.public}/folds.csv")["id"]
    label = train.set_index("id")["label"]
    sample = pd.read_csv(f"{prepared.public}/sample_submission.csv")
    save(
        tmp_path / "good.csv",
        rows,
        label[rows].to_numpy() * 0.8 + 0.1 + np.linspace(0, 0.01, len(rows)),
    )
    flipped = np.where(
        np.arange(len(rows)) % 30 == 0, 1 - label[rows].to_numpy(), label[rows].to_numpy()
    )
    save(tmp_path / "bad.csv", rows, flipped * 0.8 + 0.1 + np.linspace(0, 0.01, len(rows)))
    save(tmp_path / "submission.csv", sample["id"], np.linspace(0.2, 0.8, len(sample)))
    files = {
        "oof.csv": str(tmp_path / "bad.csv"),
        "submission.csv": str(tmp_path / "submission.csv"),
    }
    best: dict[str, Reference] = {
        "best": {"oof": str(tmp_path / "good.csv"), "submission": str(tmp_path / "submission.csv")}
    }
    assert grade_execution(prepared, files, best, None)["ok"]
    assert [
        problem["code"]
        for problem in grade_execution(prepared, files, best, None, every_gate=True)["problems"]
    ] == ["leak_column"]
    assert [each["code"] for each in list_leaks(prepared, files["oof.csv"])] == ["leak_column"]


def test_a_constant_has_no_power_whatever_its_digits() -> None:
    """The standard deviation of 37.4, many times, is not exactly 0."""
    ramp = np.arange(80.0)
    for constant in (37.4, 0.1, -122.0):
        assert predictive_power(np.full(80, constant), ramp) == 0
        assert predictive_power(ramp, np.full(80, constant)) == 0
    assert predictive_power(ramp, ramp) == pytest.approx(1)


def test_near_copies_are_held_out_together_where_test_rows_have_none() -> None:
    rng = np.random.default_rng(5)
    values = pd.DataFrame(rng.lognormal(size=(1200, 12)), columns=[f"x{i}" for i in range(12)])
    values["city"] = rng.choice(["Bern", "Chur"], len(values))
    train, test = values[:600], values[600:]
    copies = train[:300].copy()
    copies.iloc[:, :12] *= 1 + rng.normal(0, 0.003, (300, 12))
    both = pd.concat([train, copies], ignore_index=True)
    groups = twin_groups(both, test, [])
    assert groups is not None
    assert (groups[:300] == groups[600:]).all() and len(np.unique(groups)) == 600
    assert "600 training rows repeat others" in describe_twins(groups)[0]
    plots = both.assign(plot=rng.permutation(len(both)))  # counts the rows, and no id
    counted = twin_groups(plots, test.assign(plot=10_000 + np.arange(len(test))), [])
    assert counted is not None and (counted == groups).all()

    other_city = copies.assign(city="Genf")
    assert twin_groups(pd.concat([train, other_city], ignore_index=True), test, []) is None
    near_tests = pd.concat([test[:300], copies], ignore_index=True)
    assert twin_groups(both, near_tests, []) is None  # natural: test rows are as near
    walk = pd.DataFrame(rng.normal(size=(1000, 5)).cumsum(axis=0), columns=list("abcde"))
    assert twin_groups(walk[:800], walk[800:], []) is None
