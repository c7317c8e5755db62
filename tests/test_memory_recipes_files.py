"""Files of recipes that somebody else wrote, and what `gome recipes` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from memory.recipes import evidence as sealed
from memory.recipes import library
from memory.recipes.evidence import Evidence, TaskGain, read_evidence, with_evidence
from memory.recipes.library import add_recipes, load_library, read_folder
from memory.recipes.spec import RecipeError, parse_recipe
from memory.recipes.template import recipe_template

GOOD = recipe_template("wind-power")
MEASURED = Evidence(
    measured="today",
    by="gome",
    tasks=(TaskGain(task="a", metric="auc", rows=9, seeds=1, gain=1.0, se=0.5, data="1234"),),
)


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "KEY_FILE", tmp_path / "a.key")


def write_measured(folder: Path) -> None:
    """Write the recipe with this user's numbers into a folder."""
    folder.mkdir()
    mine = parse_recipe(GOOD, "wind-power.md", str(folder))
    (folder / "wind-power.md").write_text(with_evidence(GOOD, mine, MEASURED))
    (recipe,) = read_folder(folder).recipes
    assert read_evidence(recipe) is not None


@pytest.mark.parametrize(
    "line", ["cost: !!bool maybe", 'version: !!int ""', 'author: !!timestamp "x"']
)
def test_a_tag_in_a_head_leaves_out_the_file_and_nothing_else(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0]
    lines = [line if each.startswith(f"{key}:") else each for each in GOOD.splitlines()]
    (tmp_path / "wind-power.md").write_text("\n".join(lines))
    found = load_library(str(tmp_path))
    assert "tags such as !!int are not read" in found.problems[0]
    assert len(found.recipes) > 100


def test_a_tag_in_evidence_makes_it_untested(tmp_path: Path) -> None:
    text = f'{GOOD}\n## Evidence\n```yaml\nseal: !!int ""\n```\n'
    assert read_evidence(parse_recipe(text, "wind-power.md")) is None


def test_evidence_takes_the_place_of_earlier_one_wherever_and_however_it_is_written() -> None:
    code = GOOD.index("## Code")
    text = f"{GOOD[:code]}## evidence\n?\n{GOOD[code:]}".replace("\n", "\r\n")
    recipe = parse_recipe(text, "wind-power.md")
    written = with_evidence(text, recipe, MEASURED)
    assert written.count("vidence") == 1 and written.index("## Code") < written.index("## Evidence")
    assert read_evidence(parse_recipe(written, "wind-power.md")) is not None


def test_a_comment_in_code_is_no_heading() -> None:
    text = GOOD.replace("def prepare", "## load data\ndef prepare")
    assert "## load data" in parse_recipe(text, "wind-power.md").code


def test_adding_a_file_again_keeps_what_was_measured_of_the_same_code(tmp_path: Path) -> None:
    mine, source = tmp_path / "mine", tmp_path / "wind-power.md"
    write_measured(mine)
    source.write_text(GOOD.replace("Why it works", "Why it often works"))
    (note,) = add_recipes(str(source), str(mine)).notes
    assert note == "wind-power: keeps what you measured on 1 task"
    (recipe,) = read_folder(mine).recipes
    assert "often" in recipe.why and read_evidence(recipe) is not None
    source.write_text(GOOD.replace("1e-6", "1e-3"))
    (note,) = add_recipes(str(source), str(mine)).notes
    assert note.endswith("so what you measured on 1 task is dropped")
    (recipe,) = read_folder(mine).recipes
    assert "1e-3" in recipe.code and read_evidence(recipe) is None


def test_a_folder_that_is_full_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "MAX_FILES", 2)
    source, mine = tmp_path / "source", tmp_path / "mine"
    source.mkdir()
    for name in ("idea-1", "idea-2"):
        (source / f"{name}.md").write_text(recipe_template(name))
    assert add_recipes(str(source), str(mine)).names == ["idea-1.md", "idea-2.md"]
    (source / "idea-1.md").rename(source / "idea-3.md")
    (source / "idea-3.md").write_text(recipe_template("idea-3"))
    added = add_recipes(str(source), str(mine))
    assert added.names == ["idea-2.md"], "which is there already"
    assert added.problems == [f"idea-3: {mine} has 2 files already"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new", "a b"], "an id must be 3 to 60 small letters, digits and dashes"),
        (["new", "abc\ntitle: x"], "an id must be 3 to 60"),
        (["ls", "--state", "bogus"], "'bogus' is none of helpful, neutral, harmful, untested"),
        (["ls", "--modality", "smell"], "'smell' is none of table"),
        (["ls", "--recipes", "off"], "recipes are off"),
        (["show", "extra-trees", "--recipes", "off"], "recipes are off"),
        (["export", "out", "--recipes", "off"], "recipes are off"),
        (["export", "/proc/x/y"], "/proc/x/y: cannot be a folder"),
        (["add", "good/wind-power.md", "--recipes", "file"], "file: cannot be a folder"),
        (["ls", "--recipes", "file"], "file: is not a folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("good").mkdir()
    Path("good/wind-power.md").write_text(GOOD)
    result = CliRunner().invoke(app, ["recipes", *words])
    assert said in result.output.replace("\n", " "), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert not Path("out").exists()


def test_a_number_may_be_an_id_and_unknown_keys_are_answered_with_the_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["recipes", "new", "2024"]).exit_code == 0
    assert parse_recipe(Path("2024.md").read_text(), "2024.md").id == "2024"
    with pytest.raises(RecipeError, match="unknown: is not known; the keys are id, title"):
        parse_recipe(GOOD.replace("cost:", "unknown:"), "wind-power.md")
    with pytest.raises(RecipeError, match="smell: is not known; the keys are modality, task"):
        parse_recipe(GOOD.replace("  rows:", "  smell:"), "wind-power.md")
