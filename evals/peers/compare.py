"""Compare Gome with AIDE: same tasks, same scripted endpoint, same number of steps, same grading.

python -m evals.peers.compare --aide PYTHON [--tasks fair,breast_cancer,randhie] [--steps 8]
                              [--out docs/results]

PYTHON is the interpreter of a separate environment with `aideml` (pip install aideml==0.2.2; 7 GB).
None of its code is used here. The models and their order are the endpoint's, so scores say little;
time, memory and faults are what is compared. Overhead per step: wall time between the first and the
last request, less the endpoint's and the scripts' own time, over the steps in between.
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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from evals.harness import suites
from evals.harness.common import private_answers
from evals.harness.provenance import provenance_note
from evals.peers.endpoint import ScriptedEndpoint
from evals.peers.scripts import FAULTS, nth_script
from run.events import iterate_events
from task.client import TaskWorker

TASKS = {
    "fair": ("affair", True),
    "breast_cancer": ("malignant", True),
    "randhie": ("mdvis", False),
}
AGENTS = ("gome", "aide")
ROOT = Path(__file__).parents[2]
ABOUT = """\
Both agents get the same models in the same order, so the private scores differ only by what each \
submits in the end. Overhead: wall time less the endpoint's and the scripts' own, per step. \
Memory: peak of the agent's main process. A script's seconds depend on where it runs: AIDE forks \
its own process, which has the libraries loaded; Gome starts an isolated interpreter. Where an \
attempt may replace the best, Gome's overhead includes the leak gates, which fit small models.
"""


@dataclass(frozen=True)
class AgentAccount:
    """What one run of an agent took."""

    code: int | None  # exit code; None where it had to be killed
    wall_s: float
    overhead_s: float | None  # per step
    peak_bytes: int  # of the agent's main process
    n_steps: int
    script_s: float | None  # median of a script's own seconds
    survivors: int  # processes of scripts left behind
    private: float | None = None


def run_and_watch(
    command: list[str], cwd: Path, env: dict[str, str], limit_s: float
) -> tuple[int | None, float, int]:
    """Run a command; return (exit code or None if killed, wall seconds, peak resident bytes).

    The bytes are those of the process itself, without its children.
    """
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


def kill_leftovers() -> int:
    """Kill children of scripts that are still alive; return how many."""
    survivors = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "left-over-child" in " ".join(process.info["cmdline"] or [])
    ]
    for process in survivors:
        process.kill()
    return len(survivors)


def overhead_per_step(endpoint: ScriptedEndpoint, script_s: list[float]) -> float | None:
    """Return the agent's own seconds per step; None with fewer than two steps."""
    if len(endpoint.times) < 2 or len(script_s) < 2:
        return None
    between_s = endpoint.times[-1][0] - endpoint.times[0][1]
    answering_s = sum(end - start for start, end in endpoint.times[1:-1])
    return (between_s - answering_s - sum(script_s[:-1])) / (len(script_s) - 1)


def median_or_none(seconds: list[float]) -> float | None:
    """Return the median; None of nothing."""
    return statistics.median(seconds) if seconds else None


