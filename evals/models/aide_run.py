"""AIDE as a contestant: its own program in its own environment, inside Gome's sandbox.

By itself AIDE runs scripts with the user's rights, beside the key. Here it has the sandbox of the
others, and reaches the model through the relay alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.models.endpoint import EndpointStoppedError, Say, find_address, open_endpoint
from evals.models.grading import Grade, grade_files
from evals.models.relay import Relay, serve_relay
from evals.models.study import Budget, Point, StudyError
from evals.models.tasks import StudyTask
from evals.models.transcript import Transcript
from graph.settings import Settings
from report.formatting import clean_text, finite_number
from run.events import parse_event, to_amount
from sandbox.inside.collect import collect_files
from sandbox.inside.walk import free_place
from sandbox.local.backend import LocalSandbox, create_local_sandbox, usable_memory_bytes
from sandbox.protocol import Execution, Job, Limits, SandboxUnavailableError

LAUNCH = Path(__file__).with_name("aide_launch.py")
VERSION = "0.2.2"
GOAL, SOCKET = "goal.md", "relay.sock"  # below input/
MODEL = "relayed"  # not like a name of OpenAI's, for which AIDE leaves the given address aside
TEMPERATURE = 0.5  # AIDE's own, for code and reviews
MAX_STEPS = 150  # submissions of so many scripts are kept
MAX_JOURNAL_BYTES = 128 * 2**20
OUTPUT_BYTES = 200_000
DISK_BYTES = 16 * 2**30
NETWORK_TIERS = ("bubblewrap", "userns")  # in which a loopback of its own exists
REMEDY = f"make its environment by `gome env create aide --with aideml=={VERSION}`, or leave it out"


@dataclass(frozen=True)
class AideStep:
    """One executed script: when, and what AIDE thought of it."""

    script_s: float
    seconds: float
    submission: Path | None
    score: float | None  # as AIDE's reviewer read it from the log; None: buggy, or not recorded


def open_aide(settings: Settings, python: str, place: Path) -> LocalSandbox:
    """Return a sandbox with AIDE's Python. Raises StudyError with the remedy."""
    try:
        sandbox = create_local_sandbox(
            isolation=settings.isolation, gpus=settings.gpus, run_dir=place, python=python
        )
    except SandboxUnavailableError as error:
        raise StudyError(f"AIDE cannot run: {error}; {REMEDY} (--contestants)") from error
    if sandbox.tier not in NETWORK_TIERS:
        raise StudyError(
            f"AIDE cannot run in the tier {sandbox.tier}, where nothing reaches the relay; install"
            " bubblewrap, or leave it out (--contestants)"
        )
    return sandbox


def aide_orders(budget: Budget) -> list[str]:
    """Return the words of AIDE's command line."""
    limit_s = int(min(budget.seconds, max(60.0, budget.seconds / 4)))
    return [
        "data_dir=input/data",
        f"desc_file=input/{GOAL}",
        "exp_name=cell",
        f"agent.steps={min(budget.steps, MAX_STEPS)}",
        f"agent.code.model={MODEL}",
        f"agent.feedback.model={MODEL}",
        "generate_report=False",
        f"exec.timeout={limit_s}",
    ]


def write_goal(task: StudyTask, place: Path) -> Path:
    """Write what AIDE is told of the task: in a file, since its options interpret their texts."""
    text = task.task.description.strip() or task.name
    better = "lower" if task.task.direction == "min" else "higher"
    path = place / GOAL
    path.write_text(f"{text}\n\nFor this metric {better} is better.\n")
    return path


async def run_aide(
    task: StudyTask, place: Path, budget: Budget, settings: Settings, python: str, say: Say
) -> dict[str, Any]:
    """Run AIDE; return what was measured.

    Raises:
        EndpointStoppedError: the endpoint does not answer any more.
        StudyError: AIDE cannot run here.
    """
    sandbox = open_aide(settings, python, place)
    heat = TEMPERATURE if settings.temperature is None else settings.temperature
    endpoint = open_endpoint(settings.model_copy(update={"temperature": heat}))
    transcript = Transcript(place, find_address(settings).secrets)
    relay = Relay(endpoint, transcript, budget.tokens, say)
    workspace = place / "workspace"
    try:
        version = await installed_version(sandbox)
        began = time.monotonic()
        # in a folder of its own: the path of a socket is at most 107 characters long
        with tempfile.TemporaryDirectory(prefix="gome-relay-") as folder:
            socket = Path(folder) / SOCKET
            with serve_relay(socket, relay):
                extra = {GOAL: write_goal(task, place), SOCKET: socket}
                n_gpus = min(1, len(sandbox.gpus))
                job = aide_job(task, workspace, extra, budget, n_gpus)
                done = await run_until_stopped(sandbox, job, relay)
        seconds, was_waiting = time.monotonic() - began, relay.n_waiting > 0
    finally:
        await endpoint.close()
        await sandbox.close()
    if relay.failure:
        raise EndpointStoppedError(relay.failure)
    transcript.write("output", text=done.output if done else "")
    steps = read_steps(workspace, place, rising=task.task.direction == "max")
    measured = await measure_steps(task, steps)
    free_place(workspace)
    return measured | {
        "end": relay.end or describe_end(done),
        "usage": relay.usage,
        "seconds": round(seconds, 1),
        "was_waiting": was_waiting,
        "notes": [f"aideml {version}, temperature {heat:g}"],
    }


