"""One run of an eval: the loop's own graph and nodes on a prepared task, with recorded executions, without checkpoints.

Preparing and profiling a task is done once and shared by all of its runs, so folds and audit rows are the same for every strategy
and seed (paired); seeds vary the reasoner's luck, the policies' draws and every tie-break.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.harness import suites
from evals.harness.forked import Forked
from evals.harness.recorded import Recorded
from evals.harness.rules import Rules
from graph.build import build_graph
from graph.settings import Settings
from memory.protocol import Memory
from nodes.profile import set_up
from reasoner.protocol import Reasoner
from run.artifacts import write_atomic
from run.events import read_events
from run.registry import close_run, open_run
from run.folder import make_run_folder
from sandbox.protocol import Sandbox
from task.client import TaskWorker

FOLDS_SEED = 0
N_FOLDS = 3  # of every task; a script costs little more than half of what it does with five


class Shared(TaskWorker):
    """A task worker that outlives the runs that use it and grades the same files against the same best once."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store = store

    async def call(self, name: str, /, **arguments: Any) -> Any:
        if name != "grade":
            return await super().call(name, **arguments)
        place = self.store / f"{grade_key(arguments)}.json"
        if place.exists():
            return json.loads(place.read_text())
        grade = await super().call(name, **arguments)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, json.dumps(grade))
        return grade

    async def close(self) -> None:
        """Stays; `end` ends it."""

    async def end(self) -> None:
        await super().close()


def grade_key(arguments: dict[str, Any]) -> str:
    """What a grade depends on: the task, the files by the content that names them, the script's end."""
    account = arguments.get("execution") or {}
    others = {
        key: by_content(value)
        for key, value in arguments.items()
        if key not in ("execution", "prepared")
    }
    parts = [
        arguments["prepared"]["task"]["name"],
        others,
        account.get("end"),
        account.get("exit_code"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def by_content(value: Any) -> Any:
    """Paths in the artifact store as the hashes that they end in, so that they are the same in every run."""
    if isinstance(value, dict):
        return {key: by_content(item) for key, item in value.items()}
    if isinstance(value, list):
        return [by_content(item) for item in value]
    return Path(value).name if isinstance(value, str) else value


@dataclass
class Bench:
    """What the runs of one process share."""

    root: Path
    worker: Shared
    sandbox: Recorded
    settings: Settings = Settings(
        seed=FOLDS_SEED, memory="off", n_folds=N_FOLDS
    )  # of the prepared task

    def task(self, name: str) -> Path:
        place = self.root / "tasks" / name
        suites.write(name, place)
        return place

    async def template(self, name: str) -> dict[str, Any]:
        """The prepared and profiled task."""
        folder = self.root / "templates" / name
        if not (folder / "setup.json").exists():
            make_run_folder(folder, str(self.task(name)), self.settings)
            run = open_run(folder)
            run.worker, run.sandbox = self.worker, self.sandbox
            write_atomic(folder / "setup.json", json.dumps(await set_up(run)))
            await close_run(folder)
        value: dict[str, Any] = json.loads((folder / "setup.json").read_text())
        return {
            key: item for key, item in value.items() if key != "root"
        }  # its paths stay those of the template

    async def private(self, name: str, submission: Path) -> float | None:
        """Score on the private answers; None without a submission."""
        if not submission.exists():
            return None
        task = self.task(name)
        answers = task.with_name(task.name + "-private") / "answers.csv"
        return await self.worker.score_private(str(task), str(answers), str(submission))


def open_bench(root: Path, inner: Sandbox | None = None) -> Bench:
    root.mkdir(parents=True, exist_ok=True)
    return Bench(root, Shared(root / "grades"), Recorded(inner or Forked(), root / "recorded"))


async def play(
    bench: Bench,
    name: str,
    settings: Settings,
    reasoner: Reasoner | None,
    run_name: str,
    *,
    keep: bool = False,
    memory: Memory | None = None,
    rules: Rules | None = None,
) -> dict[str, Any]:
    """Runs the loop once; the run's account as one flat record. The run folder goes unless `keep`."""
    setup = await bench.template(name)
    folder = bench.root / "runs" / run_name
    shutil.rmtree(folder, ignore_errors=True)
    make_run_folder(folder, str(bench.task(name)), settings)
    write_atomic(folder / "setup.json", json.dumps(setup))
    run = open_run(folder)
    run.worker, run.sandbox = bench.worker, bench.sandbox
    if reasoner is not None:
        run.reasoner = reasoner
    if memory is not None:
        run.memory = memory
    if rules is not None:
        run.judge, run.policy = rules
    config: Any = {"recursion_limit": 100_000}
    try:
        await build_graph().ainvoke(
            {"task": run.task_path, "run_dir": str(folder)}, config, context=settings
        )
    finally:
        await close_run(folder)
    account = await told(bench, name, folder)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return account


async def told(bench: Bench, name: str, folder: Path) -> dict[str, Any]:
    events = list(read_events(folder / "events.jsonl"))
    attempts = [event for event in events if event["ev"] == "attempt"]
    told = [event for event in events if event["ev"] == "calibration"]
    later = [attempt for attempt in attempts if attempt["parent"] is not None]
    accepted = [attempt for attempt in later if attempt["verdict"] == "accepted"]
    final = folder / "best" / "submission.csv"
    best = (
        json.loads((folder / "best" / "best.json").read_text())
        if (folder / "best" / "best.json").exists()
        else {}
    )
    return {
        "task": name,
        "private": await bench.private(name, final),
        "cv": best.get("score"),
        "attempts": len(attempts),
        "failed": sum(attempt["verdict"] == "failed" for attempt in attempts),
        "accepted": len(accepted),
        "alarms": sum(
            any(code.startswith("leak_") for code in attempt.get("codes") or [])
            for attempt in attempts
        ),
        "spent": spent(attempts),
        "improvement_rate": len(accepted) / len(later) if later else 0.0,
        "calibration": {name: told[-1][name] for name in ("n", "helped", "confidence", "brier")}
        if told
        else None,
        "best_so_far": best_so_far(folder, attempts),
        "seconds": sum(attempt.get("seconds") or 0.0 for attempt in attempts),
    }


def spent(attempts: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Kind of step -> [steps, accepted steps]."""
    found: dict[str, list[int]] = {}
    for attempt in attempts:
        count = found.setdefault(str(attempt["mode"]), [0, 0])
        count[0] += 1
        count[1] += attempt["verdict"] == "accepted"
    return found


def best_so_far(folder: Path, attempts: list[dict[str, Any]]) -> list[float | None]:
    """After every attempt the score of the best that was accepted, with higher = better."""
    sign = (
        1
        if json.loads((folder / "setup.json").read_text())["prepared"]["task"]["direction"] == "max"
        else -1
    )
    curve: list[float | None] = []
    for attempt in attempts:
        taken = attempt["score"] is not None and (attempt["verdict"] == "accepted" or not curve)
        curve.append(sign * attempt["score"] if taken else curve[-1] if curve else None)
    return curve
