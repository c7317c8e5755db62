"""A sandbox without isolation for evals that run thousands of scripts of the expert.

Each script runs in a fork of one helper process that has imported the libraries, which saves the
second that imports take. (multiprocessing's fork server would import this program's main module
again for every script, which costs more than the script.) Nothing is isolated, so it is only for
scripts that the embedded expert wrote, never for a model's. The helper only imports: a process
whose libraries have started threads must not be forked.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, TypedDict

from sandbox.inside.collect import collect_files
from sandbox.inside.probe import find_packages
from sandbox.inside.progress import ProgressCallback
from sandbox.local.plan import IDLE_THREADS
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


class ForkRequest(TypedDict):
    """One line to the helper."""

    workspace: str
    cpu_s: int
    env: dict[str, str]


class ForkReply(TypedDict):
    """How the script ended: exit code, or the signal that killed it."""

    code: int | None
    signal: int | None
    cpu_s: float


class ForkedSandbox:
    """Sandbox backed by one helper process that runs scripts one after the other."""

    tier = "forked"
    own_python = ""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "evals.harness.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | IDLE_THREADS,
        )

    async def probe(self) -> Host:
        """Return what scripts can use: this environment's packages and one core."""
        return Host(packages=find_packages(), cpus=1, total_cpus=1, enforced=["CPU time"])

    async def run(self, job: Job, tell: ProgressCallback | None = None) -> Execution:
        """Run the job in a fork; only CPU time is limited and measured."""
        (job.workspace / "solution.py").write_text(job.script)
        (job.workspace / "input").mkdir()
        for name, path in job.inputs.items():
            link = job.workspace / "input" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        request: ForkRequest = {
            "workspace": str(job.workspace),
            "cpu_s": int(job.limits.wall_s),
            "env": job.env,
        }
        async with self._turn:
            reply = await asyncio.to_thread(self._ask_helper, request)
        files, refused = collect_files(job.workspace, job.collect)
        return Execution(
            end="timeout" if reply["signal"] else "exit",
            exit_code=reply["code"],
            signal=reply["signal"],
            wall_s=reply["cpu_s"],  # on a shared machine only CPU time is comparable
            cpu_s=reply["cpu_s"],
            output=(job.workspace / "log").read_text(errors="replace")[-20_000:],
            files=files,
            refused=refused,
            tier=self.tier,
        )

    def _ask_helper(self, request: ForkRequest) -> ForkReply:
        assert self._helper.stdin and self._helper.stdout
        self._helper.stdin.write(json.dumps(request).encode() + b"\n")
        self._helper.stdin.flush()
        reply: ForkReply = json.loads(self._helper.stdout.readline())
        return reply

    async def close(self) -> None:
        """End the helper."""
        assert self._helper.stdin and self._helper.stdout
        self._helper.stdin.close()
        await asyncio.to_thread(self._helper.wait, 30)
        self._helper.stdout.close()


def run_forked_script(request: ForkRequest) -> None:
    """Run the workspace's solution.py in this process, which is a fresh fork."""
    log = os.open(Path(request["workspace"]) / "log", os.O_WRONLY | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.chdir(request["workspace"])
    os.environ.update(request["env"])
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"], request["cpu_s"] + 1))
    runpy.run_path("solution.py", run_name="__main__")


def serve_forks() -> None:
    """Run the helper: fork for every request line on stdin and answer with one line on stdout."""
    for name in LIBRARIES:
        __import__(name)
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request: ForkRequest = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_and_exit(request)
        _, status, used = os.wait4(pid, 0)
        killed = os.WIFSIGNALED(status)
        reply: ForkReply = {
            "code": None if killed else os.WEXITSTATUS(status),
            "signal": os.WTERMSIG(status) if killed else None,
            "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        }
        out.write(json.dumps(reply) + "\n")
        out.flush()


def run_and_exit(request: ForkRequest) -> NoReturn:
    """Run the script, print its error if it fails, and end the fork with an exit code."""
    code = 1
    try:
        run_forked_script(request)
        code = 0
    except BaseException:  # noqa: BLE001  whatever the script raises must not reach the helper's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve_forks()
