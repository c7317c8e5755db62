"""A sandbox for evals that run thousands of scripts of the expert: each in a fork of one process that has its libraries loaded.

A fork saves the second of imports (multiprocessing's fork server would import this program's main module anew for every script, which costs
more than the script). It isolates nothing, so it is for scripts that our own expert wrote, never for a model's. The parent only imports:
a library that has started its threads must not be forked.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.inside.probe import packages
from sandbox.inside.progress import Tell
from sandbox.protocol import Execution, Host, Job

LIBRARIES = (
    "pandas",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.svm",
    "sklearn.neighbors",
    "lightgbm",
)


class Forked:
    """One helper process; scripts run one after the other."""

    tier = "forked"

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "evals.harness.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    async def probe(self) -> Host:
        return Host(packages=packages(), cpus=1, total_cpus=1, enforced=["CPU time"])

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        (job.workspace / "solution.py").write_text(job.script)
        (job.workspace / "input").mkdir()
        for name, path in job.inputs.items():
            (job.workspace / "input" / name).symlink_to(path)
        request = {"workspace": str(job.workspace), "cpu_s": int(job.limits.wall_s), "env": job.env}
        async with self._turn:
            done = await asyncio.to_thread(self._ask, request)
        files = {
            name: str(job.workspace / name)
            for name in job.collect
            if (job.workspace / name).is_file()
        }
        end: Any = "timeout" if done["signal"] else "exit"
        return Execution(
            end=end,
            exit_code=done["code"],
            signal=done["signal"],
            wall_s=done["cpu_s"],  # of a shared machine only the CPU time means something
            cpu_s=done["cpu_s"],
            output=(job.workspace / "log").read_text(errors="replace")[-20_000:],
            files=files,
            tier=self.tier,
        )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._helper.stdin and self._helper.stdout
        self._helper.stdin.write(json.dumps(request).encode() + b"\n")
        self._helper.stdin.flush()
        answer: dict[str, Any] = json.loads(self._helper.stdout.readline())
        return answer

    async def close(self) -> None:
        assert self._helper.stdin
        self._helper.stdin.close()
        await asyncio.to_thread(self._helper.wait, 30)


def child(request: dict[str, Any]) -> None:
    log = os.open(Path(request["workspace"]) / "log", os.O_WRONLY | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.chdir(request["workspace"])
    os.environ.update(request["env"])
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"], request["cpu_s"] + 1))
    runpy.run_path("solution.py", run_name="__main__")


def serve() -> None:
    for name in LIBRARIES:
        __import__(name)
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(request)
                code = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status, used = os.wait4(pid, 0)
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = None if signalled else os.WEXITSTATUS(status)
        cpu_s = round(used.ru_utime + used.ru_stime, 3)
        out.write(
            json.dumps(
                {
                    "code": code,
                    "signal": signalled,
                    "cpu_s": cpu_s,
                    "wall_s": round(time.monotonic() - began, 3),
                }
            )
            + "\n"
        )
        out.flush()


if __name__ == "__main__":
    serve()
