"""The expert on its own: edits keep scripts valid, leaks are dropped, answers are deterministic."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from kit import events, quick

from evals.harness import planted
from reasoner.expert import moves
from reasoner.expert.drafts import first_spec
from reasoner.expert.engine import Expert, move_context
from reasoner.expert.facts import read_task_facts
from reasoner.expert.momentum import MAX_DRAFT_MOVES
from reasoner.expert.packages import list_missing_families
from reasoner.expert.render import render_script
from reasoner.expert.spec import (
    BOOSTED_FAMILIES,
    FAMILIES,
    ScriptSpec,
    TaskFacts,
    canonical_spec,
    parse_spec,
    spec_header,
)
from reasoner.protocol import (
    DiagnoseBrief,
    DraftBrief,
    MoveRecord,
    RecipeVerdict,
    RepairBrief,
    Resources,
    Stage,
    TaskBrief,
)
from session.session import start_run
from task.data.prepare import prepare_task
from task.data.profile import profile_data
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
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "binary": ("binary", "auc", {"rates": {"0": 0.8, "1": 0.2}}),
    "classes": ("multiclass", "f1_macro", {"rates": {"a": 0.7, "b": 0.25, "c": 0.05}}),
    "number": (
        "regression",
        "rmsle",
        {"skew": 2.0, "nonnegative": True, "integer": True, "zero_share": 0.3},
    ),
}


def brief_fields(case: str, split: str = "stratified", leaks: bool = False) -> dict[str, Any]:
    """Fields that every brief of a made-up task shares."""
    kind, metric, target = CASES[case]
    column = {"group": "city", "time": "seen"}.get(split)
    names = list(target.get("rates", {})) if kind == "multiclass" else []
    task = TaskBrief(
        name="made up",
        description="",
        kind=kind,
        metric=metric,
        direction="max",
        id="id",
        target=["y"],
        columns=["id", *(names or ["y"])],
        split={"kind": split, "column": column, "n_folds": 5},
        inputs=["train.csv", "test.csv"],
        n_train=800,
        n_test=200,
    )
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
    brief = DraftBrief(**brief_fields(case, split, leaks=True))
    facts = read_task_facts(brief)
    evidence: dict[str, Any] = {
        "segments": [{"column": "city", "value": "x", "ratio": 1.6, "n": 50}]
    }
    look = move_context(brief, ScriptSpec(), facts, evidence)
    every = [*moves.FIXED_MOVES, *moves.column_moves(look)]
    assert len(every) > 35
    for first in every:
        compile(
            render_script(canonical_spec(first.apply(ScriptSpec()), facts), facts),
            "solution.py",
            "exec",
        )
        for second in every[::7]:
            compile(
                render_script(
                    canonical_spec(second.apply(first.apply(ScriptSpec())), facts), facts
                ),
                "solution.py",
                "exec",
            )


def code_lines(spec: ScriptSpec, facts: TaskFacts) -> str:
    """The script without its docstring and comments, as Python writes it."""
    body = ast.parse(render_script(spec, facts)).body
    return "\n".join(map(ast.unparse, body[1:]))


@pytest.mark.parametrize("case", CASES)
def test_no_move_is_offered_that_changes_comments_alone(case: str) -> None:
    brief = DraftBrief(**brief_fields(case, leaks=True))
    facts = read_task_facts(brief)
    without: dict[str, set[str]] = {}
    for family in sorted(FAMILIES)[list(CASES).index(case) :: len(CASES)]:  # each in one case
        spec = canonical_spec(ScriptSpec(family=family), facts)
        look = move_context(brief, spec, facts, {})
        before = code_lines(spec, facts)
        every = [*moves.FIXED_MOVES, *moves.column_moves(look)]
        offered = {move.name for move, _ in moves.applicable_moves(look)}
        new = {move.name: canonical_spec(move.apply(spec), facts) for move in every}
        without[family] = {name for name in new if code_lines(new[name], facts) == before}
        assert not offered & without[family]
    assert all("slow" in without[family] for family in without if family not in BOOSTED_FAMILIES)
    assert all("slow" not in without[family] for family in BOOSTED_FAMILIES & set(without))
    blend = canonical_spec(ScriptSpec(family="linear", second="svm"), facts)
    look = move_context(brief, blend, facts, {})
    assert "slow" not in {move.name for move, _ in moves.applicable_moves(look)}


def test_a_spec_comes_back_from_the_script_that_carries_it() -> None:
    facts = read_task_facts(DraftBrief(**brief_fields("number")))
    spec = canonical_spec(
        ScriptSpec(family="lgbm", second="linear", target="log", drop=("fee",), ratios=True), facts
    )
    assert parse_spec(render_script(spec, facts)) == spec
    assert parse_spec(spec_header(spec).replace('"lgbm"', '"rm -rf"')) is None
    assert parse_spec("print('hello')") is None


async def test_drafts_differ_between_traces_and_repeat_for_the_same_brief() -> None:
    first = [
        await Expert().draft(
            DraftBrief(
                **brief_fields("binary")
                | {"stage": Stage(phase="draft", used=0, step=0, trace=t, n_traces=3)}
            )
        )
        for t in range(3)
    ]
    again = await Expert().draft(
        DraftBrief(
            **brief_fields("binary")
            | {"stage": Stage(phase="draft", used=0, step=0, trace=0, n_traces=3)}
        )
    )
    assert len({answer.script for answer in first}) == 3 and again == first[0]


async def test_a_column_that_gives_the_target_away_is_left_out_from_the_draft_on() -> None:
    answer = await Expert().draft(DraftBrief(**brief_fields("binary", leaks=True)))
    spec = parse_spec(answer.script)
    assert spec is not None and spec.drop == ("fee",)


async def test_a_protocol_hypothesis_names_the_suspects_that_it_drops() -> None:
    fields = brief_fields("binary", leaks=True)
    script = render_script(ScriptSpec(), read_task_facts(DraftBrief(**fields)))
    diagnosis = await Expert().diagnose(DiagnoseBrief(**fields, script=script, evidence={}))
    by_move = {item.move: item for item in diagnosis.hypotheses}
    leak = by_move.pop("drop_leak:fee")
    assert leak.protocol and leak.drops_columns == ["fee"]
    assert by_move
    assert not any(item.protocol or item.drops_columns for item in by_move.values())


async def test_what_recipes_measured_of_a_move_changes_its_confidence_and_order() -> None:
    fields = brief_fields("binary")
    fields["script"] = render_script(ScriptSpec(), read_task_facts(DraftBrief(**fields)))

    async def confidences(*records: MoveRecord) -> dict[str, float]:
        brief = DiagnoseBrief(**fields, evidence={}, move_records=list(records))
        told = (await Expert().diagnose(brief)).hypotheses
        return {str(item.move): item.confidence for item in told}

    before = await confidences()
    first = next(iter(before))
    after = await confidences(MoveRecord(move=first, n_tasks=12, n_helped=0))
    assert next(iter(after)) != first and after.get(first, 0) < 0.5 * before[first]
    assert {move: after[move] for move in after if move in before and move != first} == {
        move: before[move] for move in after if move in before and move != first
    }
    surer = await confidences(MoveRecord(move=first, n_tasks=6, n_helped=6))
    assert before[first] < surer[first] < 1


async def test_later_drafts_begin_with_what_recipes_measured_as_helpful() -> None:
    fields = brief_fields("number")

    async def drafts(**verdicts: RecipeVerdict) -> list[ScriptSpec]:
        records = [
            MoveRecord(move=move.replace("__", ":"), n_tasks=4, n_helped=3, verdict=verdict)
            for move, verdict in verdicts.items()
        ]
        specs = []
        for trace in range(5):
            stage = Stage(phase="draft", used=0, step=0, trace=trace, n_traces=5)
            brief = DraftBrief(**fields | {"stage": stage}, move_records=records)
            specs.append(parse_spec((await Expert().draft(brief)).script))
        return [spec for spec in specs if spec is not None]

    plain = await drafts()
    unsure = await drafts(log_target="neutral", family__extra="neutral", bag="helpful")
    assert len(plain) == 5 and unsure == plain
    helpful = await drafts(log_target="helpful", sqrt_target="harmful")
    assert helpful == [plain[0], *(spec.with_changes(target="log") for spec in plain[1:])]
    first, second, *_ = await drafts(family__extra="helpful")
    assert (first, second.family) == (plain[0], "extra") and plain[1].family != "extra"
    harmful: RecipeVerdict = "harmful"
    for worst in ("linear", "hgb"):
        without = await drafts(**{f"family__{worst}": harmful})
        assert worst in {spec.family for spec in plain}
        assert worst not in {spec.family for spec in without} and len(without) == 5
    many = await drafts(log_target="helpful", ratios="helpful", slow="helpful", select="helpful")
    taken = [(spec.target, spec.ratios, spec.slow, spec.select) for spec in many[1:]]
    assert all(sum(map(bool, spec)) == MAX_DRAFT_MOVES for spec in taken)


async def test_a_column_dropped_for_its_drift_is_no_suspect() -> None:
    fields = brief_fields("binary")
    columns = [{"name": "age", "kind": "numeric", "drift": 0.95}]
    fields["profile"] |= {"columns": columns, "n_columns": 1}
    script = render_script(ScriptSpec(), read_task_facts(DraftBrief(**fields)))
    diagnosis = await Expert().diagnose(DiagnoseBrief(**fields, script=script, evidence={}))
    drop = next(item for item in diagnosis.hypotheses if item.move == "drop:age")
    assert not drop.protocol and drop.drops_columns == []


async def test_a_repair_leaves_out_the_column_that_the_harness_names() -> None:
    brief = brief_fields("binary")
    draft = await Expert().draft(DraftBrief(**brief))
    problem = (
        "the predictions rest on the column 'fee', which gives the label away: "
        "it is constant in test; leave it and everything made of it out"
    )
    for attempt in (1, 2):
        repaired = await Expert().repair(
            RepairBrief(
                **brief, script=draft.script, evidence={}, problems=[problem], attempt=attempt
            )
        )
        spec, first = parse_spec(repaired.script), parse_spec(draft.script)
        assert spec and first and spec.drop == ("fee",) and spec.family == first.family


@pytest.mark.slow
async def test_a_task_with_a_leak_is_solved_without_it(tmp_path: Path) -> None:
    planted.write_planted_task("credit_leak", tmp_path / "task")
    settings = quick(
        tmp_path, steps=1, time_s=300, run_time_s=100, top_k=1, final_seeds=1, confirm=False
    )
    outcome = await start_run(str(tmp_path / "task"), settings)
    assert outcome.solution is not None and outcome.score is not None and outcome.score < 0.9
    spec = parse_spec(outcome.solution.read_text())
    assert spec is not None and spec.drop == ("recovery_fee",)


@pytest.mark.slow
@pytest.mark.parametrize("recipes", ["default", "off"])
async def test_a_helpful_recipe_is_in_the_second_traces_draft(recipes: str, tmp_path: Path) -> None:
    planted.write_planted_task("skewed_amount", tmp_path / "task")
    where = str(tmp_path / "none") if recipes == "default" else "off"
    settings = quick(
        tmp_path, traces=2, steps=1, run_time_s=100, top_k=1, confirm=False, recipes=where
    )
    outcome = await start_run(str(tmp_path / "task"), settings)
    drafts = {event["trace"]: event["summary"] for event in events(outcome.folder, "drafted")}
    assert "log" not in drafts[0] and ("log" in drafts[1]) == (recipes == "default"), drafts


@pytest.mark.parametrize("move", moves.FIXED_MOVES, ids=lambda move: move.name)
def test_a_repeated_move_still_renders_a_script(move: moves.Move) -> None:
    facts = read_task_facts(DraftBrief(**brief_fields("number")))
    spec = ScriptSpec(family="lgbm")
    for _ in range(8):
        spec = canonical_spec(move.apply(spec), facts)
        compile(render_script(spec, facts), move.name, "exec")


def facts_of(**changes: Any) -> TaskFacts:
    fields: dict[str, Any] = {"id": "id", "target": ("y",), "kind": "multiclass"}
    fields |= {"metric": "log_loss", "columns": ("id", "a"), "parquet": False, "split": "random"}
    fields |= {"group": None, "time": None, "labels": tuple("abcdef"), "n_rows": 5000}
    return TaskFacts(**fields | changes)


def test_first_drafts_are_the_cheap_strong_families_for_rows_classes_and_texts() -> None:
    plain = first_spec(facts_of(), 0, 0)
    assert (plain.family, plain.second) == ("hgb", None)
    texts = first_spec(facts_of(text=("note",)), 0, 0)
    assert (texts.family, texts.second, texts.chars) == ("linear", "bayes", True)
    names: dict[str, Any] = {"text": ("name",), "few_words": ("name",)}
    alone = first_spec(facts_of(**names), 0, 0)
    assert (alone.family, alone.second) == ("linear", None)
    assert first_spec(facts_of(**names, numeric=("age",)), 0, 0).family == "hgb"
    few = first_spec(facts_of(n_rows=300), 0, 0)
    assert (few.family, few.second) == ("linear", "svm")
    fewer = first_spec(facts_of(n_rows=40), 0, 0)
    assert (fewer.family, fewer.second) == ("linear", None)
    number = first_spec(facts_of(text=("note",), kind="regression", labels=()), 0, 0)
    assert number.second is None


def test_families_are_used_only_where_task_and_python_have_them() -> None:
    words = facts_of(text=("note",), missing_families=("cat",))
    assert canonical_spec(ScriptSpec(family="cat"), words).family == "hgb"
    assert canonical_spec(ScriptSpec(second="bayes"), words).second == "bayes"
    assert canonical_spec(ScriptSpec(second="bayes"), facts_of()).second is None
    assert canonical_spec(ScriptSpec(family="xgb"), facts_of(scarce=True)).family == "hgb"
    assert list_missing_families({}) == ("cat", "xgb")
    assert list_missing_families({"lightgbm": "4", "catboost": "1"}) == ("xgb",)
    assert list_missing_families({"lightgbm": "4", "catboost": "1", "xgboost-cpu": "3"}) == ()


def test_a_header_line_in_a_script_may_contain_anything() -> None:
    facts = read_task_facts(DraftBrief(**brief_fields("number")))
    for size in (-99, 99):
        spec = parse_spec(spec_header(ScriptSpec(size=size, slow=99, seeds=10**9)))
        assert spec is not None
        compile(render_script(canonical_spec(spec, facts), facts), "script", "exec")


def test_a_category_of_many_levels_that_carries_the_signal_is_no_leak(tmp_path: Path) -> None:
    planted.write_planted_task("many_levels", tmp_path / "task")
    prepared = prepare_task(
        load_task(str(tmp_path / "task")),
        str(tmp_path / "public"),
        str(tmp_path / "private"),
        seed=0,
        audit=False,
    )
    found = profile_data(prepared)
    shop = next(column for column in found["columns"] if column["name"] == "shop")
    assert found["leaks"] == [] and shop["strength"] > 0.7 and shop["drift"] < 0.15
