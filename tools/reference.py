"""`make reference`: what the code writes of itself: settings, task.yaml, commands, keywords.

python -m tools.reference            # write them
python -m tools.reference --check    # exit code 1 where one is out of date
"""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.app import app
from graph.settings import GROUPS
from settings.field import AUTO, About, SettingsGroup, about_setting, auto_kinds
from task.grade.metrics import METRICS
from task.load.spec import TaskSpec
from tools import keywords, recipe_docs
from tools.media_docs import MEDIA_TEXT
from tools.metric_docs import METRIC_TEXT

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Written by `make reference`; change the code, not this page. -->\n"


def settings_page() -> str:
    """Return docs/settings.md."""
    sections = "\n".join(settings_section(group) for group in GROUPS)
    return f"""{MADE}# Settings

Every setting of a run with its default. `gome run` has options for the common ones; any other is
set with `--set name=value`, with a variable `GOME_NAME=value`, or with `name = value` in
`gome.toml`. In Python all are arguments of `gome.solve(task, name=value)`. A run stores its
resolved settings in `run.json`; `gome resume` reads them from there. On the command line and in
variables, seconds may have a unit: `90`, `30m`, `12h`.

The last column names what is special about a setting: `task`: the `gome.toml` of a task folder may
set it too; `fixed`: a fork cannot change it; `machine`: it names a place or a service or lifts a
limit, so `gome import` leaves it behind and takes this machine's default.

{sections}"""


def settings_section(group: type[SettingsGroup]) -> str:
    """Return a group's heading, summary and table."""
    title, _, summary = (group.__doc__ or "").partition(": ")
    rows = [
        f"| `{name}` | {table_cell(type_text(field))} | {default_text(field)} "
        f"| {table_cell(field.description or '')} | {SCOPES[about_setting(field).scope]} |"
        for name, field in group.model_fields.items()
    ]
    heading = f"## {title}\n{summary[:1].upper()}{summary[1:]}\n"
    head = ["| name | value | default | what | scope |", "|---|---|---|---|---|"]
    return "\n".join([heading, *head, *rows, ""])


SCOPES = {"task": "task", "data": "task, fixed", "run": "", "machine": "machine"}


def task_page() -> str:
    """Return docs/task.md."""
    metrics = "\n".join(
        f"| `{name}` | {metric.direction} | {metric.needs} |"
        for name, metric in sorted(METRICS.items())
    )
    return f"""{MADE}# task.yaml

A task is a folder: tables, free text in `description.md`, and `task.yaml`, which makes it exact.
Every key is optional where the data show it; `gome init FOLDER` writes the file with a reason for
each line. An MLE-bench `prepared/public` folder is a valid task as it is.

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

{fields_table(TaskSpec)}
## What a submission's columns mean
Ids, targets and classes are matched by name. A column of a class is the class's name, also between
a prefix and a suffix that all columns share, and without case and blanks where that names one
class only; `columns: {{p1: cat, p2: dog}}` says it where names do not. A single column of two
classes holds the probability of the class that the sample's column names, else of the one that
says yes (1, True, yes …); `positive: bad` says it where neither does. Ids and labels are text,
written back as the sample writes them, in its order.

Before a run, and in `gome init`, the true labels of the validated rows are written as a submission
and graded as every attempt is: they must have the metric's optimum, shuffled ones must be worse,
and another order of rows and columns must change nothing. Otherwise the task is refused.
`gome init FOLDER --dry-run --json` prints what is read as one JSON object and writes nothing.

## Metrics
| name | direction | predictions are |
|---|---|---|
{metrics}
{METRIC_TEXT}{MEDIA_TEXT}"""


