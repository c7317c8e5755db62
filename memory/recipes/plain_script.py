"""The plain script against which a recipe is measured, and the same with the recipe's code.

The script is cut into named steps; a recipe's code redefines some of them. All that a script needs
to know of a task is written into it as constants, so that it reads `input/` alone.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from memory.recipes.spec import Recipe
from reasoner.protocol import TaskBrief

TEXT = Path(__file__).with_name("plain_script.txt")
STEPS = {
    "prepare(train, test)": "the same change of both tables, without labels",
    "choose_rows(fit, y)": "chooses, adds or repeats training rows of a fold",
    "encode(fit, y, tables)": "fitted on a fold's training rows; a matrix for each table",
    "to_target(y), from_target(p)": "the target's transformation and its inverse",
    "fit_predict(X, y, tables, seed)": "fits, and predicts for each table",
    "finish(p, rows)": "changes the predictions of a table's rows",
    "decide(p, known_p, known_y)": "probabilities to answers, tuned on other folds",
}
"""The steps of the plain script that a recipe's code may redefine."""


STEP_NAMES = (
    *("prepare", "choose_rows", "encode", "to_target", "from_target"),
    *("fit_predict", "finish", "decide"),
)


def redefined_steps(code: str) -> list[str]:
    """Return the steps of the plain script that a recipe's code redefines."""
    defined = (node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))
    return [name for name in defined if name in STEP_NAMES]


def plain_script(task: TaskBrief, profile: dict[str, Any], recipe: Recipe | None = None) -> str:
    """Return the plain script of a task; with the recipe's code, if one is given."""
    text = TEXT.read_text(encoding="utf-8")
    code = recipe.code if recipe else "# none"
    facts = "\n".join(f"{name} = {value!r}" for name, value in script_facts(task, profile).items())
    facts += '\nINDEX = pd.read_csv("input/index.csv", dtype=str) if HAS_FILES else None'
    if profile.get("media"):
        facts += '\nINDEX.columns = ["id", "part", "path"]'
    return text.replace("__FACTS__", facts).replace("__RECIPE__", code)


def script_facts(task: TaskBrief, profile: dict[str, Any]) -> dict[str, Any]:
    """Return the constants of the script."""
    columns = profile.get("columns", [])
    split = task.split
    group = split.get("column") if split.get("kind") == "group" else None

    def names(kind: str) -> list[str]:
        return [each["name"] for each in columns if each["kind"] == kind and each["name"] != group]

    useless = [
        each["name"]
        for each in columns
        if each["kind"] in ("constant", "id") or each.get("absent_test")
    ]
    leaks = [leak["column"] for leak in profile.get("leaks", [])]
    dates = names("date")
    if profile.get("id_is_date"):
        dates = [*dates, task.id]
    left_out = [*([] if task.id in dates else [task.id]), *([group] if group else [])]
    classes = [str(label) for label in task.labels]
    return {
        "ID": task.id,
        "TARGETS": list(task.target),
        "KIND": task.kind,
        "METRIC": task.metric,
        "CLASSES": classes,
        "POSITIVE": task.positive,
        "PROBABILITIES": task.prediction == "probability",
        "FORM": {name: dict(form) for name, form in task.form.items()},
        "SPLIT": str(split.get("kind")),
        "GROUP": group,
        "TIME": split.get("column") if split.get("kind") == "time" else None,
        "NUMERIC": [n for n in names("numeric") if n not in (*useless, *leaks)],
        "CATEGORICAL": [n for n in names("categorical") if n not in (*useless, *leaks)],
        "DATES": dates,
        "TEXT": names("text"),
        "LEFT_OUT": [*left_out, *useless, *leaks],
        "HAS_FILES": bool(profile.get("media")),
    }
