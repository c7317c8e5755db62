"""`gome init`: write task.yaml from the data, with a reason for every line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from task.data import splits
from task.data.media.look import describe_media, profile_media
from task.data.prepare import prepare_task, resolve_split
from task.grade.metrics import METRICS
from task.grade.rehearse import RehearsalJson, rehearse
from task.load import roles
from task.load.decide import COLUMN_METRICS, default_for
from task.load.spec import (
    LoadedTask,
    find_beside,
    locate_tables,
    parse_spec,
    read_spec,
    read_task,
)
from task.types import Prepared, Split, SubmissionForm, Task, TaskError, TaskFile, TaskReport

WRITTEN_KEYS = {"kind", "metric", "split", "n_folds"}  # that `gome init` writes for every task


def init_task(
    folder: str,
    *,
    force: bool = False,
    target: str | None = None,
    hold_out: float | None = None,
    config: str | None = None,
    keys: dict[str, Any] | None = None,
) -> TaskFile:
    """Write the task.yaml of a folder, or `config` for a folder that cannot be written.

    `hold_out`: share of a single table's rows that become the test table. `keys`: what task.yaml
    shall say in any case, with files that lie beside it. Raises TaskError when the data leave
    something open.
    """
    root = Path(folder).expanduser().resolve()
    path = Path(config).expanduser().resolve() if config else root / "task.yaml"
    known = None if force else read_known(root, path, target)
    try:
        done = roles.hold_out_rows(root, hold_out, target) if hold_out is not None else []
    except OSError as error:
        raise TaskError(
            f"{root} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from error
    tables = roles.find_roles_if_any(root)
    why = tables.why | ({"target": "as you said"} if target else {})
    given = tables.keys | (known or {}) | ({"target": target} if target else {}) | (keys or {})
    loaded = read_task(folder, keys=place_files(given, root, path))
    report = report_task(loaded, root, rehearse_task(loaded))
    lines = [add_reason(line, why) for line in yaml_lines(loaded, root)]
    reasons = [line.summary() for line in lines if line.key not in (known or {})]
    told = {line.partition(": ")[0] for line in done}
    reasons = [line for line in reasons if line.partition(": ")[0] not in told]
    reasons += name_unused_files(loaded.task, root)
    notice = "" if known is None else f"{path} completed; the lines that it had are as they were."
    try:
        text = render_task_yaml(lines) if known is None else complete_task_yaml(path, lines, known)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)
    except OSError as error:
        if config:
            raise TaskError(f"{path} cannot be written ({error.strerror})") from error
        notice = (
            f"{path} cannot be written ({error.strerror}); --config PATH writes it elsewhere, "
            "and a run reads the same without it"
        )
        return TaskFile("", done + reasons, notice, dict(report))
    return TaskFile(str(path), done + reasons, notice, dict(report))


def name_unused_files(task: Task, root: Path) -> list[str]:
    """Say which files of the folder would be used if task.yaml named them."""
    told = []
    if not task.metric.endswith(".py") and (root / "metric.py").is_file():
        told.append(
            "metric.py is not used; `metric: metric.py` and `direction: max` or min do that"
        )
    if (task.layout is None or not task.layout.reader) and (root / "read.py").is_file():
        told.append("read.py is not used; `reader: read.py` does that")
    return told


def read_known(root: Path, path: Path, target: str | None) -> dict[str, Any] | None:
    """Return the keys of a task.yaml that says only a part; None where there is no such file.

    Raises TaskError for one that says all, or another target than is asked for.
    """
    if not path.exists():
        return None
    spec = read_spec(root, None if path == root / "task.yaml" else str(path))
    known = spec.model_dump(exclude_unset=True, exclude_none=True)
    if set(known) >= WRITTEN_KEYS:
        raise TaskError(f"{path} exists; edit it, or overwrite it with --force")
    if target and known.get("target", [target]) != [target]:
        raise TaskError(
            f"{path} says `target: {', '.join(known['target'])}`; edit it there, or overwrite the "
            "file with --force"
        )
    return known


def place_files(keys: dict[str, Any], root: Path, config: Path) -> dict[str, Any]:
    """Return the keys with the paths of files that lie beside a task.yaml kept elsewhere."""
    spec = find_beside(parse_spec(keys, config), root, config)
    return spec.model_dump(exclude_none=True)


def describe_task(
    folder: str, *, target: str | None = None, config: str | None = None, fresh: bool = False
) -> TaskReport:
    """Say what is read of a folder and write nothing; a refusal is a sentence of the answer.

    `fresh`: without its task.yaml.
    """
    root = Path(folder).expanduser().resolve()
    report = empty_report()
    try:
        keys: dict[str, Any] = {}
        if root.is_dir() and not fresh:
            keys = read_spec(root, config).model_dump(exclude_none=True)
        if target:
            keys |= {"target": target}
        loaded = read_task(folder, keys=keys)
        report = report_task(loaded, root, None)
        report = report_task(loaded, root, rehearse_task(loaded))
    except TaskError as error:
        report["refusal"] = str(error)
        report["needs"] = error.needs
        name_tables(report, root, config)
    return report


def empty_report() -> TaskReport:
    """Return the report of a folder of which nothing is known."""
    return TaskReport(
        train=None,
        test=None,
        sample=None,
        id=None,
        target=[],
        kind=None,
        metric=None,
        direction=None,
        columns=[],
        classes=[],
        positive=None,
        split=None,
        rows={},
        repairs=[],
        decided=[],
        files=[],
        rehearsal=None,
        refusal=None,
        needs="",
    )


def name_tables(report: TaskReport, root: Path, config: str | None) -> None:
    """Add the names of the tables to the report of a refused task, where they are found."""
    if report["train"] or not root.is_dir():
        return
    try:
        files = locate_tables(root, read_spec(root, config))
    except TaskError:
        return
    report["train"] = roles.relative_name(files.train, root)
    report["test"] = roles.relative_name(files.test, root)
    report["sample"] = roles.relative_name(files.sample, root) if files.sample else None


class Rehearsed(NamedTuple):
    """What preparing a task in a folder of its own showed."""

    rehearsal: RehearsalJson
    files: list[str]
    repairs: list[str]


def rehearse_task(loaded: LoadedTask) -> Rehearsed:
    """Prepare a task and rehearse the metric in a folder that is removed. Raises TaskError."""
    with tempfile.TemporaryDirectory(prefix="gome-init-") as folder:
        public, private = Path(folder) / "public", Path(folder) / "private"
        prepared = prepare_task(
            loaded.task, str(public), str(private), seed=0, audit=False, read=loaded.rows
        )
        return Rehearsed(rehearse(prepared), describe_files(prepared), prepared.repairs)


def describe_files(prepared: Prepared) -> list[str]:
    """Say which side files were found and whose they are, a sentence each."""
    lines = [line.strip() for line in describe_media(profile_media(prepared))[1:]]
    folders = [name for name, path in prepared.inputs.items() if Path(path).is_dir()]
    if folders and not lines:
        lines = [f"no row names a file in {', '.join(sorted(folders)[:6])}: scripts see them whole"]
    return lines


def report_task(loaded: LoadedTask, root: Path, rehearsed: Rehearsed | None) -> TaskReport:
    """Return what was read of a task."""
    task, rows, form = loaded
    split = resolve_split(task, rows.train, rows.test, None)
    sample = Path(task.sample_submission) if task.sample_submission else None
    return TaskReport(
        train=roles.relative_name(Path(task.train), root),
        test=roles.relative_name(Path(task.test), root),
        sample=roles.relative_name(sample, root) if sample else None,
        id=name_id(task, form),
        target=task.label_columns or task.target,
        kind=task.kind,
        metric=roles.relative_name(Path(task.metric), root)
        if task.metric.endswith(".py")
        else task.metric,
        direction=task.direction,
        columns=rows.columns,
        classes=form.labels,
        positive=form.positive or None,
        split=f"{split.kind}:{split.column}" if split.column else split.kind,
        rows={"train": len(rows.train), "test": len(rows.test)},
        repairs=rehearsed.repairs if rehearsed else task.repairs,
        decided=task.decided,
        files=rehearsed.files if rehearsed else [],
        rehearsal=dict(rehearsed.rehearsal) if rehearsed else None,
        refusal=None,
        needs="",
    )


def name_id(task: Task, form: SubmissionForm) -> str | None:
    """Return the id as the files write it: a column, columns joined, or columns of the sample."""
    if len(form.sample_ids) > 1:
        return " ".join(form.sample_ids)
    if task.id_parts:
        return task.id_mark.join(task.id_parts)
    return task.id or task.id_name or None


def replace_text(path: Path, text: str) -> None:
    """Write a file whole; an earlier one stays where that fails. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


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


