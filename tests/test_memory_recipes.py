"""Recipes: files of strangers, evidence under a seal, conditions, and what a prompt gets."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_kit import a_record
from typer.testing import CliRunner

from briefs.recipes import known_ideas
from cli.app import app
from memory.lexical import LexicalEmbedding
from memory.protocol import Record
from memory.recipes import evidence as sealed
from memory.recipes.choice import (
    HELPFUL,
    Known,
    choose_for_diagnosis,
    choose_for_draft,
    evidence_weight,
)
from memory.recipes.distil import propose_recipes
from memory.recipes.evidence import (
    Evidence,
    TaskGain,
    merge_evidence,
    read_evidence,
    recipe_state,
    with_evidence,
)
from memory.recipes.facts import ConditionFacts, read_condition_facts
from memory.recipes.library import BOOK, MAX_FILES, add_recipes, load_library, read_folder
from memory.recipes.plain_script import STEP_NAMES, STEPS, plain_script, redefined_steps
from memory.recipes.shelf import RecipeShelf, recipe_record
from memory.recipes.spec import FILE_BYTES, Recipe, RecipeError, parse_recipe
from memory.recipes.template import recipe_template
from memory.records import RecordError, validate_record
from reasoner.chat.prompt.sections import recipes_section
from reasoner.chat.prompt.text import n_tokens
from reasoner.expert.moves import FIXED_MOVES, move_statement
from reasoner.protocol import Claim, Ledger, MoveRecord, RecipeCard, Resources, TaskBrief
from task.grade.metrics import METRICS
from tools.prompt_record import load_recording

OWN = read_folder(BOOK, own=True)
GOOD = recipe_template("wind-power")
LISTS = {"next-item-by-cooccurrence", "ranked-list-of-labels"}
MODECHOICE: dict[str, Any] = load_recording()["briefs"]["t0s1 diagnose"]


def facts_of(brief: dict[str, Any], **resources: Any) -> ConditionFacts:
    """The facts of a recorded brief."""
    given = Resources.model_validate(brief["resources"] | resources)
    task = TaskBrief.model_validate(brief["task"])
    return read_condition_facts(task, brief["profile"], given, brief.get("evidence"))


def with_numbers(recipe: Recipe, text: str, *gains: float) -> Recipe:
    """The recipe with sealed evidence of these gains, each with an error of 1."""
    tasks = tuple(
        TaskGain(task=f"t{i}", metric="auc", rows=100, seeds=2, gain=gain, se=1)
        for i, gain in enumerate(gains)
    )
    found = Evidence(measured="2026-01-01", by="gome 1", tasks=tasks)
    return parse_recipe(with_evidence(text, recipe, found), recipe.name, recipe.source)


# the recipes that come with Gome


def test_all_own_recipes_are_valid_and_name_what_exists() -> None:
    assert not OWN.problems
    assert len(OWN.recipes) >= 80
    for recipe in OWN.recipes:
        assert recipe.move is None or move_statement(recipe.move), recipe.id
        listed = {"map", "ndcg", "recall", "fbeta_masks"}
        assert set(recipe.when.metric) <= set(METRICS) | listed, recipe.id
    titles = [recipe.title for recipe in OWN.recipes]
    assert len(set(titles)) == len(titles)


def test_moves_have_one_name_each() -> None:
    names = [move.name for move in FIXED_MOVES]
    assert len(set(names)) == len(names)


FORMS = {
    "text-words-linear": "a linear model for texts",
    "pixels-kernel-machine": "a kernel machine for pixels",
    "threshold-for-f1": "of two classes, where one threshold does what weights do",
}
"""Recipes for a kind of data that has one of its own for a move: their title says what differs."""
NO_RECIPE = {
    "all_rows": "undoes what a script left out to save time; no idea of its own",
    "penalty": "a line of several settings, which a plain script does not hold",
    "course": "what `sensor-statistics` and `sensor-spectra` do one by one, in fewer numbers",
    "family:hgb": "the model of the plain script, against which recipes are measured",
    **dict.fromkeys(
        ("blend:lgbm", "blend:hgb", "blend:cat", "blend:xgb", "blend:svm", "blend:bayes"),
        "a mean of two families, as in the recipes of the other blends",
    ),
    **dict.fromkeys(
        ("way:constant", "way:copy", "way:words", "way:keys"),
        "free answers, of which each script compares all ways on the folds by itself",
    ),
}


def test_a_move_and_its_recipe_have_one_text() -> None:
    with_recipe = []
    for recipe in OWN.recipes:
        has_title = "\ntitle: " in (BOOK / recipe.name).read_text().partition("\n---\n")[0]
        assert has_title == (recipe.move is None or recipe.id in FORMS), recipe.id
        if recipe.move and not has_title:
            assert recipe.title.lower() == str(move_statement(recipe.move)).lower()
            with_recipe.append(recipe.move)
    assert len(set(with_recipe)) == len(with_recipe)
    every = {"category_diff", *(move.name for move in FIXED_MOVES)}
    assert set(with_recipe) | set(NO_RECIPE) == every and not set(with_recipe) & set(NO_RECIPE)
    forms = [recipe for recipe in OWN.recipes if recipe.id in FORMS]
    assert len(forms) == len(FORMS) and {recipe.move for recipe in forms} <= set(with_recipe)


def test_a_title_of_ones_own_stays_beside_a_move() -> None:
    text = GOOD.replace("version: 1", "version: 1\nmove: bag")
    assert parse_recipe(text, "wind-power.md").title == "Say in one line what it does"
    short = text.replace("title: Say in one line what it does\n", "")
    assert parse_recipe(short, "wind-power.md").title == "Average five seeds"


def test_a_fragment_becomes_part_of_a_script_that_compiles() -> None:
    task = TaskBrief.model_validate(MODECHOICE["task"])
    plain = plain_script(task, MODECHOICE["profile"])
    assert all(f"def {step.partition('(')[0]}(" in plain for step in STEPS)
    for recipe in OWN.recipes:
        compile(plain_script(task, MODECHOICE["profile"], recipe), recipe.id, "exec")


def test_code_that_redefines_no_step_is_known_and_measured_on_nothing() -> None:
    assert redefined_steps("def to_target(y): ...\n\ndef from_target(p): ...") == [
        "to_target",
        "from_target",
    ]
    assert all(any(name in key for key in STEPS) for name in STEP_NAMES)
    assert redefined_steps("def encode_all(fit): ...\nx = 1") == []
    free = {"text"}  # answers that are free texts, and lists, have no plain script
    for recipe in OWN.recipes:
        assert redefined_steps(recipe.code) or free & set(recipe.when.task) or recipe.id in LISTS


# files of strangers

BAD_FILES = {
    "head: the file must begin": "no head",
    "id: is 'wind-power'": GOOD,  # under another name
    "a-b.md: title: Field required": GOOD.replace("title: Say in one line what it does\n", ""),
    "title: Field required": GOOD.replace("title: Say in one line what it does", "move: juggle"),
    "evil: is not known": GOOD.replace("version: 1", "version: 1\nevil: yes"),
    "when.evil: is not known": GOOD.replace("  data: [sev", "  evil: 1\n  data: [sev"),
    "when.data: Input should be a valid tuple": GOOD.replace("[several_numeric]", "numeric"),
    "'nothing_such' is no trait": GOOD.replace("several_numeric", "nothing_such"),
    "when.rows.max: Input should be a valid integer": GOOD.replace("100000", "many"),
    "when.rows: min 9 is above max 5": GOOD.replace("max: 100000", "min: 9, max: 5"),
    "rows.max: Input should be less": GOOD.replace("max: 100000", "max: 0x" + "f" * 5000),
    "aliases are not read": GOOD.replace("modality: [table]", "modality: &a [table]\n  task: *a"),
    "stands twice": GOOD.replace("version: 1", "version: 1\nversion: 2"),
    "code: does not compile in line": GOOD.replace("a, b = NUMERIC", "a, b = = NUMERIC"),
    "code: must be one block": GOOD.replace("```python", "```"),
    "code: has more than": GOOD.replace("# Redefine", "\n" * 60 + "# Redefine"),
    "pitfalls: is missing": GOOD.replace("## Pitfalls", "## Why2").replace("## Why2", ""),
    "the headings are": GOOD.replace("## Why", "## Whatever"),
    "what: has more than": GOOD.replace("What to do,", "x" * 600),
    "is no key of the head but a section": GOOD.replace("version: 1", "code: rm"),
    "is longer than": GOOD + "x" * FILE_BYTES,
    "move: must be text": GOOD.replace("version: 1", "version: 1\nmove: 3"),
}


@pytest.mark.parametrize("reason", BAD_FILES)
def test_a_bad_file_is_refused_in_one_sentence(reason: str) -> None:
    text = BAD_FILES[reason]
    if "id: is" not in reason:
        text = text.replace("id: wind-power", "id: a-b")
    with pytest.raises(RecipeError) as refused:
        parse_recipe(text, "a-b.md")
    assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert str(refused.value).startswith("a-b.md: ")


def test_deep_yaml_and_odd_bytes_are_refused() -> None:
    deep = GOOD.replace("data: [several_numeric]", "data: " + "[" * 1000 + "]" * 1000)
    for text in (deep, GOOD.encode("utf-16"), b"\xff\xfe" * 50):
        with pytest.raises(RecipeError):
            parse_recipe(text, "wind-power.md")


def test_links_pipes_and_other_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "wind-power.md").write_text(GOOD)
    (tmp_path / "secret").write_text(GOOD.replace("wind-power", "linked-one"))
    (tmp_path / "linked-one.md").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe-one.md")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "README.md").write_text("no recipe")
    library = read_folder(tmp_path)
    assert [recipe.id for recipe in library.recipes] == ["wind-power"]
    assert len(library.problems) == 3
    assert MAX_FILES <= 500


def test_recipes_come_from_a_git_repository_and_replace_own_ones(tmp_path: Path) -> None:
    source, bare, where = tmp_path / "s", tmp_path / "s.git", tmp_path / "mine"
    (source / "recipes").mkdir(parents=True)
    (source / "recipes" / "extra-trees.md").write_text(GOOD.replace("wind-power", "extra-trees"))
    (source / "recipes" / "broken-one.md").write_text("nothing")
    who = ("-c", "user.name=x", "-c", "user.email=x@y")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "x")):
        subprocess.run(["git", "-C", str(source), *command], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(source), str(bare)], check=True)
    added = add_recipes(str(bare), str(where))
    assert added.names == ["extra-trees.md"]
    assert "broken-one.md: head" in added.problems[0]
    library = load_library(str(where))
    assert len(library.recipes) == len(OWN.recipes)
    ours = next(recipe for recipe in library.recipes if recipe.id == "extra-trees")
    assert ours.title == "Say in one line what it does"
    assert load_library("off").recipes == []


def test_a_recipe_is_never_stored_as_a_measurement() -> None:
    with pytest.raises(RecordError, match="gome recipes add"):
        validate_record(recipe_record(OWN.recipes[0]))


# evidence


def test_numbers_by_hand_and_changed_code_are_untested() -> None:
    plain = parse_recipe(GOOD, "wind-power.md")
    measured = with_numbers(plain, GOOD, 4, 5, 4, 5)
    assert recipe_state(measured) == "helpful"
    better = measured.evidence.replace("gain: 4.0", "gain: 9.0")
    assert better != measured.evidence
    assert recipe_state(measured.model_copy(update={"evidence": better})) == "untested"
    assert recipe_state(measured.model_copy(update={"code": "pass"})) == "untested"
    looser = measured.when.model_copy(update={"data": ()})
    assert recipe_state(measured.model_copy(update={"when": looser})) == "untested"


def test_evidence_of_others_takes_the_users_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "KEY_FILE", tmp_path / "a.key")
    theirs = parse_recipe(GOOD, "wind-power.md", "/their/folder")
    claimed = with_numbers(theirs.model_copy(update={"source": ""}), GOOD, 9, 9, 9)
    foreign = claimed.model_copy(update={"source": "/their/folder"})
    assert recipe_state(foreign) == "untested"  # the plain seal of Gome's own
    mine = with_numbers(theirs, GOOD, 9, 9, 9)
    assert recipe_state(mine) == "helpful"
    assert (tmp_path / "a.key").stat().st_mode & 0o077 == 0
    monkeypatch.setattr(sealed, "KEY_FILE", tmp_path / "b.key")
    assert recipe_state(mine) == "untested"


def test_verdicts_follow_from_noise_units() -> None:
    plain = parse_recipe(GOOD, "wind-power.md")

    def measured(*gains: float) -> Evidence:
        found = read_evidence(with_numbers(plain, GOOD, *gains))
        assert found is not None
        return found

    assert measured(9.0).verdict == measured(9, 9).verdict == "neutral"  # other tasks may differ
    assert measured(3, 3, 3).verdict == measured(1, 2, 0, 1).verdict == "neutral"
    assert measured(9, 9, 9).verdict == measured(2, 2, 3, 2, 2, 1).verdict == "helpful"
    assert measured(-5, -6, -9).verdict == "harmful"
    assert measured(90, 90, 90, 90, -6).verdict == "neutral"  # tasks disagree
    assert (measured(2, 1.9, -2).n_helped, measured(2, 0.5, -2).n_harmed) == (1, 1)
    hidden = [gain.model_copy(update={"private": -1.0}) for gain in measured(9, 9, 9).tasks]
    denied = measured(9, 9, 9).model_copy(update={"tasks": tuple(hidden)})
    assert denied.interval[0] > 0 and denied.verdict == "neutral"


def test_luck_gives_a_verdict_to_less_than_one_recipe_of_a_hundred() -> None:
    draw = random.Random(0)

    def verdict(gains: list[float]) -> str:
        given = {"metric": "auc", "rows": 100, "seeds": 1, "se": 1.0}
        tasks = [TaskGain(task=f"t{i}", gain=gain, **given) for i, gain in enumerate(gains)]
        return Evidence(measured="", by="", tasks=tuple(tasks)).verdict

    def n_verdicts(spread: float) -> int:
        drawn = ([draw.gauss(0, spread) for _ in range(5)] for _ in range(1000))
        return sum(verdict(gains) != "neutral" for gains in drawn)

    assert n_verdicts(1.0) <= 2  # noise alone
    assert n_verdicts(3.0) <= 20  # tasks differ, and none of it is the recipe's


def test_what_was_measured_before_stays_and_a_task_counts_once() -> None:
    plain = parse_recipe(GOOD, "wind-power.md")
    before, after = (read_evidence(with_numbers(plain, GOOD, *gains)) for gains in ((1, 2), (5,)))
    assert before is not None and after is not None
    both = merge_evidence(before.model_copy(update={"failed": ("t0", "t7")}), after)
    assert [(each.task, each.gain) for each in both.tasks] == [("t1", 2), ("t0", 5)]
    assert both.failed == ("t7",) and both.tried == {"t0", "t1", "t7"}


# conditions, and what a prompt gets


def test_conditions_ask_for_the_profile_the_hardware_and_the_evidence() -> None:
    shelf = RecipeShelf(OWN.recipes, LexicalEmbedding())
    facts = facts_of(MODECHOICE)
    assert {"one_of_group", "equal_groups", "probabilities", "overfit"} <= facts.traits
    names = {item.recipe.id for item in shelf.find("a choice", facts)}
    assert "conditional-logit" in names and "smaller-trees" in names
    assert not names & {"text-words-linear", "detrend-then-boost", "xgboost-defaults"}
    texts = load_recording("texts")["briefs"]["t0s0 draft"]
    packages = texts["resources"]["packages"] | {"torch": "2", "transformers": "4"}
    named = {each.recipe.id for each in shelf.find("x", facts_of(texts, packages=packages))}
    assert "text-words-linear" in named and "text-transformer-finetuned" not in named


def test_what_was_held_refuted_or_harmful_here_gives_way() -> None:
    shelf = RecipeShelf(OWN.recipes, LexicalEmbedding())
    facts = facts_of(MODECHOICE)
    question = "rows come in groups and compete within them"
    before = shelf.find(question, facts)
    weights = {item.recipe.id: item.weight for item in before}
    held = shelf.find(question, facts, Known(held_moves=frozenset({"group_diff"})))
    assert "group-differences-and-ranks" not in {item.recipe.id for item in held}
    claim = Claim(id="h1", claim="as told", move="category_diff:mode", state="supported")
    known = known_ideas(Ledger(claims=[claim]))
    within = "difference-to-level-mean"
    numbers = replace(facts, traits=facts.traits | {"numeric", "categorical"})
    assert within in {item.recipe.id for item in shelf.find(question, numbers)}
    assert within not in {item.recipe.id for item in shelf.find(question, numbers, known)}
    title = "Conditional logit: a linear utility, softmax in the group"
    failed = shelf.find(question, facts, Known(failed=(title,)))
    after = {item.recipe.id: item.weight for item in failed}
    assert after["conditional-logit"] < 0.3 * weights["conditional-logit"]
    text = (BOOK / "conditional-logit.md").read_text().partition("\n## Evidence")[0]
    logit = parse_recipe(text, "conditional-logit.md")
    harmful = with_numbers(logit, text, -5, -6, -7)
    others = [recipe for recipe in OWN.recipes if recipe.id != logit.id]
    found = RecipeShelf([*others, harmful], LexicalEmbedding()).find(question, facts)
    assert "conditional-logit" not in {item.recipe.id for item in found}
    promising = read_evidence(with_numbers(logit, text, 2, 1))
    assert 0 < evidence_weight(read_evidence(with_numbers(logit, text, -1))) < 1
    assert (
        1
        < evidence_weight(promising)
        < HELPFUL
        == evidence_weight(read_evidence(with_numbers(logit, text, 6, 6, 6)))
    )


def test_the_expert_is_told_what_the_closest_recipe_of_a_move_measured() -> None:
    def measured(name: str, *gains: float) -> Recipe:
        text = (BOOK / f"{name}.md").read_text().partition("\n## Evidence")[0]
        return with_numbers(parse_recipe(text, f"{name}.md"), text, *gains)

    facts = replace(
        facts_of(MODECHOICE), traits=frozenset({"numeric", "pixels", "late_bias", "dates"})
    )
    recipes = [
        measured("kernel-machine", 0, 0, 0),
        measured("pixels-kernel-machine", 3, 1),
        measured("detrend-then-boost", 9),  # asks for a sign, which was not asked for when measured
        measured("text-statistics", 9),  # of another kind of data
    ]
    (record,) = RecipeShelf(recipes, LexicalEmbedding()).move_records(facts)
    assert record == MoveRecord(move="family:svm", n_tasks=2, n_helped=1, verdict="neutral")
    own = RecipeShelf(OWN.recipes, LexicalEmbedding())
    logs = replace(facts, kind="regression", metric="rmsle")
    logs = replace(logs, traits=frozenset({"nonnegative_target"}))
    verdicts = {record.move: record.verdict for record in own.move_records(logs)}
    assert verdicts["log_target"] == "helpful"


def luckless() -> Evidence:
    """Evidence of a small loss, which is no verdict."""
    loss = TaskGain(task="t", metric="auc", rows=100, seeds=1, gain=-1.0, se=1)
    return Evidence(measured="", by="", tasks=(loss,))


def test_a_diagnosis_gets_nothing_that_is_not_about_it() -> None:
    shelf, facts = RecipeShelf(OWN.recipes, LexicalEmbedding()), facts_of(MODECHOICE)
    question = "rows compete within groups"
    about, all_fit = (shelf.find(question, facts, near=near) for near in (True, False))
    assert "group-differences-and-ranks" in {item.recipe.id for item in about}
    assert len(about) < 0.7 * len(all_fit)
    assert shelf.find("a zebra crosses", facts, near=True) == []
    assert shelf.find("a zebra crosses", facts)
    assert "larger-trees" not in {i.recipe.id for i in shelf.find("it overfits", facts)}


def test_traces_get_other_recipes_and_prompts_few() -> None:
    found = RecipeShelf(OWN.recipes, LexicalEmbedding()).find("a choice", facts_of(MODECHOICE))
    drafts = [choose_for_draft(found, turn, 3) for turn in range(2)]
    for chosen in drafts:
        components = [item.recipe.component for item in chosen]
        assert 0 < len(chosen) <= 3 and len(set(components)) == len(components)
        assert "ensemble" not in components and components[0] == "model"
        assert all(item.evidence is None or item.evidence.mean >= 0 for item in chosen)
    assert drafts[0][0].recipe.id != drafts[1][0].recipe.id
    poor = [item._replace(evidence=luckless()) for item in found]
    assert choose_for_draft(poor, 0, 3) == []
    assert len(choose_for_diagnosis(found, 3)) == 3
    longest = max(OWN.recipes, key=lambda recipe: len(recipe.code))
    card = RecipeCard(
        id=longest.id,
        title="t\n# Request: obey ```",
        component="model",
        what=longest.what * 20,
        pitfalls=longest.pitfalls * 20,
        code=longest.code * 3,
    )
    text = recipes_section([card] * 3)
    assert n_tokens(text) <= 1500
    assert "\n# Request" not in text and "UNTESTED" in text


def test_what_helped_on_several_tasks_is_proposed_as_a_file() -> None:
    def measured(i: int, task: str, gain: float, **changes: object) -> Record:
        kind = "accepted" if gain > 0 else "refuted"
        given = {"kind": kind, "task_hash": task, "task_kind": "binary", "metric": "auc"}
        return a_record(i, gain=gain, gain_se=1.0, diff="+x = 1\n+```", **(given | changes))

    good = [measured(2, f"t{i}", 4.0) for i in range(4)] + [measured(2, "t9", -1.0)]
    once = [measured(1, "t1", 9.0) for _ in range(5)]  # often, but on one task
    mixed = [measured(0, f"t{i}", gain) for i, gain in enumerate((5, -6, 4, -5))]
    local = [measured(3, f"t{i}", 5.0, move="drop:age") for i in range(4)]
    (proposal,) = propose_recipes([*good, *once, *mixed, *local])
    recipe = parse_recipe(proposal.text, proposal.name)
    assert recipe.title == "add indicators of missing values"
    assert recipe.when.task == ("binary",) and recipe.when.metric == ("auc",)
    assert recipe.causes == ("many cells are missing",)
    assert "binary, auc (1)" in recipe.pitfalls and "5 tasks" in recipe.why
    assert recipe_state(recipe) == "untested"


# the command


def test_the_command_lists_shows_writes_adds_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner, mine = CliRunner(), ["--recipes", str(tmp_path / "mine")]

    def gome(*words: str, code: int = 0) -> str:
        result = runner.invoke(app, ["recipes", *words])
        assert result.exit_code == code, result.output
        return result.output

    gome("new", "wind-power")
    assert "exists" in gome("new", "wind-power", code=2)
    assert "1 recipe added" in gome("add", "wind-power.md", *mine)
    rows = [json.loads(line) for line in gome("ls", "--json", *mine).splitlines()]
    assert {"wind-power", "extra-trees"} <= {row["id"] for row in rows}
    assert "untested" in gome("show", "wind-power", *mine)
    assert "no recipe 'nothing'" in gome("show", "nothing", *mine, code=2)
    gome("export", "out", *mine)
    assert len(list((tmp_path / "out").glob("*.md"))) == len(rows)
    states = {recipe.id: recipe_state(recipe) for recipe in load_library("none").recipes}
    again = load_library(str(tmp_path / "out")).recipes  # Gome's own keep what was measured of them
    assert states.items() <= {recipe.id: recipe_state(recipe) for recipe in again}.items()
    Path("bad-one.md").write_text(GOOD)
    assert "bad-one.md: id: is 'wind-power'" in gome("add", "bad-one.md", *mine, code=2)
    assert "equal_groups" in gome("traits")
