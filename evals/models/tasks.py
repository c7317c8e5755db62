"""The tasks of a study: names of the suite and of examples, or folders of your own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evals.harness.common import private_answers
from evals.models.grading import Grade, grade_file
from evals.models.study import StudyError
from evals.suite.catalogue import HALVES, TASKS, halves, tasks_of_half
from evals.suite.task import write_suite_task
from evals.suite.wheels import WheelError, Wheels
from task.client import TaskWorker
from task.load.examples import EXAMPLES
from task.types import Task, TaskError

OWN_FILES = ("task.yaml", "gome.toml")  # of Gome: nobody else's contestant sees them
FINAL_TOLD = (
    "is of the suite's final half, whose scores nobody has looked at: it runs once per release;"
    " say --release to run it"
)


@dataclass(frozen=True)
class StudyTask:
    """A task folder with what is needed of its definition."""

    name: str
    folder: Path
    task: Task
    sample: float | None  # private score of the sample submission, where there is one

    @property
    def answers(self) -> Path:
        """The private answers, beside the folder."""
        return private_answers(self.folder)

    def inputs(self) -> dict[str, str]:
        """Return what contestants see below input/: name -> path."""
        return {
            path.name: str(path.resolve())
            for path in sorted(self.folder.iterdir())
            if path.name not in OWN_FILES and not path.name.startswith(".")
        }


def expand_names(words: Iterable[str], *, release: bool) -> list[str]:
    """Return the tasks that the words name, each once. Raises StudyError for an unknown one."""
    names: list[str] = []
    for word in filter(None, (word.strip() for word in words)):
        is_known = word in TASKS or word in EXAMPLES or "/" in word
        found = [task.name for task in tasks_of_half(word)] if word in HALVES else [word]
        if not is_known and word not in HALVES:
            raise StudyError(
                f"no task {word!r}: name tasks of the suite ({', '.join(tuning_names())}), the half"
                f" `tuning`, examples ({', '.join(EXAMPLES)}), or a folder with a slash, ./my-task"
            )
        names += found
    if not names:
        raise StudyError("--tasks names no task")
    names = list(dict.fromkeys(names))
    folders = [folder_name(name) for name in names]
    if twice := [name for name in folders if folders.count(name) > 1]:
        raise StudyError(f"two tasks are called {twice[0]}: their cells would be the same")
    for name in names:
        if halves().get(name) == "final" and not release:
            raise StudyError(f"{name} {FINAL_TOLD}")
    return names


def folder_name(name: str) -> str:
    """Return the name of a task's folder."""
    return Path(name).expanduser().resolve().name if "/" in name else name


def tuning_names() -> list[str]:
    """Return the names of the suite's tuning half."""
    return [task.name for task in tasks_of_half("tuning")]


async def make_task(name: str, place: Path, cache: Path) -> StudyTask:
    """Write the task's folder where it is a known one, and check it. Raises StudyError."""
    folder = Path(name).expanduser().resolve() if "/" in name else place.resolve() / name
    worker = TaskWorker()
    try:
        if name in TASKS:
            write_suite_task(TASKS[name], Wheels(cache), folder)
        elif "/" not in name and not (folder / "task.yaml").exists():
            await worker.write_example(name, str(folder))
        if not folder.is_dir():
            raise StudyError(f"{folder} is not a folder")
        check_answers(folder)
        task = await worker.load_task(str(folder))
        return StudyTask(folder.name, folder, task, await score_sample(folder, task))
    except (TaskError, WheelError) as error:
        raise StudyError(f"{name}: {error}") from error
    finally:
        await worker.close()


def check_answers(folder: Path) -> None:
    """Refuse a task without private answers, or with a copy of them where contestants look."""
    answers = private_answers(folder)
    if not answers.is_file():
        raise StudyError(
            f"{folder.name} has no private answers: the study scores by {answers}, a table with the"
            " id and the target of every test row"
        )
    size, digest = answers.stat().st_size, file_hash(answers)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size == size and file_hash(path) == digest:
            raise StudyError(f"{path} is a copy of the private answers; remove it from the task")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def score_sample(folder: Path, task: Task) -> float | None:
    """Return the private score of the sample submission, which shows that answers can be graded.

    Raises StudyError where they cannot be.
    """
    if not task.sample_submission:
        return None
    grade: Grade = await grade_file(folder, Path(task.sample_submission))
    if grade.private is None or not math.isfinite(grade.private):
        raise StudyError(
            f"{folder.name}: its own sample submission cannot be graded ({grade.failure}); correct"
            f" {private_answers(folder)} or the sample"
        )
    return grade.private