def render_task_yaml(lines: list[YamlLine]) -> str:
    """Return the text of a new task.yaml."""
    header = "# Written by `gome init`; edit any line that you know better.\n"
    return header + "".join(map(str, lines))


def complete_task_yaml(path: Path, lines: list[YamlLine], known: dict[str, Any]) -> str:
    """Return the text of an existing task.yaml and the keys that it lacks.

    Raises TaskError where nothing can be added to the text.
    """
    own = path.read_text().rstrip("\n")
    added = "".join(str(line) for line in lines if line.key not in known)
    text = f"{own}\n# Added by `gome init`:\n{added}".lstrip("\n")
    try:
        keys = yaml.safe_load(text)
    except yaml.YAMLError:
        keys = {}
    if not known.keys() <= keys.keys():
        raise TaskError(f"{path} exists, and no line can be added; overwrite it with --force")
    return text


def add_reason(line: YamlLine, why_file: dict[str, str]) -> YamlLine:
    """Add the reason of a file's choice; that of the target replaces the line's own."""
    if line.key not in why_file:
        return line
    why = why_file[line.key]
    return line._replace(reason=why if line.key == "target" else f"{line.reason}; {why}")


def yaml_lines(loaded: LoadedTask, root: Path) -> list[YamlLine]:
    """Return the lines of task.yaml for a loaded task, with `auto` splits decided."""
    task, (train, test, *_), form = loaded
    split, why_split = splits.decide_split(
        train, test, task.kind, task.target, task.id, task.split.n_folds
    )
    n_values = train[task.target[0]].nunique()
    target = task.target[0] if len(task.target) == 1 else task.target
    others = [name for name in METRICS if is_metric_for(name, task)]
    if task.layout is not None:
        return layout_lines(task, form, split, why_split, n_values)
    lines = [
        YamlLine("name", task.name, "the folder's name"),
        YamlLine("train", roles.relative_name(Path(task.train), root), f"{len(train)} rows"),
        YamlLine("test", roles.relative_name(Path(task.test), root), f"{len(test)} rows"),
    ]
    if task.sample_submission:
        name = roles.relative_name(Path(task.sample_submission), root)
        why = "its columns and ids are the submission's form"
        lines.append(YamlLine("sample_submission", name, why))
    lines += [id_line(task), YamlLine("target", target, "in train but not in test")]
    if form.positive:
        why = next(text for text in form.decided if text.startswith("positive class"))
        lines.append(YamlLine("positive", form.positive, why.partition("(")[2].rstrip(")")))
    return [
        *lines,
        YamlLine("kind", task.kind, f"{n_values} distinct values of the target"),
        *metric_lines(task, f"; others: {', '.join(others)}"),
        YamlLine(
            "split", f"{split.kind}:{split.column}" if split.column else split.kind, why_split
        ),
        YamlLine("n_folds", split.n_folds, "folds of the cross-validation"),
    ]


