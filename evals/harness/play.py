"""One run of an eval: the loop's own graph and nodes on a prepared task, without checkpoints.

Executions are recorded. A task is prepared and profiled once for all of its runs, so folds and
audit rows are the same for every strategy and seed (paired); seeds vary the reasoner's luck, the
policies' draws and every tie-break.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from briefs.task_brief import set_up_run
from evals.harness import suites
from evals.harness.common import private_answers
from evals.harness.forked import ForkedSandbox
from evals.harness.recorded import RecordedSandbox
from evals.harness.rules import LoopRules
from graph.build import build_graph
from graph.settings import Settings
from memory.protocol import Memory
from reasoner.protocol import Reasoner
from report.event_log import load_view
from run.artifacts import write_atomic
from run.events import iterate_events
from run.folder import make_run_folder
from run.registry import close_run, open_run
from run.run import Run
from run.setup import write_setup
from sandbox.inside.walk import remove_folder
from sandbox.protocol import Sandbox
from task.client import TaskWorker
from task.types import Prepared

FOLDS_SEED = 0
N_FOLDS = 3  # of every task: a script then costs little more than half of its time with five


class RunCalibration(TypedDict):
    """Measured hypotheses of a run: how many, how many helped, stated confidence, Brier score."""

    n: int
    helped: int
    confidence: float
    brier: float


class LeadAccount(TypedDict):
    """A solution that led, what had been spent until then, and its scores."""

    executions: int
    seconds: float
    score: float  # cross-validated
    private: float | None


class SearchAccount(TypedDict):
    """A run's curve: its leads in order, and what the whole search executed."""

    executions: int
    seconds: float
    leads: list[LeadAccount]


class RunAccount(TypedDict):
    """A run as one line of a results file."""

    task: str
    private: float | None  # score on the private answers
    cv: float | None  # cross-validated score of the best
    attempts: int
    failed: int
    accepted: int  # after a first draft
    alarms: int  # attempts that a leak gate objected to
    spent: dict[str, list[int]]
    improvement_rate: float
    calibration: RunCalibration | None
    best_so_far: list[float | None]
    seconds: float  # of scripts
    search: SearchAccount


DONE = "baseline.json"
GRADE = "task.grade.grade.grade_execution"
BASELINE = "task.grade.baseline.make_baseline"


