"""The page of all recipes, written from their files (`make reference`)."""

from __future__ import annotations

from memory.recipes.evidence import State, read_evidence, recipe_state
from memory.recipes.library import BOOK, read_folder
from memory.recipes.spec import Recipe

CHAPTERS = {
    "Texts": ("text",),
    "Pictures, masks and scans": ("image", "scan"),
    "Sounds": ("sound",),
    "Series and sensors": ("series", "array"),
    "Molecules and geometry": ("molecule",),
}
STATES: tuple[State, ...] = ("helpful", "neutral", "harmful", "untested")
HEAD = """\
# All recipes

{n} recipes that come with Gome. *Helpful*, *neutral* and *harmful* are measurements of our own
harness: mean gain of a plain script with the recipe over the same script without it, in standard
errors (SE) of the paired difference (at most 5 a task), with its 99.5 % interval over tasks that
meet the recipe's conditions. *Neutral* means that nothing is shown. The rest is untested and is
offered as such; harmful ones are kept, and never offered. [Recipes](recipes.md) tells how they are
used, measured and added; `gome recipes show ID` prints the code.

{table}
"""


def recipes_page() -> str:
    """Return docs/recipes-book.md."""
    recipes = read_folder(BOOK, own=True).recipes
    parts = [HEAD.format(n=len(recipes), table=state_table(recipes))]
    for title, chosen in chapters(recipes).items():
        parts.append(f"## {title}\n")
        parts += [recipe_section(recipe) for recipe in chosen]
    return "\n".join(parts).rstrip() + "\n"


def chapters(recipes: list[Recipe]) -> dict[str, list[Recipe]]:
    """Return the recipes by chapter; what names no kind of files is of tables or of any task."""
    found: dict[str, list[Recipe]] = {"Tables and any task": [], **{name: [] for name in CHAPTERS}}
    for recipe in recipes:
        kinds = recipe.when.modality
        name = next((n for n, own in CHAPTERS.items() if kinds and set(kinds) <= set(own)), None)
        found[name or "Tables and any task"].append(recipe)
    return {name: chosen for name, chosen in found.items() if chosen}


def state_table(recipes: list[Recipe]) -> str:
    """Return how many recipes are in each state, by component."""
    components = ("features", "model", "ensemble", "workflow", "data")
    lines = [f"| | {' | '.join(STATES)} |", "|---|" + "---|" * len(STATES)]
    for component in (*components, "all"):
        states = [recipe_state(r) for r in recipes if component in (r.component, "all")]
        counts = " | ".join(str(states.count(state)) for state in STATES)
        lines.append(f"| {component} | {counts} |")
    return "\n".join(lines)


def recipe_section(recipe: Recipe) -> str:
    """Return one recipe without its code."""
    evidence = read_evidence(recipe)
    measured = evidence.describe() if evidence else "untested"
    tasks = ", ".join(f"{each.task} {each.z:+.1f}" for each in evidence.tasks) if evidence else ""
    lines = [
        f"### {recipe.title}",
        f"`{recipe.id}`, {recipe.component}. **When:** {recipe.when.describe()}.",
        f"**Measured:** {measured}{f' ({tasks})' if tasks else ''}.",
        "",
        recipe.what,
        "",
        f"*Why:* {recipe.why}",
        "",
        f"*Pitfalls:* {recipe.pitfalls}",
        "",
    ]
    return "\n".join(lines)
