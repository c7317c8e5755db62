"""`gome init`: write task.yaml from the data, with a reason for every line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from task.data import splits
from task.grade.metrics import METRICS
from task.load import roles
from task.load.spec import load_task, metric_in_text
from task.load.tables import read_table
from task.types import Task, TaskError, TaskFile


def init_task(
    folder: str, *, force: bool = False, target: str | None = None, hold_out: float | None = None
) -> TaskFile:
    """Write the task.yaml of a folder.

    `hold_out`: share of a single table's rows that become the test table. Raises TaskError when
    the data leave something open.
    """
    root = Path(folder).expanduser().resolve()
    path = root / "task.yaml"
    if path.exists() and not force:
        raise TaskError(f"{path} exists; edit it, or overwrite it with --force")
    previous = path.read_text() if path.exists() else None
    path.unlink(missing_ok=True)
    try:
        done = roles.hold_out_rows(root, hold_out, target) if hold_out is not None else []
        tables = roles.find_roles(root)
        keys, why = tables.keys, tables.why
        if target:
            keys, why = keys | {"target": target}, why | {"target": "as you said"}
        if keys:
            path.write_text(yaml.safe_dump(keys))
        text, reasons = render_task_yaml(load_task(folder), root, why)
        path.write_text(text)
    except OSError as error:
        raise TaskError(
            f"{path} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        if previous is not None:
            path.write_text(previous)
        raise
    return TaskFile(str(path), done + reasons)


class YamlLine(NamedTuple):
    """A line of task.yaml, and why it has this value."""

    key: str
    value: object
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {yaml_inline(self.value)}  # {self.reason}\n"

    def summary(self) -> str:
        """Return the line for people, without the metrics that were not chosen."""
        return f"{self.key.removeprefix('# ')}: {self.value} ({self.reason.split('; others')[0]})"


def render_task_yaml(task: Task, root: Path, why_file: dict[str, str]) -> tuple[str, list[str]]:
    """Return the text of task.yaml and the reasons, line by line.

    `why_file`: reasons known from the choice of the files, by key.
    """
    lines = [add_reason(line, why_file) for line in yaml_lines(task, root)]
    header = "# Written by `gome init`; edit any line that you know better.\n"
    return header + "".join(map(str, lines)), [line.summary() for line in lines]


def add_reason(line: YamlLine, why_file: dict[str, str]) -> YamlLine:
    """Add the reason of a file's choice; that of the target replaces the line's own."""
    if line.key not in why_file:
        return line
    why = why_file[line.key]
    return line._replace(reason=why if line.key == "target" else f"{line.reason}; {why}")


def yaml_lines(task: Task, root: Path) -> list[YamlLine]:
    """Return the lines of task.yaml for a loaded task, with `auto` splits decided."""
    train, test = read_table(Path(task.train)), read_table(Path(task.test))
    split, why_split = splits.decide_split(
        train, test, task.kind, task.target, task.id, task.split.n_folds
    )
    n_values = train[task.target[0]].nunique()
    target = task.target[0] if len(task.target) == 1 else task.target
    others = [name for name, metric in METRICS.items() if is_metric_for(metric.needs, task.kind)]
    lines = [
        YamlLine("name", task.name, "the folder's name"),
        YamlLine("train", roles.relative_name(Path(task.train), root), f"{len(train)} rows"),
        YamlLine("test", roles.relative_name(Path(task.test), root), f"{len(test)} rows"),
    ]
    if task.sample_submission:
        name = roles.relative_name(Path(task.sample_submission), root)
        why = "its columns and ids are the submission's form"
        lines.append(YamlLine("sample_submission", name, why))
    return [
        *lines,
        id_line(task),
        YamlLine("target", target, "in train but not in test"),
        YamlLine("kind", task.kind, f"{n_values} distinct values of the target"),
        YamlLine("metric", task.metric, f"{explain_metric(task)}; others: {', '.join(others)}"),
        YamlLine(
            "split", f"{split.kind}:{split.column}" if split.column else split.kind, why_split
        ),
        YamlLine("n_folds", split.n_folds, "folds of the cross-validation"),
    ]


def id_line(task: Task) -> YamlLine:
    """Return the line of the id column; a comment where the task has none."""
    if task.id:
        why = "first column of the sample, or a column of unique values in both tables"
        return YamlLine("id", task.id, why)
    why = (
        "rows are numbered through train and test; submission.csv keeps the order of the test table"
    )
    return YamlLine("# id", "none", why)


def explain_metric(task: Task) -> str:
    """Say where the task's metric comes from."""
    if metric_in_text(task.description) == task.metric:
        return "named in description.md"
    return f"the default for {task.kind} where description.md names none"


def yaml_inline(value: object) -> str:
    """Return a value as YAML on one line, quoted where YAML needs it."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def is_metric_for(needs: str, kind: str) -> bool:
    """Whether a metric's input fits the kind of the target."""
    return (needs == "value") == (kind == "regression") and needs != "ranking"
