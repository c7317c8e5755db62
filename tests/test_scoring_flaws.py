"""A flaw counts as removed only if the script really drops the suspected column."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from graph.state import Work
from reasoner.protocol import Hypothesis
from run.flaws import drops_column, removes_flaw

BEFORE = 'FEATURES = ["age", "x"]\nX = train[FEATURES]'


@pytest.mark.parametrize(
    "script",
    [
        'X = train.drop(columns=["x", "label"])',
        'UNUSED = ["id", "x"]\nX = train[[c for c in train if c not in UNUSED]]',
        'X = train[[c for c in train.columns if c != "x"]]',
        'features = sorted(set(train.columns) - {"x"})',
        'del train["x"]',
        'FEATURES = ["age"]\nX = train[FEATURES]',
    ],
)
def test_a_script_that_removes_the_column_drops_it(script: str) -> None:
    assert drops_column(script, BEFORE, "x")


@pytest.mark.parametrize(
    "script",
    [
        BEFORE,
        BEFORE + "\n# the next model drops x",
        'X = train.drop(columns=["x"])\nX["ratio"] = train["x"] / 2',
        'scaler.fit(train[["x"]])',
        "not python (",
        "((((" * 5000,
    ],
)
def test_a_script_that_uses_the_column_does_not_drop_it(script: str) -> None:
    assert not drops_column(script, "X = train", "x")


def removes(script: str, **hypothesis: Any) -> bool:
    texts = {"new": script, "old": BEFORE}
    run: Any = SimpleNamespace(
        setup=SimpleNamespace(profile={"leaks": [{"column": "x"}]}),
        artifacts=SimpleNamespace(get=texts.__getitem__),
        attempt=lambda ref: SimpleNamespace(script="old"),
    )
    given = {"id": "h", "challenge": "c", "component": "data", "protocol": True} | hypothesis
    idea = Hypothesis.model_validate(given)
    work = Work(attempt="t0s1", kind="update", mode="directed", base="b", script="new")
    return removes_flaw(run, work.evolve(hypothesis=idea))


def test_prose_alone_removes_nothing() -> None:
    script = 'X = train.drop(columns=["x"])'
    assert not removes(script, statement="try the next model, without x")
    assert removes(script, statement="leave it out", drops_columns=["x"])
    assert not removes(script, statement="leave it out", drops_columns=["age"])
    assert not removes(BEFORE, statement="leave it out", drops_columns=["x"])
    assert not removes(script, statement="s", drops_columns=["x"], protocol=False)
