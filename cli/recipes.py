"""`gome recipes`: what the field knows, as files that prompts offer where they fit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cli.errors import exit_on_failure, usage_error
from cli.options import setting_default, setting_option
from report.formatting import clean_text, format_plural

if TYPE_CHECKING:
    from memory.recipes.library import Library
    from memory.recipes.spec import Recipe

app = typer.Typer(
    help="Recipes: what the field knows, one Markdown file each. Prompts get the two or three "
    "whose conditions fit the task (docs/recipes.md).\n\n"
    "Your own in five minutes:  gome recipes new my-idea  &&  gome recipes add my-idea.md  &&  "
    "gome recipes verify my-idea --task FOLDER",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RecipesPlace = Annotated[str, setting_option("recipes")]
DEFAULT_RECIPES = setting_default("recipes")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines, for machines.")]
RecipeName = Annotated[str, typer.Argument(metavar="ID", help="The recipe's id.")]


@app.command("ls")
def list_recipes(
    modality: Annotated[
        str,
        typer.Option(metavar="KIND", help="Only of this kind of data: table, text, image, …"),
    ] = "",
    state: Annotated[
        str,
        typer.Option(metavar="STATE", help="Only helpful, neutral, harmful or untested ones."),
    ] = "",
    where: RecipesPlace = DEFAULT_RECIPES,
    json: AsJson = False,
) -> None:
    """List all recipes: Gome's own and those of your folder.

    helpful, neutral and harmful are what measurements say; untested ones are offered as such.
    """
    from cli.recipe_pages import print_recipes, recipe_json
    from memory.recipes.evidence import recipe_state
    from memory.recipes.traits import MODALITIES
    from reasoner.protocol import RecipeVerdict

    for word, known in ((modality, MODALITIES), (state, get_args(RecipeVerdict))):
        if word and word not in known:
            raise usage_error(f"{clean_text(word, 40)!r} is none of {', '.join(known)}")
    library = _load(where)
    chosen = [
        recipe
        for recipe in library.recipes
        if (not modality or modality in recipe.when.modality)
        and (not state or recipe_state(recipe) == state)
    ]
    if json:
        for recipe in chosen:
            typer.echo(recipe_json(recipe))
    elif chosen:
        print_recipes(chosen)
    else:
        typer.echo("No recipe matches.")


@app.command("show")
def show_recipe(
    name: RecipeName, where: RecipesPlace = DEFAULT_RECIPES, json: AsJson = False
) -> None:
    """Show one recipe: when it applies, what and why, pitfalls, code, and what was measured."""
    from cli.recipe_pages import recipe_json, recipe_page

    recipe = _find(_load(where), name)
    typer.echo(recipe_json(recipe) if json else recipe_page(recipe))


@app.command("new")
def new_recipe(
    name: Annotated[str, typer.Argument(metavar="ID", help="Small letters, digits and dashes.")],
) -> None:
    """Write ID.md into this folder: a whole, valid recipe to change line by line."""
    from memory.recipes.spec import ID, ID_WORDS
    from memory.recipes.template import recipe_template

    if not re.fullmatch(ID, name):
        raise usage_error(f"{clean_text(name, 60)!r}: an id must be {ID_WORDS}")
    path = Path(f"{name}.md")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(recipe_template(name))
    except FileExistsError:
        raise usage_error(f"{path} exists; choose another id, or change that file") from None
    except OSError as error:
        raise usage_error(f"{path}: cannot be written here ({error.strerror})") from None
    typer.echo(f"{path}: change it, then `gome recipes add {path}`")


@app.command("add")
def add_recipe(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file ID.md, a folder of such files, or a git address (its folder recipes/).",
        ),
    ],
    where: RecipesPlace = DEFAULT_RECIPES,
) -> None:
    """Check recipes and copy them to your folder; runs offer them from then on.

    Nothing of them is run. What somebody else measured does not count here: `verify` measures.
    """
    from memory.recipes.library import add_recipes

    with exit_on_problem():
        added = add_recipes(source, where)
    for problem in added.problems:
        typer.echo(f"refused: {clean_text(problem, 400)}", err=True)
    for note in added.notes:
        typer.echo(clean_text(note, 200))
    typer.echo(f"{format_plural(len(added.names), 'recipe')} added to {where}")
    if not added.names:
        raise typer.Exit(2)


@app.command("export")
def export_all(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.", file_okay=False)
    ],
    where: RecipesPlace = DEFAULT_RECIPES,
) -> None:
    """Copy all recipes, Gome's own among them, into a folder: to read, change or share."""
    from memory.recipes.library import export_recipes

    with exit_on_problem():
        n_recipes = export_recipes(_load(where).recipes, target)
    typer.echo(f"{format_plural(n_recipes, 'recipe')} written to {target}")


@app.command("traits")
def list_traits() -> None:
    """List the words for a recipe's conditions: kinds of data, and traits of a task."""
    from memory.recipes.traits import MODALITIES, TRAITS

    for title, words in (("modality:", MODALITIES), ("data: and without:", TRAITS)):
        typer.echo(title)
        for word, meaning in words.items():
            typer.echo(f"  {word:20} {meaning}")


@app.command("verify")
def verify_recipes(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Recipes; none: all.")
    ] = None,
    task: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A task folder to measure on; may be repeated. None: the bundled examples.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=10, help="Seeds per task.")] = 2,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=5, help="Time limit of one script.")
    ] = 120,
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew what your folder holds of these tasks.")
    ] = False,
    where: RecipesPlace = DEFAULT_RECIPES,
) -> None:
    """Measure recipes: a plain script with the recipe's code against the same without it.

    Both run in the sandbox on every task that meets the recipe's conditions, under the same folds
    and seeds; the harness grades them, paired. What comes out is written into the recipe's file in
    your folder, under a seal: numbers written by hand, or code changed later, count as untested.
    Every task is written when it is measured: after a Ctrl-C the same command goes on. A task takes
    from two scripts on, some seconds to a minute each.
    """
    from collections import Counter

    from session.recipe_verify import verify_library

    library = _load(where)
    chosen = [_find(library, name) for name in names] if names else library.recipes
    work = verify_library(
        chosen, task or [], where, seeds=seeds, limit_s=limit, say=typer.echo, again=again
    )
    try:
        with exit_on_problem():
            verified = asyncio.run(exit_on_failure(work))
    except KeyboardInterrupt:
        typer.echo(f"stopped; {where} has what was measured, the same command goes on", err=True)
        raise typer.Exit(130) from None
    told = ", ".join(f"{n} {state}" for state, n in Counter(verified.states).items())
    typer.echo(f"{told}: written to {where}" if told else "Nothing was measured.")
    if verified.n_failed:
        typer.echo(f"{format_plural(verified.n_failed, 'recipe')} could not be measured", err=True)
        raise typer.Exit(1)


def _load(where: str) -> Library:
    from memory.recipes.library import OFF, load_library

    if where == OFF:
        raise usage_error("recipes are off; name a folder with --recipes")
    library = load_library(where)
    for problem in library.problems:
        typer.echo(f"left out: {clean_text(problem, 400)}", err=True)
    return library


def _find(library: Library, name: str) -> Recipe:
    found = next((recipe for recipe in library.recipes if recipe.id == name), None)
    if found is None:
        raise usage_error(f"no recipe {clean_text(name, 60)!r}; `gome recipes ls` lists them")
    return found


@contextmanager
def exit_on_problem() -> Iterator[None]:
    """Turn a problem with a recipe into one sentence on stderr and exit code 2."""
    from memory.recipes.spec import RecipeError

    try:
        yield
    except RecipeError as error:
        raise usage_error(str(error)) from None
