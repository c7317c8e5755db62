"""What `gome recipes` prints: a table with a line per recipe, and the page of one."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cli.console import echo_table, open_console
from memory.recipes.evidence import read_evidence, recipe_state
from memory.recipes.library import recipe_path
from memory.recipes.spec import Recipe
from report.formatting import clean_text

STATE_STYLES = {"helpful": "green", "harmful": "red", "neutral": "yellow", "untested": "dim"}


def print_recipes(recipes: Sequence[Recipe]) -> None:
    """Print a table: id, state, gain, title."""
    table = Table(box=None, pad_edge=False)
    for name in ("recipe", "state", "gain (SE)", "tasks", "title"):
        table.add_column(name, justify="right" if name in ("gain (SE)", "tasks") else "left")
    for recipe in recipes:
        evidence = read_evidence(recipe)
        state = recipe_state(recipe)
        measured = (f"{evidence.mean:+.1f}", str(len(evidence.tasks))) if evidence else ("", "")
        table.add_row(
            Text(recipe.id),
            Text(state, style=STATE_STYLES[state]),
            *measured,
            Text(clean_text(recipe.title, 90)),
        )
    echo_table(table, open_console())


def recipe_page(recipe: Recipe) -> str:
    """Return all of one recipe, as text."""
    lines = [
        f"{clean_text(recipe.title, 90)}  ({recipe.id}, version {recipe.version}, "
        f"{recipe.licence})",
        f"when: {recipe.when.describe()}",
        f"component: {recipe.component}; cost: {recipe.cost}"
        + (f"; the expert's move {recipe.move}" if recipe.move else ""),
        *(f"answers: {clean_text(cause, 200)}" for cause in recipe.causes),
        "",
        clean_text(recipe.what, 500),
        "",
        f"Why: {clean_text(recipe.why, 700)}",
        "",
        f"Pitfalls: {clean_text(recipe.pitfalls, 800)}",
        "",
        recipe.code,
        "",
        *measured_lines(recipe),
        f"file: {recipe_path(recipe)}",
    ]
    return "\n".join(lines)


def measured_lines(recipe: Recipe) -> list[str]:
    """Return what was measured, a line per task."""
    evidence = read_evidence(recipe)
    if evidence is None:
        claim = "; the numbers in its file are not this harness's" if recipe.evidence else ""
        return [f"untested{claim} (`gome recipes verify {recipe.id}`)"]
    lines = [f"{evidence.describe()} ({evidence.by}, {evidence.measured})"]
    for task in evidence.tasks:
        private = "" if task.private is None else f", on hidden rows {task.private:+.4g}"
        lines.append(
            f"  {task.task}: {task.gain:+.4g} ± {task.se:.2g} {task.metric}{private} "
            f"({task.rows:,} rows, {task.seeds} seeds)"
        )
    return lines + [f"  {name}: its script failed" for name in evidence.failed]


def recipe_json(recipe: Recipe) -> str:
    """Return the recipe and its evidence as one line of JSON."""
    evidence = read_evidence(recipe)
    value = recipe.model_dump(mode="json", exclude={"evidence"})
    value["state"] = recipe_state(recipe)
    value["evidence"] = evidence.model_dump(mode="json") if evidence else None
    return json.dumps(value)
