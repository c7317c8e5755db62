"""`gome init`: writes task.yaml by looking at the data, and says why for every line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from task.data import splits
from task.grade.metrics import METRICS
from task.load import roles
from task.load.spec import load_task, metric_named
from task.load.tables import read_table
from task.types import Task, TaskError


def init_task(
    folder: str, *, force: bool = False, target: str | None = None, hold_out: float | None = None
) -> tuple[str, list[str]]:
    """(path of task.yaml, what was chosen and why). Raises TaskError when the data leave something open.

    `hold_out`: share of a single table's rows that become the test table.
    """
    root = Path(folder).expanduser().resolve()
    path = root / "task.yaml"
    if path.exists() and not force:
        raise TaskError(f"{path} exists; edit it, or overwrite it with --force")
    kept = path.read_text() if path.exists() else None
    path.unlink(missing_ok=True)
    try:
        told = roles.hold_out(root, hold_out, target) if hold_out is not None else []
        seen = roles.find_roles(root)
        keys = seen.keys | ({"target": target} if target else {})
        if keys:
            path.write_text(yaml.safe_dump(keys))
        text, reasons = written(
            load_task(folder), root, seen.why | ({"target": "as you said"} if target else {})
        )
        reasons = told + reasons
        path.write_text(text)
    except OSError as error:
        raise TaskError(
            f"{path} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        if kept is not None:
            path.write_text(kept)
        raise
    return str(path), reasons


def written(task: Task, root: Path, why_file: dict[str, str]) -> tuple[str, list[str]]:
    """The text of task.yaml and the reasons, line by line. `why_file`: reasons that are known already, by key."""
    train, test = read_table(Path(task.train)), read_table(Path(task.test))
    split, why = splits.decide(train, test, task.kind, task.target, task.id, task.split.n_folds)
    shown = f"{split.kind}:{split.column}" if split.column else split.kind
    others = ", ".join(name for name, metric in METRICS.items() if suits(metric.needs, task.kind))
    lines: list[tuple[str, Any, str]] = [
        ("name", task.name, "the folder's name"),
        ("train", relative(task.train, root), f"{len(train)} rows"),
        ("test", relative(task.test, root), f"{len(test)} rows"),
        (
            "sample_submission",
            relative(task.sample_submission, root),
            "its columns and ids are the submission's form",
        )
        if task.sample_submission
        else ("", None, ""),
        ("id", task.id, "first column of the sample, or a column of unique values in both tables")
        if task.id
        else (
            "# id",
            "none",
            "rows are numbered through train and test; submission.csv keeps the order of the test table",
        ),
        (
            "target",
            task.target[0] if len(task.target) == 1 else task.target,
            "in train but not in test",
        ),
        ("kind", task.kind, f"{train[task.target[0]].nunique()} distinct values of the target"),
        ("metric", task.metric, f"{metric_why(task)}; others: {others}"),
        ("split", shown, why),
        ("n_folds", split.n_folds, "folds of the cross-validation"),
    ]
    lines = [
        (
            key,
            value,
            f"{reason}; {why_file[key]}"
            if key in why_file and key != "target"
            else why_file.get(key, reason),
        )
        for key, value, reason in lines
    ]
    kept = [(key, value, reason) for key, value, reason in lines if key]
    text = "# Written by `gome init`; change what you know better.\n" + "".join(
        f"{key}: {inline(value)}  # {reason}\n" for key, value, reason in kept
    )
    return text, [
        f"{key.removeprefix('# ')}: {value} ({reason.split('; others')[0]})"
        for key, value, reason in kept
    ]


def metric_why(task: Task) -> str:
    named = metric_named(task.description)
    return (
        "named in description.md"
        if named == task.metric
        else f"the default for {task.kind} where description.md names none"
    )


def inline(value: object) -> str:
    """A value as YAML on one line: quoted where a name holds a colon, a hash or nothing but digits."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def suits(needs: str, kind: str) -> bool:
    return (needs == "value") == (kind == "regression") and needs != "ranking"


def relative(path: str, root: Path) -> str:
    return str(Path(path).relative_to(root))