def commands_page() -> str:
    """Return docs/commands.md."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="gome")
    parts = [
        MADE + "# Commands\n",
        "Exit codes of `gome run` and `gome resume`: 0 a valid submission was written (at least the"
        " baseline's),\n1 the run ended without one,",
    ]
    parts[1] += (
        " 2 bad input or something missing on this machine (a run that had begun"
        "\nis paused, `gome resume` continues it), 3 the run is waiting for your answer,"
        " 130 interrupted.\n\n"
    )
    parts[1] += "`gome --install-completion` teaches your shell to complete commands and options.\n"
    for name in group.list_commands(context):
        parts.append(command_section(group.get_command(context, name), f"gome {name}"))
    return "\n".join(parts)


def command_section(command: Any, name: str) -> str:
    """Return one command: its sentence, arguments and options; a group's commands one by one."""
    heading = f"## {name}\n"
    inner = getattr(command, "commands", None)
    if inner:
        sections = [command_section(c, f"{name} {n}") for n, c in inner.items()]
        return "\n".join([heading, on_one_line(command.help) + "\n", *sections])
    rows = []
    for parameter in command.params:
        names = parameter_names(parameter)
        if names != "`--help`" and not getattr(parameter, "hidden", False):
            rows.append(f"| {names} | {table_cell(getattr(parameter, 'help', None) or '')} |")
    table = ["| argument or option | what |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([heading, on_one_line(command.help) + "\n", *table])


def parameter_names(parameter: Any) -> str:
    """Return an argument's name, or all names of an option."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def fields_table(model: type[BaseModel]) -> str:
    """Return the table of a model's fields."""
    rows = ["| name | value | default | what |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        kind, what = table_cell(type_text(field)), table_cell(field.description or "")
        rows.append(f"| `{name}` | {kind} | {default_text(field)} | {what} |")
    return "\n".join([*rows, ""])


def type_text(field: FieldInfo) -> str:
    """Return the type in words, with its bounds."""
    if kinds := auto_kinds(field):
        numbers = " or ".join(f"{TYPE_NAMES[kind]} > 0" for kind in kinds[1:])
        return f"`{AUTO}` or {numbers} ({about_setting(field).unit})"
    members = union_members(field.annotation)
    literals = [part for part in members if typing.get_origin(part) is typing.Literal]
    values = [value for part in literals for value in typing.get_args(part) if value]
    if values:
        return ", ".join(f"`{value}`" for value in values)
    names = [TYPE_NAMES.get(typing.get_origin(part) or part, "") for part in members]
    bounds = [
        f"{sign} {bound}"
        for constraint in field.metadata
        for name, sign in SIGNS.items()
        if (bound := getattr(constraint, name, None)) is not None
    ]
    units = [f"({item.unit})" for item in field.metadata if isinstance(item, About) and item.unit]
    return " ".join([*dict.fromkeys(name for name in names if name), *bounds, *units])


TYPE_NAMES: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    list: "list",
    dict: "JSON",
}


SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def union_members(annotation: Any) -> list[Any]:
    """Return the members of an optional type, or the one type."""
    members = typing.get_args(annotation)
    return list(members) if type(None) in members else [annotation]


def default_text(field: FieldInfo) -> str:
    """Return the default as code; empty where there is none."""
    value = field.get_default(call_default_factory=True)
    if value in (None, "", [], {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table_cell(text: str) -> str:
    """Return the text on one line, with its bars escaped."""
    return on_one_line(text).replace("|", "\\|")


def on_one_line(text: str | None) -> str:
    """Return the text with single spaces."""
    return " ".join((text or "").split())


PAGES = {
    DOCS / "settings.md": settings_page,
    DOCS / "task.md": task_page,
    DOCS / "commands.md": commands_page,
    DOCS / "recipes-book.md": lambda: MADE + recipe_docs.recipes_page(),
    keywords.PATH: keywords.keywords_module,
}


def main() -> int:
    stale = {
        path: text
        for path, page in PAGES.items()
        if (text := page()) != (path.read_text() if path.exists() else "")
    }
    names = ", ".join(str(path.relative_to(DOCS.parent)) for path in stale)
    if "--check" in sys.argv:
        print(f"out of date, run `make reference`: {names}" if stale else "up to date")
        return bool(stale)
    for path, text in stale.items():
        path.write_text(text)
    print(f"written: {names}" if stale else "up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