class SharedWorker(TaskWorker):
    """Task worker that outlives the runs that use it.

    Grades, and the baseline that every run of a task begins with, are cached in the folder `store`.
    """

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store = store

    async def call(self, path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call the worker, or return the stored grade of the same files, or the same baseline."""
        if path == BASELINE:
            return await self._make_baseline(args, kwargs)
        if path != GRADE:
            return await super().call(path, args, kwargs)
        place = self.store / f"{grade_key(*args, **kwargs)}.json"
        if place.exists():
            return json.loads(place.read_text())
        grade = await super().call(path, args, kwargs)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, json.dumps(grade))
        return grade

    async def _make_baseline(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        prepared, folder, method = args
        parts = [prepared.model_dump_json(), method, sorted(kwargs["without"])]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        place = self.store / "baselines" / key
        if not (place / DONE).exists():
            made = await super().call(BASELINE, args, kwargs)
            shutil.copytree(folder, place, dirs_exist_ok=True)
            write_atomic(place / DONE, json.dumps(made))
            return made
        files = shutil.ignore_patterns(DONE)
        shutil.copytree(place, folder, dirs_exist_ok=True, ignore=files)
        return json.loads((place / DONE).read_text())

    async def close(self) -> None:
        """Do nothing: a run closes its worker, and other runs still need this one."""

    async def shut_down(self) -> None:
        """End the worker's process."""
        await super().close()


def grade_key(
    prepared: Prepared,
    files: dict[str, str],
    references: Mapping[str, Any],
    execution: dict[str, Any] | None,
    *,
    seed: int = 0,
    every_gate: bool = False,
    without: Sequence[str] = (),
) -> str:
    """Hash what a grade depends on: task, files by their content, and how the script ended."""
    account = execution or {}
    inputs: dict[str, Any] = {
        "files": paths_as_hashes(files),
        "references": paths_as_hashes(references),
        "seed": seed,
        "every_gate": every_gate,
        **({"without": list(without)} if without else {}),
    }
    if prepared.soft is not None:
        inputs["soft"] = prepared.soft.model_dump()
    parts = [prepared.task.name, inputs, account.get("end"), account.get("exit_code")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def paths_as_hashes(value: Any) -> Any:
    """Replace paths into an artifact store by their last part, which is the content's hash."""
    if isinstance(value, dict):
        return {key: paths_as_hashes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [paths_as_hashes(item) for item in value]
    return Path(value).name if isinstance(value, str) else value


@dataclass
class Workbench:
    """What the runs of one process share, below the folder `root`."""

    root: Path
    worker: SharedWorker
    sandbox: RecordedSandbox
    settings: Settings = Settings(seed=FOLDS_SEED, memory="off", n_folds=N_FOLDS)
    """Settings that tasks are prepared with."""

    def task(self, name: str) -> Path:
        """Return the task's folder; written if it is missing."""
        place = self.root / "tasks" / name
        suites.write_suite_task(name, place)
        return place

    async def template(self, name: str, *, surrogate: bool = True) -> dict[str, Any]:
        """Return the task's setup.json, prepared and profiled; its paths are the template's."""
        folder = self.root / "templates" / (name if surrogate else f"{name}-labels")
        if not (folder / "setup.json").exists():
            settings = self.settings.model_copy(update={"surrogate": surrogate})
            make_run_folder(folder, str(self.task(name)), settings)
            run = open_run(folder)
            run.worker, run.sandbox = self.worker, self.sandbox
            write_setup(folder, await set_up_run(run))
            await close_run(folder)
        setup: dict[str, Any] = json.loads((folder / "setup.json").read_text())
        return {key: item for key, item in setup.items() if key != "root"}

    async def private_score(self, name: str, submission: Path) -> float | None:
        """Return the score on the private answers; None without a submission."""
        if not submission.exists():
            return None
        task = self.task(name)
        answers = private_answers(task)
        return await self.worker.score_private(str(task), str(answers), str(submission))


def open_workbench(root: Path, inner: Sandbox | None = None) -> Workbench:
    """Open the workbench at `root`; scripts run in `inner`, by default in forks."""
    root.mkdir(parents=True, exist_ok=True)
    sandbox = RecordedSandbox(inner or ForkedSandbox(), root / "recorded")
    return Workbench(root, SharedWorker(root / "grades"), sandbox)


async def play_run(
    bench: Workbench,
    name: str,
    settings: Settings,
    reasoner: Reasoner | None,
    run_name: str,
    *,
    keep: bool = False,
    memory: Memory | None = None,
    rules: LoopRules | None = None,
) -> RunAccount:
    """Run the loop once on a task and return its account; delete the run folder unless `keep`."""
    folder = bench.root / "runs" / run_name
    run = await open_prepared_run(bench, name, settings, folder)
    if reasoner is not None:
        run.reasoner = reasoner
    if memory is not None:
        run.memory = memory
    policy, acceptance = (rules.policy, rules.acceptance) if rules else (None, None)
    config: Any = {"recursion_limit": 100_000}
    inputs: Any = {"task": run.task_path, "run_dir": str(folder)}
    try:
        graph = build_graph(policy=policy, acceptance=acceptance)
        await graph.ainvoke(inputs, config, context=settings)
        search = await account_for_search(bench, name, run)
    finally:
        await close_run(folder)
    account = await account_for_run(bench, name, folder, search)
    if not keep:
        remove_folder(folder)
    return account


async def open_prepared_run(bench: Workbench, name: str, settings: Settings, folder: Path) -> Run:
    """Open a fresh run that starts from the task's template."""
    setup = await bench.template(name)
    if setup["prepared"]["soft"] and not settings.surrogate:
        setup = await bench.template(name, surrogate=False)
    remove_folder(folder)
    make_run_folder(folder, str(bench.task(name)), settings)
    write_atomic(folder / "setup.json", json.dumps(setup))
    run = open_run(folder)
    run.worker, run.sandbox = bench.worker, bench.sandbox
    return run


async def account_for_search(bench: Workbench, name: str, run: Run) -> SearchAccount:
    """Score every solution that led the run on the private answers."""
    view = load_view(run.folder)
    n_executions, seconds = view.searched or (view.n_executions, view.script_s)
    files = {
        event["id"]: (event["submission"], event["oof"])
        for event in iterate_events(run.folder / "events.jsonl")
        if event["ev"] == "attempt"
    }
    leads: list[LeadAccount] = []
    for lead in view.leads:
        stored, oof = (str(run.artifacts.path(ref)) for ref in files[lead.attempt])
        final = run.folder / "work" / ".lead.csv"
        await run.worker.final_submission(run.prepared, stored, str(final), oof)
        private = await bench.private_score(name, final)
        leads.append(
            {
                "executions": lead.executions,
                "seconds": lead.seconds,
                "score": lead.score,
                "private": private,
            }
        )
    return {"executions": n_executions, "seconds": seconds, "leads": leads}


async def account_for_run(
    bench: Workbench, name: str, folder: Path, search: SearchAccount
) -> RunAccount:
    """Read the run's events and best files into one flat record."""
    events = list(iterate_events(folder / "events.jsonl"))
    attempts = [event for event in events if event["ev"] == "attempt"]
    later = [attempt for attempt in attempts if attempt["parent"] is not None]
    n_accepted = count_verdicts(later, "accepted")
    best_file = folder / "best" / "best.json"
    best = json.loads(best_file.read_text()) if best_file.exists() else {}
    return {
        "task": name,
        "private": await bench.private_score(name, folder / "best" / "submission.csv"),
        "cv": best.get("score"),
        "attempts": len(attempts),
        "failed": count_verdicts(attempts, "failed"),
        "accepted": n_accepted,
        "alarms": sum(has_leak_code(attempt) for attempt in attempts),
        "spent": steps_by_mode(attempts),
        "improvement_rate": n_accepted / len(later) if later else 0.0,
        "calibration": last_calibration(events),
        "best_so_far": best_so_far_curve(attempts, read_direction(folder)),
        "seconds": sum(attempt.get("seconds") or 0.0 for attempt in attempts),
        "search": search,
    }


def count_verdicts(attempts: list[dict[str, Any]], verdict: str) -> int:
    """Return how many attempts have the verdict."""
    return sum(attempt["verdict"] == verdict for attempt in attempts)


def last_calibration(events: list[dict[str, Any]]) -> RunCalibration | None:
    """Return the run's latest calibration; None where nothing was measured."""
    last = next((event for event in reversed(events) if event["ev"] == "calibration"), None)
    if last is None:
        return None
    return RunCalibration(
        n=last["n"], helped=last["helped"], confidence=last["confidence"], brier=last["brier"]
    )


def has_leak_code(attempt: dict[str, Any]) -> bool:
    """Return whether a leak gate objected to the attempt."""
    return any(code.startswith("leak_") for code in attempt.get("codes") or [])


def read_direction(folder: Path) -> str:
    """Return `max` or `min`, the direction of the run's metric."""
    setup = json.loads((folder / "setup.json").read_text())
    return str(setup["prepared"]["task"]["direction"])


def steps_by_mode(attempts: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Return kind of step -> [steps, accepted steps]."""
    counts: dict[str, list[int]] = {}
    for attempt in attempts:
        count = counts.setdefault(str(attempt["mode"]), [0, 0])
        count[0] += 1
        count[1] += attempt["verdict"] == "accepted"
    return counts


def best_so_far_curve(attempts: list[dict[str, Any]], direction: str) -> list[float | None]:
    """Return after every attempt the score of the best accepted one, with higher = better."""
    sign = 1 if direction == "max" else -1
    curve: list[float | None] = []
    for attempt in attempts:
        latest = curve[-1] if curve else None
        if attempt["score"] is not None and (attempt["verdict"] == "accepted" or not curve):
            latest = sign * attempt["score"]
        curve.append(latest)
    return curve
