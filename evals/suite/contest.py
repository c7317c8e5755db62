"""Contestants on the suite: each gets the same task folder, CPU seconds and cores, and one grader.

Gome runs with the embedded expert. The others are the scripts of contestants/. The private score is
computed by Gome's own grader from the answers beside the task folder, which no contestant reads.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evals.harness.common import private_answers
from evals.suite.clock import READ_EVERY_S, SLOWEST, FamilyMeter, list_family
from evals.suite.task import SuiteTask
from task.client import TaskWorker
from task.types import TaskError

SCRIPTS = Path(__file__).with_name("contestants")
ROOT = Path(__file__).parents[2]
GRACE = 1.5  # times its CPU seconds after which a contestant is ended
START_S = 30.0  # besides: reading, writing
END_S = 5.0  # CPU seconds of a run's finale and exit, which its own limit does not hold
N_CORES = min(2, len(os.sched_getaffinity(0)))  # of every contestant


@dataclass(frozen=True)
class Contestant:
    """A script of contestants/ with its arguments, or Gome itself (no script)."""

    name: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    about: str = ""


CONTESTANTS = {
    one.name: one
    for one in (
        Contestant("gome", about="Gome with the embedded expert"),
        Contestant("linear", "linear.py", (), "scaled columns or TF-IDF, a linear model"),
        Contestant("boosting", "boosting.py", (), "LightGBM as it comes"),
        Contestant("tuned", "boosting.py", ("tuned",), "LightGBM tuned by Optuna"),
        Contestant("autogluon", "autogluon_tabular.py", (), "AutoGluon's TabularPredictor"),
    )
}


@dataclass(frozen=True)
class Budget:
    """What every contestant gets for a task; `steps` bounds Gome alone."""

    seconds: float  # of CPU, from the start of its first process
    steps: int
    seed: int


@dataclass(frozen=True)
class ContestRow:
    """One contestant on one task."""

    task: str
    half: str
    contestant: str
    commit: str
    metric: str
    private: float | None  # None: no valid submission
    sample: float | None  # private score of the sample submission, which knows the rates alone
    validated: float | None  # the contestant's own estimate, where it has one
    seconds: float
    cpu_s: float
    peak_mb: float  # of the process and its children at one time
    scripts: int
    budget_s: float
    cores: int
    failure: str = ""


@dataclass(frozen=True)
class Usage:
    """What a process and its children used."""

    code: int
    seconds: float
    cpu_s: float
    peak_mb: float
    last_line: str


def watch_process(command: list[str], limit_s: float) -> Usage:
    """Run a command until it ends or exceeds its CPU seconds; what is left over ends with it."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        env = os.environ | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(N_CORES),
            "OMP_WAIT_POLICY": "PASSIVE",  # as scripts in the sandbox: waiting costs no CPU seconds
        }
        child = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        meter = FamilyMeter(child.pid)
        try:
            while child.poll() is None and meter.read() < limit_s:
                if time.monotonic() - began > SLOWEST * limit_s:
                    break
                time.sleep(READ_EVERY_S)
            seconds = time.monotonic() - began
        finally:
            end_family(child)
        code = child.wait()
        log.seek(max(0, log.seek(0, 2) - 4000))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return Usage(code, seconds, meter.cpu_s, meter.peak_bytes / 2**20, lines[-1] if lines else "")


def end_family(child: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, and its children."""
    for pid in reversed(list_family(child.pid) if child.poll() is None else []):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def run_contestant(
    one: Contestant,
    task: SuiteTask,
    half: str,
    folder: Path,
    budget: Budget,
    python: str,
    worker: TaskWorker,
) -> ContestRow:
    """Run one contestant on one task folder; `worker` grades what it hands over."""
    limit_s = GRACE * budget.seconds + START_S
    with tempfile.TemporaryDirectory(prefix="gome-suite-") as temporary:
        made = Path(temporary) / "submission.csv"
        if one.script:
            command = [python, str(SCRIPTS / one.script), str(folder), str(made)]
            command += [str(budget.seconds), *one.arguments]
            used = await asyncio.to_thread(watch_process, command, limit_s)
            validated, n_scripts = None, 1
        else:
            runs = Path(temporary) / "runs"
            command = gome_command(folder, runs, budget)
            used = await asyncio.to_thread(watch_process, command, limit_s)
            made, validated, n_scripts = read_run(runs)
        private, failure = await grade_submission(folder, made, worker)
    sample, _ = await grade_submission(folder, folder / "sample_submission.csv", worker)
    if used.code and private is None:
        failure = used.last_line
    return ContestRow(
        task=task.name,
        half=half,
        contestant=one.name,
        commit=read_commit(),
        metric=task.metric,
        private=private,
        sample=sample,
        validated=validated,
        seconds=round(used.seconds, 1),
        cpu_s=round(used.cpu_s, 1),
        peak_mb=round(used.peak_mb),
        scripts=n_scripts,
        budget_s=budget.seconds,
        cores=N_CORES,
        failure=failure[:300],
    )


def gome_command(folder: Path, runs: Path, budget: Budget) -> list[str]:
    """Return the command of one run with the embedded expert."""
    command = [sys.executable, "-m", "evals.suite.clock", "run", str(folder), "--memory", "off"]
    command += ["--traces", "1", "--steps", str(budget.steps), "--seed", str(budget.seed)]
    seconds = max(1.0, budget.seconds - END_S)
    return [*command, "--time", str(seconds), "--runs-dir", str(runs)]


def read_run(runs: Path) -> tuple[Path, float | None, int]:
    """Return a run's submission, its own score, and how many scripts it executed."""
    found = sorted(path.parent for path in runs.glob("*/events.jsonl"))
    if not found:
        return runs / "none", None, 0
    lines = (found[-1] / "events.jsonl").read_text().splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    n_scripts = sum(event["ev"] == "execution_finished" for event in events)
    final: dict[str, Any] = next((e for e in reversed(events) if e["ev"] == "finalized"), {})
    return found[-1] / "best" / "submission.csv", final.get("score"), n_scripts


async def grade_submission(
    folder: Path, made: Path, worker: TaskWorker
) -> tuple[float | None, str]:
    """Return the private score of a submission, or None and why there is none."""
    if not made.is_file():
        return None, "no submission"
    try:
        score = await worker.score_private(str(folder), str(private_answers(folder)), str(made))
    except TaskError as error:  # what a contestant wrote; a fault of the grader ends the contest
        return None, str(error)
    return score, ""


@cache
def read_commit() -> str:
    """Return the checkout's commit at the start, with a plus sign where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def row_as_json(row: ContestRow) -> dict[str, object]:
    """Return a row as it is stored."""
    return asdict(row)
