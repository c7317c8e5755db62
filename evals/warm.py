"""Runs an eval's scripts as forks of a process that has imported pandas, scikit-learn and LightGBM: a second saved per script.

Without isolation: for the embedded expert's own scripts only, never for a model's. The parent only imports (a library that has started
its threads must not be forked), and OMP_NUM_THREADS is set before it does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import runpy
import sys
import time
from pathlib import Path

from sandbox.probe import packages
from sandbox.progress import Tell
from sandbox.protocol import End, Execution, Host, Job

PRELOAD = [
    "pandas",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.svm",
    "sklearn.pipeline",
    "sklearn.metrics",
    "lightgbm",
]


class Warm:
    """A sandbox of the evals; see the module."""

    tier = "none (forked)"

    def __init__(self) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)

    async def probe(self) -> Host:
        return Host(packages=packages(), cpus=1, total_cpus=os.cpu_count() or 1)

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        lay_out(job)
        began = time.monotonic()
        process = self.context.Process(target=child, args=(str(job.workspace), dict(job.env)), daemon=True)
        process.start()
        try:
            while process.is_alive() and time.monotonic() - began < job.limits.wall_s:
                await asyncio.sleep(0.01)
            end: End = "timeout" if process.is_alive() else "exit"
        finally:
            process.kill()
            process.join()
        log = (job.workspace / "log.txt").read_text(errors="replace") if (job.workspace / "log.txt").exists() else ""
        files = {name: str(job.workspace / name) for name in job.collect if (job.workspace / name).is_file()}
        code = process.exitcode if end == "exit" else None
        return Execution(end=end, exit_code=code, wall_s=time.monotonic() - began, output=log[-20_000:], files=files, tier=self.tier)

    async def close(self) -> None:
        """The fork server ends with this process."""


def lay_out(job: Job) -> None:
    (job.workspace / "solution.py").write_text(job.script)
    (job.workspace / "input").mkdir()
    for name, source in job.inputs.items():
        os.symlink(Path(source).resolve(), job.workspace / "input" / name)


def child(workspace: str, env: dict[str, str]) -> None:
    """In the fork: the script as __main__, its output in log.txt."""
    os.chdir(workspace)
    os.environ.update(env)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["solution.py"]
    runpy.run_path("solution.py", run_name="__main__")
