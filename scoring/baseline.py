"""The baseline: a submission of the harness's own, there before anything is asked or executed.

First the prior, which takes no time; then a plain model, where one can be fitted within seconds. It
is never an attempt: any accepted solution replaces it, whatever it scores.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from pydantic import Field

from graph.state import Json, StateModel
from run.attempt import OOF, SUBMISSION, Attempt
from run.best import BASELINE, read_best, write_best_file, write_solution
from run.run import Run
from task.client import WorkerError
from task.types import BaselineMethod, TaskError

SHARE_OF_TIME = 0.15  # of the time left, that the plain model may take
LONGEST_S, SHORTEST_S = 30.0, 2.0
SLACK_S = 20.0  # before a worker that still fits is ended
SOLUTION = "solution.py"


class Baseline(StateModel):
    """A baseline as it is stored. `score` is its mean over the validated rows, where known."""

    method: BaselineMethod
    score: float | None = None
    se: float | None = None
    seconds: float = 0.0
    files: dict[str, str] = Field({}, description="name -> artifact")

    def describe(self) -> Json:
        """Return what best.json and the event say of it."""
        return self.model_dump(include={"method", "score", "se"})


async def publish_baseline(run: Run) -> bool:
    """Make the baseline and publish it in best/, unless an attempt is there; false: there is none.

    What fails here is told and costs the run nothing else.
    """
    note, best = "", None
    for method in get_args(BaselineMethod):
        if method != "prior" and not has_time(run):
            note = "there is no time for a plain model"
            continue
        try:
            best = await make_method(run, method)
            await write_baseline(run, best)
        except (TaskError, WorkerError) as error:
            note = " ".join(str(error).split())[:300]
    if best is None:
        run.warn(f"there is no baseline: {note}")
        return False
    announce_baseline(run, best, note if best.method == "prior" else "")
    return True


def has_time(run: Run) -> bool:
    """Whether the plain model was made before, or has some seconds."""
    return run.is_done("baseline", ["plain model"]) or limit_s(run) >= SHORTEST_S


def limit_s(run: Run) -> float:
    """Return the seconds that the plain model may take."""
    return min(LONGEST_S, SHARE_OF_TIME * run.time_left_s)


async def make_method(run: Run, method: BaselineMethod) -> Baseline:
    """Make one kind of baseline, once. Raises TaskError, WorkerError."""

    async def make() -> Baseline:
        folder = run.folder / "work" / "baseline"
        suspects = [str(leak["column"]) for leak in run.setup.profile.get("leaks", [])]
        with run.worker.limit_calls(limit_s(run) + SLACK_S):
            made = await run.worker.baseline(
                run.prepared, str(folder), method, limit_s=limit_s(run), without=suspects
            )
        paths = [folder / name for name in (OOF, SUBMISSION, SOLUTION)]
        files = {path.name: run.artifacts.put_file(path) for path in paths}
        shutil.rmtree(folder, ignore_errors=True)
        return Baseline.model_validate({**made, "files": files})

    return await run.once("baseline", [method], make, Baseline)


async def write_baseline(run: Run, baseline: Baseline) -> None:
    """Write best/, where no attempt's solution is."""
    async with run.publishing:
        folder = run.folder / "best"
        known = read_best(folder)
        if known and not known.baseline:
            return
        files = baseline.files
        solution = Attempt(
            id=BASELINE,
            trace=-1,
            step=0,
            kind=BASELINE,
            mode="draft",
            verdict="tie",
            script=files[SOLUTION],
            submission=files[SUBMISSION],
        )
        submission: Path = run.artifacts.path(files[SUBMISSION])
        await write_solution(run, folder, solution, submission, run.prepared.inputs)
        facts = {"attempt": BASELINE, "trace": -1, "script": files[SOLUTION], "refit": False}
        write_best_file(folder, {**facts, **baseline.describe(), "baseline": True})


def announce_baseline(run: Run, baseline: Baseline, note: str = "") -> None:
    """Emit the event of the baseline; `note`: why it is no better one."""
    run.events.emit(
        "baseline",
        key=BASELINE,
        **baseline.describe(),
        seconds=baseline.seconds,
        script=baseline.files[SOLUTION],
        submission=str(run.folder / "best" / SUBMISSION),
        note=note,
    )
