"""The local sandbox: each script in its own process tree, isolated as this machine allows.

See docs/sandbox.md for the tiers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sandbox.env.registry import resolve_python
from sandbox.inside.collect import collect_files
from sandbox.inside.output import Output
from sandbox.inside.progress import ProgressCallback
from sandbox.local import cgroup, plan, procs
from sandbox.local.bytecode import compile_packages
from sandbox.local.cores import lease_cores
from sandbox.local.gpus import Gpu, device_files, lease_gpus, select_gpus
from sandbox.local.interpreter import find_interpreter
from sandbox.local.plan import Placement
from sandbox.local.running import OutputDrain, RunningJob, read_report
from sandbox.local.survey import survey_interpreter
from sandbox.local.tiers import Tier, choose_tier
from sandbox.local.users import lease_user, remove_files_of
from sandbox.local.watchdog import JobResult, interpret_end, watch_job
from sandbox.protocol import Execution, Host, Job

FREE_SHARE = 0.9  # of the free memory; the rest is the harness's own


def create_local_sandbox(
    *,
    isolation: str = "auto",
    network: bool = False,
    gpus: str = "none",
    run_dir: Path | None = None,
    python: str | None = None,
) -> LocalSandbox:
    """Create a sandbox in the strongest tier that starts here.

    Args:
        isolation: tier, or auto.
        network: whether scripts reach the network.
        gpus: which GPUs scripts may lease.
        run_dir: folder of the run.
        python: interpreter of the scripts, as the setting names it; None: Gome's own.

    Raises:
        SandboxUnavailableError: no tier starts, the interpreter cannot be used, or a wanted GPU is
            missing.
    """
    path = find_interpreter(resolve_python(python)).path if python else ""
    tier = choose_tier(isolation, network=network, python=path)
    return LocalSandbox(tier, run_dir, select_gpus(gpus), path)


class LocalSandbox:
    """Runs jobs from the thread of the event loop, which must outlive them.

    `run_dir/pids` stores a note per running job; the notes of a killed session are cleaned up.
    """

    def __init__(
        self,
        isolation: Tier,
        run_dir: Path | None,
        gpus: list[Gpu] | None = None,
        python: str = "",
    ) -> None:
        self.isolation = isolation
        self.gpus = gpus or []
        self.own_python = python  # path of the scripts' interpreter; empty: Gome's own
        self.tier: str = isolation.name
        self.notes = run_dir / "pids" if run_dir else None
        cgroup.remove_stale_groups()
        if self.notes:
            self.notes.mkdir(parents=True, exist_ok=True)
            kill_leftover_jobs(self.notes)

    async def probe(self) -> Host:
        """Describe this machine and, as seen in the sandbox, the scripts' Python.

        Compiles the packages that have no bytecode yet.
        """
        python = await asyncio.to_thread(find_interpreter, self.own_python)
        survey = await survey_interpreter(self, python)
        await asyncio.to_thread(compile_packages, survey.packages, python)
        n_cores = len(os.sched_getaffinity(0))
        return Host(
            **survey.model_dump(),
            interpreter=python.path,
            cpus=n_cores,
            total_cpus=n_cores,
            memory_bytes=usable_memory_bytes(),
            total_memory_bytes=usable_memory_bytes(),
            gpus=[gpu.title for gpu in self.gpus],
            enforced=self.isolation.enforced,
            notice=self.notice + (f" Scripts run by {python.path}." if self.own_python else ""),
        )

    @property
    def notice(self) -> str:
        """One sentence for the console: what the tier stops, what it does not, and the GPUs."""
        names = ", ".join(gpu.title for gpu in self.gpus)
        gpus = f" GPUs: {names}; one per running script that mentions a GPU." if names else ""
        return self.isolation.sentence + gpus

    async def run(self, job: Job, on_progress: ProgressCallback | None = None) -> Execution:
        """Run one script and collect its files. Raises SandboxLostError."""
        async with self._place_job(job) as place:
            plan.lay_out_workspace(job, self.isolation.name, place.uid)
            result = await self._execute(job, place, on_progress)
        files, refused = collect_files(job.workspace, job.collect)
        return Execution(
            end=result.end,
            exit_code=result.exit_code,
            signal=result.signal,
            wall_s=result.wall_s,
            cpu_s=round(result.cpu_s, 3),
            peak_bytes=result.peak_bytes,
            output=result.output.text(),
            output_dropped_bytes=result.output.dropped,
            files=files,
            refused=refused,
            tier=self.tier,
            enforced=self.isolation.enforced,
            gpu_ids=place.gpu_ids,
        )

    async def close(self) -> None:
        """Do nothing: no process outlives its job."""

    @asynccontextmanager
    async def _place_job(self, job: Job) -> AsyncIterator[Placement]:
        """Lease the job's GPUs (it waits for them), its cores and, run by root, its own user."""
        async with lease_gpus(self.gpus, job.limits.gpus) as gpus:
            with self._place_on_cores(job, gpus) as place:
                yield place

    @contextmanager
    def _place_on_cores(self, job: Job, gpus: list[Gpu]) -> Iterator[Placement]:
        tier = self.isolation
        is_root_dropped = tier.drops_root and plan.is_open_to_other_user(
            tier.name, job, self.own_python
        )
        user = lease_user() if is_root_dropped else None
        try:
            with lease_cores(job.limits.cpus) as cores:
                yield Placement(
                    cores=cores,
                    uid=user[0] if user else None,
                    devices=device_files(gpus),
                    gpu_ids=[gpu.uuid for gpu in gpus],
                    mark=f"{os.getpid()}-{job.id}-{time.monotonic_ns()}",
                    python=self.own_python,
                )
        finally:
            if user:
                if tier.name == "landlock":  # the other tiers have a /dev/shm of their own
                    remove_files_of(user[0], Path("/dev/shm"))
                user[1].release()

    async def _execute(
        self, job: Job, place: Placement, on_progress: ProgressCallback | None
    ) -> JobResult:
        """Run the job until its last process has ended; nothing survives, whatever happens."""
        limits = job.limits
        sweeps = self.isolation.name != "bubblewrap"
        usage = procs.TreeUsage(plan.N_KEEPERS[self.isolation.name])
        output = Output(limits.output_bytes)
        group = cgroup.make_group(place.mark, limits.memory_bytes, limits.processes)
        handles: list[int] = []  # that nothing else closes yet
        running = drain = None
        try:
            handles += (report := os.pipe2(os.O_CLOEXEC))
            handles += (pipe := os.pipe2(os.O_CLOEXEC))
            has_memory_group = group is not None and group.limits_memory
            place = replace(place, report=report[1], has_memory_group=has_memory_group)
            launch = plan.make_plan(self.isolation.name, job, place)
            launch = group.wrap_plan(launch) if group else launch
            handles = [report[0], report[1], pipe[1]]
            drain = OutputDrain(pipe[0], output, limits.output_kill_bytes, on_progress)
            handles = [report[0]]
            running = RunningJob(launch, str(job.workspace), (report[1],), pipe[1])
            with pid_note(self.notes, job.id, running.pid, place.mark):
                try:
                    end = await watch_job(running.pid, running.ended, drain, job, usage, group)
                finally:
                    running.kill(sweeps=sweeps)
                await running.finish()
            await drain.wait_closed()
            told = read_report(report[0])
            if not told and sweeps:  # the script killed its own keeper
                await asyncio.to_thread(kill_marked, place.mark)
            return interpret_end(end, running.process.returncode, output, told, usage, group)
        finally:
            if running:
                running.close()
            if drain:
                drain.close()
            for handle in handles:
                os.close(handle)
            if group:
                await asyncio.to_thread(group.close)


