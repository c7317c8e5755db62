"""`make reference`: the pages of docs/ that are written by the code itself: settings, task.yaml, commands.

python -m tools.reference            # writes them
python -m tools.reference --check    # exit code 1 where one is out of date
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import click
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.app import app
from graph.settings import Settings
from task.grade.metrics import METRICS
from task.load.spec import Spec

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Written by `make reference`; change the code, not this page. -->\n"


def settings_page() -> str:
    return f"""{MADE}# Settings

Every default of a run. `gome run` has options for the common ones; any other goes by `--set name=value`, and in Python all are
arguments of `gome.solve(task, name=value)`. A run stores its resolved settings in `run.json`; `gome resume` reads them from there.

{table(Settings)}"""


def task_page() -> str:
    known = "\n".join(
        f"| `{name}` | {metric.direction} | {metric.needs} |"
        for name, metric in sorted(METRICS.items())
    )
    return f"""{MADE}# task.yaml

A task is a folder: tables, free text in `description.md`, and `task.yaml`, which makes it exact. Every key is optional where the
data show it; `gome init FOLDER` writes the file and says why for each line. An MLE-bench `prepared/public` folder is a valid task as
it stands.

```yaml
name: churn
metric: auc
train: train.csv
test: test.csv
id: customer_id
target: churned
split: group:household
```

Tables may be csv, tsv, json, jsonl or parquet, also as .gz or .zip.

{table(Spec)}
## Metrics
| name | direction | predictions are |
|---|---|---|
{known}

`map@K` scores rankings. A metric of your own is a Python file in the task folder with `score(y_true, y_pred)`; say `direction: max` or
`min` with it.
"""


def commands_page() -> str:
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="gome")
    parts = [
        MADE + "# Commands\n",
        "Exit codes of `gome run` and `gome resume`: 0 a valid submission was written, 1 the run ended without one,",
    ]
    parts[1] += (
        "\n2 bad input or something missing here (a run that had begun is paused, `gome resume` goes on), 3 the run waits for your answer,\n130 interrupted.\n\n"
    )
    parts[1] += "`gome --install-completion` teaches your shell to complete commands and options.\n"
    for name in group.list_commands(context):
        parts.append(command(group.get_command(context, name), f"gome {name}"))
    return "\n".join(parts)


def command(found: Any, name: str) -> str:
    """One command: its sentence, its arguments and options; a group's commands one by one."""
    context = typer.Context(found, info_name=name)
    inner = getattr(found, "commands", None)
    if inner:
        return "\n".join(
            [
                f"## {name}\n",
                one_line(found.help) + "\n",
                *(command(c, f"{name} {n}") for n, c in inner.items()),
            ]
        )
    rows = [
        f"| {described(p, context)} | {cell(getattr(p, 'help', None) or '')} |"
        for p in found.params
        if not getattr(p, "hidden", False)
    ]
    rows = [row for row in rows if "`--help`" not in row]
    listed = ["| argument or option | what |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## {name}\n", one_line(found.help) + "\n", *listed])


def described(parameter: Any, context: click.Context) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {cell(kind(field))} | {default(field)} | {cell(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| name | value | default | what |", "|---|---|---|---|", *rows, ""])


def kind(field: FieldInfo) -> str:
    """The type in words, with its bounds."""
    allowed = [
        value
        for part in parts_of(field.annotation)
        for value in typing.get_args(part)
        if typing.get_origin(part) is typing.Literal
    ]
    if allowed:
        return ", ".join(f"`{value}`" for value in allowed)
    names = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "true or false",
        list: "list",
        dict: "JSON",
    }
    plain = [names.get(typing.get_origin(part) or part, "") for part in parts_of(field.annotation)]
    bounds = [
        f"{sign} {getattr(m, name)}"
        for m in field.metadata
        for name, sign in SIGNS.items()
        if getattr(m, name, None) is not None
    ]
    return " ".join([*dict.fromkeys(p for p in plain if p), *bounds])


SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def parts_of(annotation: Any) -> list[Any]:
    """The members of a union, or the one type."""
    return (
        list(typing.get_args(annotation))
        if type(None) in typing.get_args(annotation)
        else [annotation]
    )


def default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return (
        ""
        if value in (None, [], {})
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())


PAGES = {"settings.md": settings_page, "task.md": task_page, "commands.md": commands_page}


def main() -> int:
    stale = [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text() != page()
    ]
    if "--check" in sys.argv:
        print(
            f"out of date, run `make reference`: {', '.join(stale)}"
            if stale
            else "the reference is current"
        )
        return bool(stale)
    for name in stale:
        (DOCS / name).write_text(PAGES[name]())
        print(f"docs/{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
