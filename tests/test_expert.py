"""The expert on its own: every edit changes a script that stays a script, leaks are left out, the same brief gives the same answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit import quick

from evals.harness import planted
from reasoner.expert import moves
from reasoner.expert.engine import Expert, look_of
from reasoner.expert.facts import facts_of
from reasoner.expert.render import render
from reasoner.expert.spec import Spec, canonical, dump, parse
from reasoner.protocol import DraftBrief, RepairBrief, Resources, Stage, TaskBrief
from session.session import start_run
from task.data.prepare import prepare
from task.data.profile import profile
from task.load.spec import load_task

COLUMNS = [
    {"name": "age", "kind": "numeric", "strength": 0.4, "n_unique": 60, "skew": 3.0},
    {
        "name": "income",
        "kind": "numeric",
        "strength": 0.3,
        "n_unique": 500,
        "missing_strength": 0.2,
    },
    {"name": "city", "kind": "categorical", "n_unique": 120},
    {"name": "seen", "kind": "date", "n_unique": 300},
    {"name": "note", "kind": "text", "n_unique": 400},
    {"name": "fee", "kind": "numeric", "strength": 0.95, "n_unique": 400},
]
LEAK = {
    "column": "fee",
    "strength": 0.95,
    "drift": 1.0,
    "reason": "informative in train but empty or constant in test",
}
CASES = {
    "binary": ("binary", "auc", {"rates": {"0": 0.8, "1": 0.2}}),
    "classes": ("multiclass", "f1_macro", {"rates": {"a": 0.7, "b": 0.25, "c": 0.05}}),
    "number": (
        "regression",
        "rmsle",
        {"skew": 2.0, "nonnegative": True, "integer": True, "zero_share": 0.3},
    ),
}


def told(case: str, split: str = "stratified", leaks: bool = False) -> dict[str, Any]:
    """What every brief of a made-up task has in common."""
    kind, metric, target = CASES[case]
    column = {"group": "city", "time": "seen"}.get(split)
    names = list(target.get("rates", {})) if kind == "multiclass" else []
    task = TaskBrief(
        name="made up", description="", kind=kind, metric=metric, direction="max", id="id", target=["y"], columns=["id", *(names or ["y"])],
        split={"kind": split, "column": column, "n_folds": 5}, inputs=["train.csv", "test.csv"], n_train=800, n_test=200,
    )  # fmt: skip
    groups = (
        [{"column": "city", "mean_size": 5.0, "constant_size": True}] if split == "group" else []
    )
    profile = {
        "rows": {"train": 800},
        "n_columns": len(COLUMNS),
        "columns": COLUMNS,
        "target": {"kind": kind, **target},
        "groups": groups,
    }
    return {
        "task": task,
        "profile": profile | {"leaks": [LEAK] if leaks else [], "notes": []},
        "resources": Resources(wall_s=60, memory_bytes=2**30, cpus=1),
        "stage": Stage(phase="improve", used=0.5, step=1, trace=0, n_traces=2),
    }


@pytest.mark.parametrize("split", ["stratified", "group", "time"])
@pytest.mark.parametrize("case", CASES)
def test_every_move_and_every_pair_of_moves_renders_a_script(case: str, split: str) -> None:
    brief = DraftBrief(**told(case, split, leaks=True))
    facts = facts_of(brief)
    evidence = {"segments": [{"column": "city", "value": "x", "ratio": 1.6, "n": 50}]}
    look = look_of(brief, Spec(), facts, evidence)
    every = [*moves.FIXED, *moves.per_column(look)]
    assert len(every) > 35
    for first in every:
        compile(render(canonical(first.apply(Spec()), facts), facts), "solution.py", "exec")
        for second in every[::7]:
            compile(
                render(canonical(second.apply(first.apply(Spec())), facts), facts),
                "solution.py",
                "exec",
            )


def test_a_spec_comes_back_from_the_script_that_carries_it() -> None:
    facts = facts_of(DraftBrief(**told("number")))
    spec = canonical(
        Spec(family="lgbm", second="linear", target="log", drop=("fee",), ratios=True), facts
    )
    assert parse(render(spec, facts)) == spec
    assert parse(dump(spec).replace('"lgbm"', '"rm -rf"')) is None
    assert parse("print('hello')") is None


async def test_drafts_differ_between_traces_and_repeat_for_the_same_brief() -> None:
    first = [
        await Expert().draft(
            DraftBrief(
                **told("binary")
                | {"stage": Stage(phase="draft", used=0, step=0, trace=t, n_traces=3)}
            )
        )
        for t in range(3)
    ]
    again = await Expert().draft(
        DraftBrief(
            **told("binary") | {"stage": Stage(phase="draft", used=0, step=0, trace=0, n_traces=3)}
        )
    )
    assert len({answer.script for answer in first}) == 3 and again == first[0]


async def test_a_column_that_gives_the_target_away_is_left_out_from_the_draft_on() -> None:
    answer = await Expert().draft(DraftBrief(**told("binary", leaks=True)))
    assert parse(answer.script).drop == ("fee",)  # type: ignore[union-attr]


async def test_a_repair_leaves_out_the_column_that_the_harness_names() -> None:
    brief = told("binary")
    draft = await Expert().draft(DraftBrief(**brief))
    problem = "the predictions rest on the column 'fee', which gives the label away: it is constant in test; leave it and everything made of it out"
    for attempt in (1, 2):
        mended = await Expert().repair(
            RepairBrief(
                **brief, script=draft.script, evidence={}, problems=[problem], attempt=attempt
            )
        )
        spec = parse(mended.script)
        assert (
            spec is not None and spec.drop == ("fee",) and spec.family == parse(draft.script).family
        )  # type: ignore[union-attr]


async def test_a_task_with_a_leak_is_solved_without_it(tmp_path: Path) -> None:
    planted.write("credit_leak", tmp_path / "task")
    settings = quick(
        tmp_path, steps=1, time_s=300, run_time_s=100, top_k=1, final_seeds=1, confirm=False
    )
    outcome = await start_run(str(tmp_path / "task"), settings)
    assert outcome.solution is not None and outcome.score is not None and outcome.score < 0.9
    assert parse(outcome.solution.read_text()).drop == ("recovery_fee",)  # type: ignore[union-attr]


@pytest.mark.parametrize("move", moves.FIXED, ids=lambda move: move.name)
def test_a_move_that_is_made_again_and_again_stays_a_script(move: moves.Move) -> None:
    facts = facts_of(DraftBrief(**told("number")))
    spec = Spec(family="lgbm")
    for _ in range(8):
        spec = canonical(move.apply(spec), facts)
        compile(render(spec, facts), move.name, "exec")


def test_a_line_in_a_script_may_say_anything() -> None:
    facts = facts_of(DraftBrief(**told("number")))
    for size in (-99, 99):
        spec = parse(dump(Spec(size=size, slow=99, seeds=10**9)))
        assert spec is not None
        compile(render(canonical(spec, facts), facts), "script", "exec")


def test_a_category_of_many_levels_that_carries_the_signal_is_no_leak(tmp_path: Path) -> None:
    planted.write("many_levels", tmp_path / "task")
    prepared = prepare(
        load_task(str(tmp_path / "task")),
        str(tmp_path / "public"),
        str(tmp_path / "private"),
        seed=0,
        audit=False,
    )
    found = profile(prepared)
    shop = next(column for column in found["columns"] if column["name"] == "shop")
    assert found["leaks"] == [] and shop["strength"] > 0.7 and shop["drift"] < 0.15