def metric_lines(task: Task, others: str = "") -> list[YamlLine]:
    """Return the line of the metric; of a file with its direction."""
    if not task.metric.endswith(".py"):
        return [YamlLine("metric", task.metric, f"{explain_metric(task)}{others}")]
    way = "higher" if task.direction == "max" else "lower"
    return [
        YamlLine("metric", Path(task.metric).name, "score(answers, submission) of this file"),
        YamlLine("direction", task.direction, f"{way} is better"),
    ]


def layout_lines(
    task: Task, form: SubmissionForm, split: Split, why_split: str, n_values: int
) -> list[YamlLine]:
    """Return the lines of a task whose tables are made of its folder.

    What the reader found is written as comments: it is found again at every start.
    """
    assert task.layout is not None
    name = name_id(task, form) or "none"
    target = ", ".join(task.label_columns or task.target)
    lines = [YamlLine("name", task.name, "the folder's name")]
    given = task.layout.model_dump(exclude_none=True)
    keys = {"sample": "sample_submission"}
    for key, value in given.items():
        if value:
            text = list(value) if isinstance(value, tuple) else value
            text = Path(value).name if key == "reader" and Path(value).is_absolute() else text
            lines.append(YamlLine(keys.get(key, key), text, "as you said"))
    lines += [YamlLine("# read", text, "by the layout of the folder") for text in task.readings]
    lines += [
        YamlLine("# id", name, "as the sample names its rows"),
        YamlLine("# target", target, "by the layout of the folder"),
    ]
    if form.positive:
        why = next(text for text in form.decided if text.startswith("positive class"))
        lines.append(YamlLine("positive", form.positive, why.partition("(")[2].rstrip(")")))
    kind = f"{split.kind}:{split.column}" if split.column else split.kind
    return [
        *lines,
        YamlLine("kind", task.kind, f"{n_values} distinct values of the target"),
        *metric_lines(task),
        YamlLine("split", kind, why_split),
        YamlLine("n_folds", split.n_folds, "folds of the cross-validation"),
    ]


def id_line(task: Task) -> YamlLine:
    """Return the line of the id column; a comment where test has no such column."""
    if task.id_parts:
        return YamlLine("# id", task.id, f"put together: {task.id_mark.join(task.id_parts)}")
    if task.id:
        has_sample = task.sample_submission is not None
        why = "its values are the sample's" if has_sample else "unique values in both tables"
        return YamlLine("id", task.id, why)
    why = (
        "rows are numbered through train and test; submission.csv keeps the order of the test table"
    )
    return YamlLine("# id", "none", why)


def explain_metric(task: Task) -> str:
    """Say where the task's metric comes from."""
    if task.metric_sentence:
        return f"description.md: {task.metric_sentence!r}"
    return f"the default for {default_for(task.kind, task.metric)} where description.md names none"


def yaml_inline(value: object) -> str:
    """Return a value as YAML on one line, quoted where YAML needs it."""
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def is_metric_for(name: str, task: Task) -> bool:
    """Whether a metric fits the kind and the number of the targets."""
    is_of_columns = name.endswith("_mean_columns") or name in COLUMN_METRICS
    if "text" in (task.kind, METRICS[name].needs):
        return task.kind == METRICS[name].needs
    if len(task.target) > 1:
        return is_of_columns
    is_of_values, is_plain = METRICS[name].needs == "value", METRICS[name].frame is None
    return is_of_values == (task.kind == "regression") and is_plain and not is_of_columns
