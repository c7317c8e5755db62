"""The local sandbox: every script a process tree of its own, in bubblewrap or, if the user insists, with the user's own rights."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil

from sandbox import bwrap, watch
from sandbox.collect import collect
from sandbox.probe import packages
from sandbox.protocol import End, Execution, Host, Job, SandboxLost, SandboxUnavailable

LAUNCH = Path(__file__).with_name("launch.py")
ENFORCED = {
    "bubblewrap": ["files", "network", "processes", "memory (watchdog)", "disk (watchdog)", "output", "time"],
    "none": ["memory (watchdog)", "disk (watchdog)", "output", "time"],
}
REMEDY = (
    "scripts would run with your rights, see your keys' files and the network. "
    "Install bubblewrap (`apt install bubblewrap`; in Docker also --security-opt seccomp=unconfined), use --sandbox e2b, "
    "or accept the risk with --isolation none"
)


def make_local(*, isolation: str = "auto", run_dir: Path | None = None) -> Local:
    """The strongest tier that really starts here. Raises SandboxUnavailable with the remedy."""
    if isolation == "none":
        return Local("none", run_dir)
    why = bwrap.why_not()
    if why is None:
        return Local("bubblewrap", run_dir)
    raise SandboxUnavailable(f"no isolation: {why}; {REMEDY}")


class Local:
    """Runs jobs as asyncio subprocesses; must be used from the thread that outlives them (PDEATHSIG is per thread)."""

    def __init__(self, tier: Literal["bubblewrap", "none"], run_dir: Path | None) -> None:
        self.tier: str = tier
        self.pids = run_dir / "pids" if run_dir else None
        if self.pids:
            self.pids.mkdir(parents=True, exist_ok=True)
            reap(self.pids)

    async def probe(self) -> Host:
        cores = os.cpu_count() or 1
        return Host(packages=packages(), cpus=cores, total_cpus=cores)

    async def run(self, job: Job) -> Execution:
        lay_out(job, isolated=self.tier == "bubblewrap")
        began = time.monotonic()
        process = await self._spawn(job)
        usage, output = watch.Usage(), watch.Output(job.limits.output_bytes)
        with self._noted(job.id, process.pid):
            try:
                end = await self._watched(process, job, usage, output)
            finally:
                await kill(process)
        code = process.returncode
        if self.tier == "bubblewrap" and end == "exit" and code == 1 and output.text().startswith("bwrap: "):
            raise SandboxLost(f"bubblewrap could not set up the job: {output.text().splitlines()[0]}")
        files, refused = collect(job.workspace, job.collect)
        number = -code if code is not None and code < 0 else code - 128 if code is not None and code > 128 else None
        return Execution(
            end=end,
            exit_code=code if number is None else None,
            signal=number,
            wall_s=time.monotonic() - began,
            cpu_s=round(usage.cpu_s, 3),
            peak_bytes=usage.peak_bytes,
            output=output.text(),
            output_dropped_bytes=output.dropped,
            files=files,
            refused=refused,
            tier=self.tier,
            enforced=ENFORCED[self.tier],
        )

    async def close(self) -> None:
        """Nothing outlives its job."""

    async def _spawn(self, job: Job) -> asyncio.subprocess.Process:
        limits = job.limits
        inner = [sys.executable, "-I", bwrap.LAUNCHER if self.tier == "bubblewrap" else str(LAUNCH)]
        inner += [str(limits.memory_bytes), str(limits.disk_bytes), str(limits.processes), "solution.py"]
        environment = scrubbed(job)
        command = inner
        if self.tier == "bubblewrap":
            command = [shutil.which("bwrap") or "bwrap", *self._mounts(job, environment), *inner]
            environment = {"PATH": "/usr/bin:/bin"}
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=job.workspace,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    def _mounts(self, job: Job, environment: dict[str, str]) -> list[str]:
        arguments = bwrap.base_arguments(network=job.limits.network, uid=os.getuid() or bwrap.NOBODY)
        arguments += ["--ro-bind", str(LAUNCH), bwrap.LAUNCHER, "--bind", str(job.workspace), bwrap.WORKSPACE]
        for name, source in job.inputs.items():
            arguments += ["--ro-bind", source, f"{bwrap.WORKSPACE}/input/{name}"]
        arguments += bwrap.sealed() + ["--chdir", bwrap.WORKSPACE]
        for name, value in environment.items():
            arguments += ["--setenv", name, value]
        return arguments

    async def _watched(self, process: asyncio.subprocess.Process, job: Job, usage: watch.Usage, output: watch.Output) -> End:
        """The first of: the script's exit, a limit, the time."""
        assert process.stdout
        limits = job.limits
        watchers: list[asyncio.Task[End | None]] = [
            asyncio.create_task(watch.drain(process.stdout, output, limits.output_kill_bytes)),
            asyncio.create_task(watch.memory(process.pid, usage, limits.memory_bytes)),
            asyncio.create_task(watch.disk(job.workspace, limits.disk_bytes)),
        ]
        reader, waiter = watchers[0], asyncio.create_task(exited(process))
        pending: set[asyncio.Task[End | None]] = {*watchers, waiter}
        deadline = time.monotonic() + limits.wall_s
        end: End | None = None
        try:
            while end is None and pending:
                done, pending = await asyncio.wait(
                    pending, timeout=max(0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    end = "timeout"
                    await terminate(process, limits.grace_s)
                end = end or next((task.result() for task in done if task.result() is not None), None)
            usage.sample(process.pid)
            await kill(process)
            with suppress(TimeoutError):  # what was printed last; a leftover child may hold the pipe open
                await asyncio.wait_for(asyncio.shield(reader), 0.5)
            return end or "exit"
        finally:
            for task in (*watchers, waiter):
                task.cancel()
            await asyncio.gather(*watchers, waiter, return_exceptions=True)

    @contextmanager
    def _noted(self, job: str, pid: int) -> Iterator[None]:
        """A pid file while the job runs, so that a later session can end what this one left."""
        if self.pids is None:
            yield
            return
        note = self.pids / job
        with suppress(psutil.Error):
            note.write_text(f"{pid} {psutil.Process(pid).create_time()}")
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def lay_out(job: Job, *, isolated: bool) -> None:
    """Script and input/ in a fresh workspace."""
    (job.workspace / "solution.py").write_text(job.script)
    folder = job.workspace / "input"
    folder.mkdir()
    for name, source in job.inputs.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise SandboxLost(f"input name {name!r} is not a plain file name")
        if not isolated:
            os.symlink(source, folder / name)
        elif os.path.isdir(source):
            (folder / name).mkdir()
        else:
            (folder / name).touch()


def scrubbed(job: Job) -> dict[str, str]:
    """A small environment of our own: no key of the agent's reaches a script; thread pools get the job's cores."""
    threads = str(job.limits.cpus)
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
    names = {f"{pool}_NUM_THREADS": threads for pool in pools} | {"POLARS_MAX_THREADS": threads, "LOKY_MAX_CPU_COUNT": threads}
    fixed = {
        "PATH": os.path.dirname(sys.executable) + ":/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
    }
    return fixed | names | job.env


async def exited(process: asyncio.subprocess.Process) -> End:
    await process.wait()
    return "exit"


async def terminate(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """SIGTERM to the script's tree, then time to end by itself."""
    if process.returncode is not None:
        return
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.send_signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), grace_s)


async def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the process group and every descendant. In bubblewrap the PID namespace ends with its first process."""
    descendants: list[psutil.Process] = []
    with suppress(psutil.Error):
        descendants = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in descendants:
        with suppress(psutil.Error):
            child.kill()
    if process.returncode is None:
        await process.wait()


def reap(folder: Path) -> None:
    """Ends what a killed session left running."""
    for note in folder.iterdir():
        with suppress(OSError, ValueError, psutil.Error):
            pid, created = note.read_text().split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(created)) < 0.01:
                for child in [*process.children(recursive=True), process]:
                    with suppress(psutil.Error):
                        child.kill()
        note.unlink(missing_ok=True)
