"""The front door for Python: a task as a folder or as data frames, settings as keywords."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from settings.parse import suggest_near
from task.types import TaskError

if TYPE_CHECKING:
    from policies.protocol import Policy
    from scoring.acceptance import Acceptance
    from session.session import Outcome

TABLES = ("train", "test", "sample_submission")


@dataclass(frozen=True)
class FrontCall:
    """A call of `gome.solve`: its arguments, by kind.

    Attributes:
        task: the task folder; empty where frames are given.
        frames: train, test and sample_submission.
        about: target, metric and description of the frames.
        settings: settings by name.
        echo: whether to print a line for each notable event.
        config: what LangChain takes, or the path of a task.yaml elsewhere.
        policy: a policy, or its name.
        acceptance: a rule that replaces the default one.
    """

    task: str | Path
    frames: dict[str, Any]
    about: dict[str, Any]
    settings: dict[str, Any]
    echo: bool
    config: dict[str, Any] | str | Path | None
    policy: str | Policy | None
    acceptance: Acceptance | None


async def solve_call(call: FrontCall) -> Outcome:
    """Solve a task as `gome.solve` is asked to. Raises TaskError, ValidationError and more."""
    from graph.settings import Settings
    from report.console import make_listener
    from session.session import start_run

    given = dict(call.settings)
    own_policy = call.policy if callable(call.policy) else None
    if call.policy is not None and own_policy is None:
        given["policy"] = call.policy
    if isinstance(call.config, (str, Path)):
        given["config"] = str(call.config)
    target = call.about["target"]
    if isinstance(target, (int, float)):
        given["target"] = target
    settings = Settings(**given)
    with make_listener("plain" if call.echo else "quiet") as listener:
        return await start_run(
            find_task(call, settings.runs_dir),
            settings,
            listeners=[listener.on_event],
            policy=own_policy,
            acceptance=call.acceptance,
            config=call.config if isinstance(call.config, dict) else None,
        )


def find_task(call: FrontCall, runs_dir: str) -> str:
    """Return the task folder of a call; frames are written as one below `runs_dir`/tasks.

    Raises TaskError where neither a folder nor both tables are given.
    """
    if not isinstance(call.task, (str, Path)):
        raise TaskError(
            f"the first argument is a task folder, not {type(call.task).__name__}; data frames "
            "have names: gome.solve(train=…, test=…, target=…, metric=…)"
        )
    has_frames = any(frame is not None for frame in call.frames.values())
    said = [
        name
        for name, value in call.about.items()
        if value not in (None, "") and not isinstance(value, (int, float))
    ]
    if str(call.task) and (has_frames or said):
        extra = [name for name, frame in call.frames.items() if frame is not None] + said
        raise TaskError(
            f"{extra[0]}= goes with data frames (train=, test=), not with a task folder; "
            "write it into the folder's task.yaml, which `gome init` makes"
        )
    if str(call.task):
        return str(call.task)
    if call.frames["train"] is None or call.frames["test"] is None:
        raise TaskError(
            "give a task folder, gome.solve(folder), or data frames: "
            "gome.solve(train=…, test=…, target=…, metric=…)"
        )
    target = call.about["target"]
    is_score = isinstance(target, (int, float))
    given = FrameTask(
        **call.frames,
        target=None if is_score else target,
        metric=call.about["metric"],
        description=call.about["description"],
    )
    return str(write_frame_task(given, runs_dir))


@dataclass(frozen=True)
class FrameTask:
    """A task given as data frames; what is None is read from the data, as in a folder.

    Attributes:
        train: labelled rows.
        test: rows to predict, without the label columns.
        sample_submission: a submission in the required form.
        target: label column or columns.
        metric: a known name, or the path of a Python file.
        description: what a person would say of the task.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    sample_submission: pd.DataFrame | None = None
    target: str | list[str] | None = None
    metric: str | None = None
    description: str = ""


def write_frame_task(given: FrameTask, runs_dir: str) -> Path:
    """Write the frames as a task folder below `runs_dir`/tasks; return the folder.

    The folder is named by its contents, so that the same frames are one task and a run can be
    resumed. Raises TaskError.
    """
    check_target(given)
    root = Path(runs_dir).expanduser().resolve() / "tasks"
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=root))
    try:
        names = {name: write_frame(getattr(given, name), draft, name) for name in TABLES}
        keys: dict[str, Any] = {name: file for name, file in names.items() if file}
        if given.target is not None:
            keys["target"] = given.target
        if given.metric:
            keys["metric"] = copy_metric(given.metric, draft)
        (draft / "task.yaml").write_text(json.dumps(keys, indent=1) + "\n")  # JSON is YAML
        if given.description:
            (draft / "description.md").write_text(given.description)
        digest = hashlib.sha256()
        for path in sorted(draft.iterdir()):
            digest.update(f"{path.name}\n".encode() + path.read_bytes())
        folder = root / f"frames-{digest.hexdigest()[:8]}"
        if not folder.exists():
            draft.rename(folder)
        return folder
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_target(given: FrameTask) -> None:
    """Raise TaskError where a target is no column of train."""
    columns = [str(name) for name in getattr(given.train, "columns", ())]
    targets = [given.target] if isinstance(given.target, str) else given.target or []
    for name in targets:
        if columns and name not in columns:
            near = suggest_near(name, columns) or f"; it has {', '.join(columns[:8])}"
            raise TaskError(f"target: {name!r} is no column of train{near}")


def copy_metric(metric: str, folder: Path) -> str:
    """Copy a metric's file into the folder; return what task.yaml calls the metric."""
    if not metric.endswith(".py"):
        return metric
    source = Path(metric).expanduser()
    if not source.is_file():
        raise TaskError(f"metric={metric!r}: there is no such file")
    shutil.copyfile(source, folder / "metric.py")
    return "metric.py"


def write_frame(frame: Any, folder: Path, name: str) -> str:
    """Write one frame as NAME.parquet, or NAME.csv where parquet cannot hold its cells.

    Returns the file's name, empty for None. An index with a name becomes a column. Raises TaskError
    for anything but a data frame with rows.
    """
    if frame is None:
        return ""
    if hasattr(frame, "to_pandas"):  # polars, pyarrow
        frame = frame.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise TaskError(
            f"{name}= should be a data frame, not {type(frame).__name__}; a task folder is the "
            "first argument: gome.solve(folder)"
        )
    if frame.empty:
        raise TaskError(f"{name}= has no rows")
    table = frame.reset_index(drop=frame.index.names == [None])
    table.columns = pd.Index([str(column) for column in table.columns])
    try:
        table.to_parquet(folder / f"{name}.parquet", index=False)
    except (ValueError, TypeError, NotImplementedError):  # mixed cells, duplicate names, periods
        table.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.parquet").unlink(missing_ok=True)
        return f"{name}.csv"
    return f"{name}.parquet"