def run_gome(
    task: Path, steps: int, endpoint: ScriptedEndpoint, limit_s: float
) -> tuple[AgentAccount, Path | None]:
    """Run Gome on the task; return its account and submission."""
    place = Path(tempfile.mkdtemp(prefix="gome-peer-"))
    env = os.environ | {
        "OPENAI_API_KEY": "none",
        "XDG_CACHE_HOME": str(place / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "gome", *gome_options(task, steps, endpoint.url)]
    code, wall_s, peak = run_and_watch(command, place, env, limit_s)
    folder = next((place / "runs").iterdir(), None) if (place / "runs").exists() else None
    events = list(iterate_events(folder / "events.jsonl")) if folder else []
    seconds = [event["seconds"] for event in events if event["ev"] == "execution_finished"]
    account = AgentAccount(
        code=code,
        wall_s=wall_s,
        overhead_s=overhead_per_step(endpoint, seconds),
        peak_bytes=peak,
        n_steps=len(seconds),
        script_s=median_or_none(seconds),
        survivors=kill_leftovers(),
    )
    return account, folder / "best" / "submission.csv" if folder else None


def gome_options(task: Path, steps: int, url: str) -> list[str]:
    """Return the command line for one trace without what AIDE has no counterpart of."""
    options = ["run", str(task), "--json", "--model", "scripted", "--base-url", url]
    options += ["--traces", "1", "--steps", str(steps), "--memory", "off"]
    for setting in (
        "top_k=1",
        "final_seeds=1",
        "average_seeds=1",
        "confirm=false",
        "ensemble=false",
        "run_time_s=60",
    ):
        options += ["--set", setting]
    return options


def run_aide(
    python: Path, task: Path, steps: int, endpoint: ScriptedEndpoint, limit_s: float
) -> tuple[AgentAccount, Path | None]:
    """Run AIDE on the task; return its account and submission."""
    place = Path(tempfile.mkdtemp(prefix="aide-peer-"))
    env = os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": endpoint.url}
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    goal = (task / "description.md").read_text()
    goal += "\nlower is better" if "error" in goal else ""
    command = [
        str(python.parent / "aide"),
        f"data_dir={task}",
        f"goal={json.dumps(goal)}",
        "exp_name=peer",
        f"agent.steps={steps}",
        "agent.code.model=scripted",
        "agent.feedback.model=scripted",
        "generate_report=False",
        "exec.timeout=60",
    ]
    code, wall_s, peak = run_and_watch(command, place, env, limit_s)
    journal = next(place.glob("logs/*/journal.json"), None)
    nodes = json.loads(journal.read_text())["nodes"] if journal else []
    seconds = [float(node["exec_time"]) for node in nodes]
    account = AgentAccount(
        code=code,
        wall_s=wall_s,
        overhead_s=overhead_per_step(endpoint, seconds),
        peak_bytes=peak,
        n_steps=len(seconds),
        script_s=median_or_none(seconds),
        survivors=kill_leftovers(),
    )
    submissions = sorted(place.glob("workspaces/*/working/submission.csv"))
    return account, submissions[-1] if submissions else None


async def score_submission(task: Path, submission: Path | None) -> float | None:
    """Score a submission on the task's private answers; None where there is none."""
    if submission is None or not submission.exists():
        return None
    answers = private_answers(task)
    worker = TaskWorker()
    try:
        return await worker.score_private(str(task), str(answers), str(submission))
    finally:
        await worker.close()


def run_agents(
    python: Path, task: Path, name: str, steps: int, limit_s: float = 600
) -> dict[str, AgentAccount]:
    """Run both agents on a task; return agent -> account with its private score."""
    target, classify = TASKS[name]
    accounts = {}
    for agent in AGENTS:
        with ScriptedEndpoint(lambda who, n: nth_script(who, n, target, classify)) as endpoint:
            if agent == "aide":
                account, submission = run_aide(python, task, steps, endpoint, limit_s)
            else:
                account, submission = run_gome(task, steps, endpoint, limit_s)
        private = asyncio.run(score_submission(task, submission))
        accounts[agent] = replace(account, private=private)
    return accounts


def run_fault_checks(python: Path, task: Path, name: str) -> list[str]:
    """Give each fault as the second of three scripts; return a row per fault.

    The row says whether the run ends by itself, how many scripts ran, and what is left behind.
    """
    rows = []
    for fault in FAULTS:
        cells = []
        for agent in AGENTS:
            with ScriptedEndpoint(faulty_script(fault, *TASKS[name])) as endpoint:
                if agent == "aide":
                    account, _ = run_aide(python, task, 3, endpoint, 240)
                else:
                    account, _ = run_gome(task, 3, endpoint, 240)
            end = "had to be killed" if account.code is None else f"exit {account.code}"
            cells.append(f"{end}, {account.n_steps} scripts run, {account.survivors} left behind")
        rows.append(f"| {fault} | {cells[0]} | {cells[1]} |")
    return rows


def faulty_script(fault: str, target: str, classify: bool) -> Callable[[str, int], str]:
    """Return the endpoint's scripts with the fault in the second one."""

    def script_of(agent: str, number: int) -> str:
        if number != 1:
            return nth_script(agent, number, target, classify)
        rest = nth_script(agent, 3, target, classify) if fault == "forks" else ""
        return FAULTS[fault] + rest

    return script_of


def account_rows(name: str, accounts: dict[str, AgentAccount]) -> list[str]:
    """Return one row of the table per agent."""

    def cell(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    rows = []
    for agent, account in accounts.items():
        overhead_ms = None if account.overhead_s is None else account.overhead_s * 1e3
        cells = [
            name,
            agent,
            str(account.n_steps),
            cell(overhead_ms, ".0f"),
            f"{account.peak_bytes / 1e6:.0f}",
            cell(account.script_s, ".2f"),
            f"{account.wall_s:.1f}",
            cell(account.private, ".5g"),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--aide", type=Path, required=True, help="Python of the environment that has aideml"
    )
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma separated")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="gome-peers-"))
    python = options.aide.absolute()
    rows: list[str] = []
    names = options.tasks.split(",")
    for name in names:
        suites.write_suite_task(name, root / name)
        rows += account_rows(name, run_agents(python, root / name, name, options.steps))
        print("\n".join(rows[-len(AGENTS) :]), flush=True)
    fault_rows = run_fault_checks(python, root / names[0], names[0])
    text = comparison_page(rows, fault_rows, options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "aide.md").write_text(text)
    print(text)
    shutil.rmtree(root)


def comparison_page(rows: list[str], fault_rows: list[str], options: argparse.Namespace) -> str:
    """Return docs/results/aide.md."""
    command = f"python -m evals.peers.compare --aide PYTHON --tasks {options.tasks}"
    return "\n".join(
        [
            "# Beside AIDE, with the same scripted endpoint\n",
            ABOUT,
            "| task | agent | scripts run | overhead per step, ms | memory, MB "
            "| a script, s | wall, s | private score |",
            "|---" * 8 + "|",
            *rows,
            "\n## A faulty second script\n",
            "| fault | Gome | AIDE |",
            "|---|---|---|",
            *fault_rows,
            "\n"
            + provenance_note(f"{command} --steps {options.steps}")
            + "*AIDE: aideml 0.2.2.*\n",
        ]
    )


if __name__ == "__main__":
    main()