async def check_aide(settings: Settings, python: str, place: Path) -> None:
    """Refuse an environment that AIDE cannot run in. Raises StudyError with the remedy."""
    sandbox = open_aide(settings, python, place)
    try:
        await installed_version(sandbox)
    finally:
        await sandbox.close()


async def installed_version(sandbox: LocalSandbox) -> str:
    """Return the version of AIDE in the sandbox's Python. Raises StudyError without it."""
    host = await sandbox.probe()
    version = host.installed.get("aideml")
    if version is None:
        raise StudyError(f"{sandbox.own_python} has no AIDE (package aideml): {REMEDY}")
    return version


def aide_job(
    task: StudyTask, workspace: Path, extra: dict[str, Path], budget: Budget, n_gpus: int
) -> Job:
    """Return the job that AIDE is; `extra` are further files below input/."""
    workspace.mkdir(parents=True)
    data = {f"data/{name}": path for name, path in task.inputs().items()}
    memory = usable_memory_bytes()
    return Job(
        id="aide",
        script=LAUNCH.read_text(),
        workspace=workspace,
        inputs=data | {name: str(path) for name, path in extra.items()},
        limits=Limits(
            wall_s=budget.seconds,
            memory_bytes=memory,
            disk_bytes=DISK_BYTES,
            output_bytes=OUTPUT_BYTES,
            cpus=len(os.sched_getaffinity(0)),
            gpus=n_gpus,
        ),
        env={"AIDE_ORDERS": json.dumps(aide_orders(budget))},
        collect=[],
    )


async def run_until_stopped(sandbox: LocalSandbox, job: Job, relay: Relay) -> Execution | None:
    """Run the job to its end, or until the relay answers no more: None. It has ended either way."""
    running = asyncio.ensure_future(sandbox.run(job))
    stopping = asyncio.ensure_future(relay.stopped.wait())
    try:
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else None
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def describe_end(done: Execution | None) -> str:
    """Return why AIDE ended."""
    if done is None or done.ok:
        return "all steps done"
    if done.end == "timeout":
        return "budget: time"
    lines = clean_text(done.output[-2000:], 2000, lines=True).strip().splitlines()
    last = lines[-1] if lines else ""
    how = f"exit code {done.exit_code}" if done.end == "exit" else done.end
    return f"it failed ({how}): {clean_text(last, 200)}"


def read_steps(workspace: Path, place: Path, *, rising: bool) -> list[AideStep]:
    """Return the executed scripts, from what the launcher and AIDE's journal say.

    Everything there may have been written by a script: it is bounded and typed here.
    """
    found, _ = collect_files(workspace, ["kept/", "logs/"])
    for name, path in found.items():
        copy = place / "aide" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    scores = read_scores(place / "aide" / "logs", rising=rising)
    index = place / "aide" / "kept" / "index.jsonl"
    lines = index.read_text(errors="replace").splitlines()[:MAX_STEPS] if index.is_file() else []
    steps = []
    for number, line in enumerate(lines):
        event = parse_event(line) or {}
        made = place / "aide" / "kept" / f"{number:03}.csv"
        steps.append(
            AideStep(
                script_s=to_amount(event.get("script_s")),
                seconds=to_amount(event.get("seconds")),
                submission=made if made.is_file() else None,
                score=scores[number] if number < len(scores) else None,
            )
        )
    return steps


def read_scores(logs: Path, *, rising: bool) -> list[float | None]:
    """Return what AIDE holds of each script, higher is better; None for a buggy one."""
    journal = next(iter(sorted(logs.glob("*/journal.json"))), None)
    if journal is None or journal.stat().st_size > MAX_JOURNAL_BYTES:
        return []
    nodes = (parse_event(journal.read_bytes()) or {}).get("nodes")
    scores: list[float | None] = []
    for node in nodes if isinstance(nodes, list) else []:
        metric = node.get("metric") if isinstance(node, dict) else None
        value = finite_number(metric.get("value")) if isinstance(metric, dict) else None
        is_good = value is not None and node.get("is_buggy") is False
        scores.append((value if rising else -value) if is_good and value is not None else None)
    return scores


def choose_step(steps: Sequence[AideStep]) -> AideStep | None:
    """Return the step that AIDE would hand over: the best by its own score that made a submission.

    Without one, the last that made a submission.
    """
    made = [step for step in steps if step.submission]
    scored = [step for step in made if step.score is not None]
    if scored:
        return max(scored, key=lambda step: step.score or 0.0)
    return made[-1] if made else None


async def measure_steps(task: StudyTask, steps: Sequence[AideStep]) -> dict[str, Any]:
    """Grade what AIDE would have handed over after every script."""
    chosen = [choose_step(steps[: n + 1]) for n in range(len(steps))]
    files = list(dict.fromkeys(one.submission for one in chosen if one and one.submission))
    grades = dict(zip(files, await grade_files(task.folder, files), strict=True))
    points, script_s = list[Point](), 0.0
    for number, (step, one) in enumerate(zip(steps, chosen, strict=True), 1):
        script_s += step.script_s
        grade = grades[one.submission] if one and one.submission else Grade(None)
        points.append(
            Point(
                executions=number,
                script_s=round(script_s, 3),
                seconds=round(step.seconds, 3),
                private=grade.private,
            )
        )
    last = chosen[-1] if chosen else None
    final = (
        grades[last.submission] if last and last.submission else Grade(None, "no submission.csv")
    )
    return {
        "private": final.private,
        "failure": final.failure,
        "script_s": round(script_s, 1),
        "executions": len(steps),
        "curve": points,
    }
