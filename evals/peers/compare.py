"""Gome beside AIDE: the same tasks, the same scripted endpoint, the same number of steps, graded alike.

python -m evals.peers.compare --aide PYTHON [--tasks fair,breast_cancer,randhie] [--steps 8] [--out docs/results]

PYTHON is the interpreter of an environment of its own with `aideml` (pip install aideml==0.2.2; 7 GB). None of its code is used here.
The models and their order are the endpoint's, so scores say little; time, memory and faults are what is compared. Overhead per step:
wall time between the first and the last request, less the endpoint's and the scripts' own time, over the steps in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evals.harness import suites
from evals.harness.provenance import provenance
from evals.peers.endpoint import Endpoint
from evals.peers.scripts import FAULTS, script
from run.events import read_events
from task.client import TaskWorker

TASKS = {
    "fair": ("affair", True),
    "breast_cancer": ("malignant", True),
    "randhie": ("mdvis", False),
}
WARM = "gome, warm start"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Account:
    """What one run of an agent took."""

    code: int | None
    wall_s: float
    overhead_s: float | None  # per step
    peak_bytes: int  # of the agent's main process
    n_steps: int
    script_s: float | None  # median of a script's own seconds
    private: float | None
    survivors: int


def watched(
    command: list[str], cwd: Path, env: dict[str, str], limit_s: float
) -> tuple[int | None, float, int]:
    """(exit code or None when it had to be killed, wall seconds, peak resident bytes of the process itself)."""
    began, peak = time.monotonic(), 0
    with (cwd / "output.txt").open("wb") as out:
        child = psutil.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while child.poll() is None and time.monotonic() - began < limit_s:
            try:
                peak = max(peak, child.memory_info().rss)
            except psutil.Error:
                break
            time.sleep(0.02)
        try:
            code: int | None = child.wait(5)
        except psutil.TimeoutExpired:
            code = None
            child.kill()
            child.wait()
    return code, time.monotonic() - began, peak


def left_over() -> int:
    """Children of a script that still live; they are ended."""
    found = [
        p
        for p in psutil.process_iter(["cmdline"])
        if "left-over-child" in " ".join(p.info["cmdline"] or [])
    ]
    for process in found:
        process.kill()
    return len(found)


def overhead(endpoint: Endpoint, script_s: list[float]) -> float | None:
    if len(endpoint.times) < 2 or len(script_s) < 2:
        return None
    between = endpoint.times[-1][0] - endpoint.times[0][1]
    thought = sum(end - start for start, end in endpoint.times[1:-1])
    return (between - thought - sum(script_s[:-1])) / (len(script_s) - 1)


def middle(seconds: list[float]) -> float | None:
    return statistics.median(seconds) if seconds else None


def gome(
    task: Path, steps: int, endpoint: Endpoint, limit_s: float, *, warm: bool = False
) -> tuple[Account, Path | None]:
    place = Path(tempfile.mkdtemp(prefix="gome-peer-"))
    env = os.environ | {
        "OPENAI_API_KEY": "none",
        "XDG_CACHE_HOME": str(place / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    words = [
        "run",
        str(task),
        "--model",
        "scripted",
        "--base-url",
        endpoint.url,
        "--traces",
        "1",
        "--steps",
        str(steps),
        "--memory",
        "off",
    ]
    for value in (
        "top_k=1",
        "final_seeds=1",
        "confirm=false",
        "ensemble=false",
        "run_time_s=60",
        f"warm_start={str(warm).lower()}",
    ):
        words += ["--set", value]
    code, wall, peak = watched(
        [sys.executable, "-m", "gome", *words, "--json"], place, env, limit_s
    )
    folder = next((place / "runs").iterdir(), None) if (place / "runs").exists() else None
    happened = list(read_events(folder / "events.jsonl")) if folder else []
    seconds = [event["seconds"] for event in happened if event["ev"] == "execution_finished"]
    best = folder / "best" / "submission.csv" if folder else None
    return Account(
        code,
        wall,
        overhead(endpoint, seconds),
        peak,
        len(seconds),
        middle(seconds),
        None,
        left_over(),
    ), best


def aide(
    python: Path, task: Path, steps: int, endpoint: Endpoint, limit_s: float
) -> tuple[Account, Path | None]:
    place = Path(tempfile.mkdtemp(prefix="aide-peer-"))
    env = os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": endpoint.url}
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    goal = (task / "description.md").read_text() + (
        "\nlower is better" if "error" in (task / "description.md").read_text() else ""
    )
    words = [
        f"data_dir={task}",
        f"goal={json.dumps(goal)}",
        "exp_name=peer",
        f"agent.steps={steps}",
        "agent.code.model=scripted",
    ]
    words += ["agent.feedback.model=scripted", "generate_report=False", "exec.timeout=60"]
    code, wall, peak = watched([str(python.parent / "aide"), *words], place, env, limit_s)
    journal = next(place.glob("logs/*/journal.json"), None)
    nodes = json.loads(journal.read_text())["nodes"] if journal else []
    seconds = [float(node["exec_time"]) for node in nodes]
    found = sorted(place.glob("workspaces/*/working/submission.csv"))
    return Account(
        code,
        wall,
        overhead(endpoint, seconds),
        peak,
        len(seconds),
        middle(seconds),
        None,
        left_over(),
    ), found[-1] if found else None


async def graded(task: Path, submission: Path | None) -> float | None:
    if submission is None or not submission.exists():
        return None
    worker = TaskWorker()
    try:
        return await worker.score_private(
            str(task), str(task.with_name(task.name + "-private") / "answers.csv"), str(submission)
        )
    finally:
        await worker.close()


def pair(
    python: Path, task: Path, name: str, steps: int, limit_s: float = 600
) -> dict[str, Account]:
    target, classify = TASKS[name]
    found = {}
    for agent in ("gome", WARM, "aide"):
        with Endpoint(lambda who, number: script(who, number, target, classify)) as endpoint:
            if agent == "aide":
                account, submission = aide(python, task, steps, endpoint, limit_s)
            else:
                account, submission = gome(task, steps, endpoint, limit_s, warm=agent == WARM)
        found[agent] = Account(
            **{**vars(account), "private": asyncio.run(graded(task, submission))}
        )
    return found


def faults(python: Path, task: Path, name: str) -> list[str]:
    """Each fault as the second of three scripts: does the run end by itself, with a submission, and is nothing left behind?"""
    target, classify = TASKS[name]
    lines = []
    for fault, text in FAULTS.items():
        cells = []
        for agent in ("gome", "aide"):

            def faulty(who: str, number: int, text: str = text) -> str:
                return (
                    text
                    + (
                        script(who, 3, target, classify)
                        if text.startswith("import subprocess")
                        else ""
                    )
                    if number == 1
                    else script(who, number, target, classify)
                )

            with Endpoint(faulty) as endpoint:
                account, _ = (
                    gome(task, 3, endpoint, 240)
                    if agent == "gome"
                    else aide(python, task, 3, endpoint, 240)
                )
            end = "had to be killed" if account.code is None else f"exit {account.code}"
            cells.append(f"{end}, {account.n_steps} scripts run, {account.survivors} left behind")
        lines.append(f"| {fault} | {cells[0]} | {cells[1]} |")
    return lines


def row(name: str, found: dict[str, Account]) -> list[str]:
    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return [
        f"| {name} | {agent} | {a.n_steps} | {shown(None if a.overhead_s is None else a.overhead_s * 1e3, '.0f')} | {a.peak_bytes / 1e6:.0f} |"
        f" {shown(a.script_s, '.2f')} | {a.wall_s:.1f} | {shown(a.private, '.5g')} |"
        for agent, a in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--aide", type=Path, required=True, help="python of the environment that holds aideml"
    )
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="gome-peers-"))
    lines: list[str] = []
    names = options.tasks.split(",")
    for name in names:
        suites.write(name, root / name)
        lines += row(name, pair(options.aide.absolute(), root / name, name, options.steps))
        print("\n".join(lines[-3:]), flush=True)
    broken = faults(options.aide.absolute(), root / names[0], names[0])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "aide.md").write_text(page(lines, broken, options))
    print((options.out / "aide.md").read_text())
    shutil.rmtree(root)


def page(lines: list[str], broken: list[str], options: Any) -> str:
    command = f"python -m evals.peers.compare --aide PYTHON --tasks {options.tasks} --steps {options.steps}"
    return "\n".join(
        [
            "# Beside AIDE, with the same scripted endpoint\n",
            "Both agents get the same models in the same order, so the private scores differ only by what each hands over in the end. "
            "Overhead: wall time less the endpoint's and the scripts' own, per step. Memory: peak of the agent's main process. "
            "A script's seconds differ by where it runs: AIDE forks its own process, in which the libraries are loaded; Gome starts an isolated "
            "interpreter, or forks an isolated one that has imported them (`warm_start`; its first start counts as overhead). Where an attempt may take "
            "the best's place, Gome's overhead holds the leak gates, which fit small models.\n",
            "| task | agent | scripts run | overhead per step, ms | memory, MB | a script, s | wall, s | private score |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "\n## A faulty second script\n",
            "| fault | Gome | AIDE |",
            "|---|---|---|",
            *broken,
            "\n" + provenance(command) + "*AIDE: aideml 0.2.2.*\n",
        ]
    )


if __name__ == "__main__":
    main()