def usable_memory_bytes() -> int:
    """Return the memory that scripts may use here: most of what is free, half of all at least."""
    import psutil

    total = machine_memory_bytes()
    return int(max(FREE_SHARE * min(psutil.virtual_memory().available, total), total / 2))


def machine_memory_bytes() -> int:
    """Return the memory of this machine, or of the control group that this process is in."""
    import psutil

    total, limit = int(psutil.virtual_memory().total), cgroup.own_memory_limit()
    return min(total, limit) if limit else total


@contextmanager
def pid_note(folder: Path | None, job: str, pid: int, mark: str) -> Iterator[None]:
    """Store a note while the job runs, so that a later session can kill what this one left."""
    if folder is None:
        yield
        return
    note = folder / job
    note.write_text(f"{pid} {procs.start_ticks(pid)} {mark}")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def kill_marked(mark: str) -> None:
    """Kill every process that was started with the mark in its environment."""
    for _ in range(100):
        pids = procs.pids_with_mark(mark)
        for pid in pids:
            procs.kill_tree(pid)
        if not pids:
            return
        time.sleep(0.01)


def kill_leftover_jobs(folder: Path) -> None:
    """Kill what a killed session left running, according to its notes."""
    for note in folder.iterdir():
        with suppress(OSError, ValueError):
            pid, ticks, mark = note.read_text().split()
            if procs.start_ticks(int(pid)) == int(ticks) != 0:
                procs.kill_tree(int(pid))
            kill_marked(mark)
        note.unlink(missing_ok=True)
