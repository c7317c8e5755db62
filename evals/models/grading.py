"""The grader of a study: Gome's own, from the private answers, for every contestant alike."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.harness.common import private_answers
from evals.models.study import Point
from sandbox.inside.collect import file_sha256
from task.client import TaskWorker, WorkerError
from task.types import TaskError

GRADE_S = 300.0
MAX_SNAPSHOTS = 300
MAX_FAILURE_CHARS = 300


@dataclass(frozen=True)
class Grade:
    """A private score, or why there is none."""

    private: float | None
    failure: str = ""


async def grade_file(folder: Path, submission: Path) -> Grade:
    """Grade one submission for the task folder."""
    return (await grade_files(folder, [submission]))[0]


async def grade_files(folder: Path, submissions: Sequence[Path]) -> list[Grade]:
    """Grade submissions for the task folder; one that is invalid is said to be, not scored."""
    worker = TaskWorker()
    try:
        with worker.limit_calls(GRADE_S):
            return [await _grade_one(worker, folder, path) for path in submissions]
    finally:
        await worker.close()


async def _grade_one(worker: TaskWorker, folder: Path, submission: Path) -> Grade:
    if not submission.is_file():
        return Grade(None, "no submission.csv")
    answers = private_answers(folder)
    try:
        score = await worker.score_private(str(folder), str(answers), str(submission))
    except TaskError as error:
        return Grade(None, f"invalid: {shorten_failure(str(error), answers, submission)}")
    except WorkerError as error:
        last = (str(error).strip().splitlines() or [""])[-1]
        return Grade(None, f"the grader failed on it: {last[:MAX_FAILURE_CHARS]}")
    if not math.isfinite(score):
        return Grade(None, f"invalid: its score is {score}")
    return Grade(score)


def shorten_failure(text: str, answers: Path, submission: Path) -> str:
    """Return the grader's sentence without the paths of this machine, bounded."""
    text = text.replace(str(submission), "submission.csv").replace(str(answers), "the test rows")
    return " ".join(text.split())[:MAX_FAILURE_CHARS]


@dataclass(frozen=True)
class Snapshot:
    """A submission as it was at some time; `path` None: there was none any more."""

    path: Path | None
    executions: int
    script_s: float
    seconds: float


class Snapshots:
    """Copies of a contestant's submission, one for every change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: list[Snapshot] = []
        self._last = ""

    def take(self, source: str | None, executions: int, script_s: float, seconds: float) -> bool:
        """Note a submission that differs from the last one; return whether it did.

        `source` is a checked regular file that nobody writes any more, or None.
        """
        digest = file_sha256(source) if source else ""
        if digest == self._last:
            return False
        self._last, copy = digest, None
        if len(self.taken) >= MAX_SNAPSHOTS:  # the last one counts, whatever comes before
            self.taken.pop()
        if source:
            self.folder.mkdir(exist_ok=True)
            copy = self.folder / f"{len(self.taken):03}.csv"
            shutil.copyfile(source, copy)
        self.taken.append(Snapshot(copy, executions, script_s, seconds))
        return True

    async def grade(self, task: Path) -> tuple[Grade, list[Point]]:
        """Return the grade of the last submission, and the curve of all of them."""
        files = [shot.path or self.folder / "none" for shot in self.taken]
        grades = await grade_files(task, files)
        points = [
            Point(
                executions=shot.executions,
                script_s=round(shot.script_s, 3),
                seconds=round(shot.seconds, 3),
                private=grade.private,
            )
            for shot, grade in zip(self.taken, grades, strict=True)
        ]
        return (grades[-1] if grades else Grade(None, "no submission.csv")), points
