"""Task functions as awaitable methods that run in a worker process.

This process loads neither pandas nor scikit-learn: type checkers read the functions' signatures,
and at run time only the functions' names cross to `task.worker`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from pydantic import BaseModel

from rpc.json_lines import AsyncChildProcess, CallError, ChildError
from task.types import NewRows, Prepared, Task, TaskError, TaskFile
from task.worker import ISOLATION, REFUSED, TRUST, call_function

CALL_TIMEOUT_S = 900.0
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class DottedName:
    """Stands for a module or function that this process does not import."""

    path: str

    def __getattr__(self, name: str) -> DottedName:
        """Return the name of an attribute."""
        return DottedName(f"{self.path}.{name}")


if TYPE_CHECKING:
    import task.data.contents
    import task.data.new_rows
    import task.data.prepare
    import task.data.preview
    import task.data.profile
    import task.data.sample
    import task.grade.baseline
    import task.grade.blend
    import task.grade.diversity
    import task.grade.grade
    import task.grade.handover
    import task.grade.label_shuffle
    import task.grade.line
    import task.grade.plots
    import task.grade.rehearse
    import task.grade.relations
    import task.grade.score_answers
    import task.grade.seeds
    import task.load.examples
    import task.load.init
    import task.load.modality
    import task.load.spec
else:
    task = DottedName("task")


class WorkerError(Exception):
    """A bug in a task function, or the worker's death; the message holds the worker's traceback."""


class WorkerTimeoutError(TaskError):
    """A task function took too long and its worker was killed; the next call starts another.

    What it was given is to blame as a rule (a script's files, the task's data), not the run.
    """


class RemoteFunction(Generic[P, R]):
    """A method of TaskWorker with a task function's parameters; awaited, it gives the answer.

    `decode` makes the answer from its JSON; without it the JSON is the answer.
    """

    def __init__(self, function: Callable[P, R], decode: Callable[[Any], R] | None = None) -> None:
        self.name: Any = function
        self.decode = decode

    def __get__(self, worker: TaskWorker, owner: type[TaskWorker]) -> Callable[P, Awaitable[R]]:
        """Bind to a worker."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            answer: R = await worker.call(self.name.path, args, kwargs)
            return self.decode(answer) if self.decode else answer

        return call


class TaskWorker:
    """One child process, started at the first call; calls run one after the other.

    It ends by `close` or with this process.

    Attributes:
        limit_s: returns the seconds that a call may take now.
    """

    load_task = RemoteFunction(task.load.spec.load_task, Task.model_validate)
    init_task = RemoteFunction(task.load.init.init_task, TaskFile._make)
    describe_task = RemoteFunction(task.load.init.describe_task)
    show_contents = RemoteFunction(task.data.contents.show_contents)
    rehearse = RemoteFunction(task.grade.rehearse.rehearse)
    prepare = RemoteFunction(task.data.prepare.prepare_task, Prepared.model_validate)
    prepare_refit = RemoteFunction(task.data.prepare.prepare_refit, Prepared.model_validate)
    prepare_new_rows = RemoteFunction(task.data.new_rows.prepare_new_rows, NewRows.model_validate)
    final_submission = RemoteFunction(task.grade.handover.write_final_submission)
    profile = RemoteFunction(task.data.profile.profile_data)
    preview = RemoteFunction(task.data.preview.preview_inputs)
    sample = RemoteFunction(task.data.sample.sample_task)
    baseline = RemoteFunction(task.grade.baseline.make_baseline)
    grade = RemoteFunction(task.grade.grade.grade_execution)
    grade_line = RemoteFunction(task.grade.line.grade_line)
    measure_strength = RemoteFunction(task.grade.label_shuffle.measure_strength)
    write_shuffled_labels = RemoteFunction(task.grade.label_shuffle.write_shuffled_labels)
    measure_following = RemoteFunction(task.grade.label_shuffle.measure_following)
    compare_files = RemoteFunction(task.grade.grade.compare_files)
    compare_surrogate = RemoteFunction(task.grade.grade.compare_surrogate)
    check_submission = RemoteFunction(task.grade.grade.check_submission)
    list_lacks = RemoteFunction(task.grade.appeal.list_lacks)
    list_leaks = RemoteFunction(task.grade.grade.list_leaks)
    look_closer = RemoteFunction(task.grade.relations.look_closer)
    choose_diverse = RemoteFunction(task.grade.diversity.choose_diverse)
    blend = RemoteFunction(task.grade.blend.blend_attempts)
    blend_driver = RemoteFunction(task.grade.blend.blend_driver)
    mix = RemoteFunction(task.grade.blend.mix_submissions)
    judge_average = RemoteFunction(task.grade.seeds.judge_average)
    guess_modality = RemoteFunction(task.load.modality.guess_modality)
    plot = RemoteFunction(task.grade.plots.describe_predictions)
    list_examples = RemoteFunction(task.load.examples.list_examples)
    write_example = RemoteFunction(task.load.examples.write_example)
    score_private = RemoteFunction(task.grade.score_answers.score_private)

    def __init__(
        self, folder: Path | None = None, *, trust: bool = False, isolation: str = "auto"
    ) -> None:
        """Start nothing yet.

        Args:
            folder: the run folder whose metric needs consent, see `task.consent`.
            trust: the user gives it.
            isolation: tier of the sandbox in which a metric file runs.
        """
        consent = [str(folder), *([TRUST] if trust else [])] if folder else []
        self._child = AsyncChildProcess(worker_command(ISOLATION + isolation, *consent))
        self.limit_s: Callable[[], float] = lambda: CALL_TIMEOUT_S
        self._most_s = CALL_TIMEOUT_S

    async def call(self, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the JSON that the function at the dotted `path` answers.

        Raises TaskError for a refused task, WorkerError for a bug or a dead worker,
        WorkerTimeoutError after `limit_s`.
        """
        limit_s = min(self._most_s, self.limit_s())
        request: dict[str, Any] = {
            "path": path,
            "args": [_to_json(value) for value in args],
            "kwargs": {name: _to_json(value) for name, value in kwargs.items()},
        }
        try:
            return await self._child.call(call_function.__name__, limit_s, **request)
        except CallError as error:
            if error.kind == REFUSED:
                raise TaskError(str(error)) from None
            raise WorkerError(f"{path}: {error.child_traceback}") from None
        except ChildError as error:
            raise WorkerError(f"the task worker {error}; it may have run out of memory") from None
        except TimeoutError:
            raise WorkerTimeoutError(
                f"{path.rpartition('.')[2]}: no result after {limit_s:.0f} s, the worker was "
                "ended; make the files smaller, or give the run more time"
            ) from None

    @contextmanager
    def limit_calls(self, seconds: float) -> Iterator[None]:
        """Let no call of the block take longer than this."""
        self._most_s = seconds
        try:
            yield
        finally:
            self._most_s = CALL_TIMEOUT_S

    async def close(self) -> None:
        """End the worker."""
        await self._child.close()


def worker_command(*arguments: str) -> list[str]:
    """Return the command of a worker's process."""
    return [sys.executable, "-P", "-m", "task.worker", *arguments]


def _to_json(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value
