"""The local sandbox: every script a process tree of its own, isolated as strongly as this machine allows (docs/sandbox.md)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import cgroup, plan, procs, watch
from sandbox.collect import collect
from sandbox.cores import cores
from sandbox.gpus import Gpu, devices, lease, nodes
from sandbox.plan import Place
from sandbox.probe import packages
from sandbox.protocol import End, Execution, Host, Job, SandboxLost
from sandbox.running import Running
from sandbox.tiers import Tier, choose
from sandbox.users import lease_user


def make_local(*, isolation: str = "auto", network: bool = False, gpus: str = "none", run_dir: Path | None = None) -> Local:
    """The strongest tier that really starts here. Raises SandboxUnavailable with the remedy."""
    return Local(choose(isolation, network=network), run_dir, devices(gpus))


class Local:
    """Runs jobs from the thread of the event loop, which must outlive them."""

    def __init__(self, chosen: Tier, run_dir: Path | None, found: list[Gpu] | None = None) -> None:
        self.chosen = chosen
        self.gpus = found or []
        self.tier: str = chosen.name
        self.notes = run_dir / "pids" if run_dir else None
        cgroup.reap()
        if self.notes:
            self.notes.mkdir(parents=True, exist_ok=True)
            reap(self.notes)

    async def probe(self) -> Host:
        cores = len(os.sched_getaffinity(0))
        return Host(
            packages=packages(),
            cpus=cores,
            total_cpus=cores,
            gpus=[gpu.title for gpu in self.gpus],
            enforced=self.chosen.enforced,
            notice=self.notice,
        )

    @property
    def notice(self) -> str:
        """For the console: what holds, what does not, and the GPUs."""
        names = ", ".join(gpu.title for gpu in self.gpus)
        return self.chosen.sentence + (f" GPUs: {names}; one per running script that speaks of a GPU." if names else "")

    async def run(self, job: Job) -> Execution:
        began = time.monotonic()
        async with self._placed(job) as place:
            plan.lay_out(job, self.chosen.name, place.uid)
            seen = await self._execute(job, place)
        files, refused = collect(job.workspace, job.collect)
        return Execution(
            end=seen.end,
            exit_code=seen.exit_code,
            signal=seen.signal,
            wall_s=time.monotonic() - began,
            cpu_s=round(seen.cpu_s, 3),
            peak_bytes=seen.peak_bytes,
            output=seen.output.text(),
            output_dropped_bytes=seen.output.dropped,
            files=files,
            refused=refused,
            tier=self.tier,
            enforced=self.chosen.enforced,
            gpu_ids=place.gpu_ids,
        )

    async def close(self) -> None:
        """Nothing outlives its job."""

    @asynccontextmanager
    async def _placed(self, job: Job) -> AsyncIterator[Place]:
        """The job's GPUs (it waits for them), its cores and, run by root, a user of its own."""
        async with lease(self.gpus, job.limits.gpus) as gpus:
            with self._placed_here(job, gpus) as place:
                yield place

    @contextmanager
    def _placed_here(self, job: Job, gpus: list[Gpu]) -> Iterator[Place]:
        leased = lease_user() if self.chosen.drops and plan.fits_other_user(self.chosen.name, job) else None
        try:
            with cores(job.limits.cpus) as chosen:
                yield Place(
                    cores=chosen,
                    uid=leased[0] if leased else None,
                    devices=nodes(gpus),
                    gpu_ids=[gpu.uuid for gpu in gpus],
                    mark=f"{os.getpid()}-{job.id}-{time.monotonic_ns()}",
                )
        finally:
            if leased:
                leased[1].free()

    async def _execute(self, job: Job, place: Place) -> Seen:
        """From start to the last process's end, whatever happens."""
        limits = job.limits
        group = cgroup.make(job.id, limits.memory_bytes, limits.processes)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        made = plan.make(self.chosen.name, job, Place(**{**vars(place), "report": writing}))
        command = group.entering(made.command) if group else made.command
        output = watch.Output(limits.output_bytes)
        running = Running(plan.Plan(command, made.environment), str(job.workspace), (reading, writing), output, limits.output_kill_bytes)
        usage = procs.Usage()
        sweeps = self.chosen.name != "bubblewrap"
        try:
            with self._noted(job.id, running.pid, place.mark):
                try:
                    end = await watched(running, job, usage, group)
                finally:
                    running.kill(sweeps=sweeps)
                await running.finish()
            report = running.report()
            if not report and sweeps:
                await asyncio.to_thread(end_marked, place.mark)  # the script ended its own keeper
            return judge(end, running, report, usage, group)
        finally:
            running.close()
            if group:
                await asyncio.to_thread(group.close)

    @contextmanager
    def _noted(self, job: str, pid: int, mark: str) -> Iterator[None]:
        """A note while the job runs, so that a later session can end what this one left."""
        if self.notes is None:
            yield
            return
        note = self.notes / job
        note.write_text(f"{pid} {procs.started(pid)} {mark}")
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


@dataclass(frozen=True)
class Seen:
    """How a job ended, before its files are looked at."""

    end: End
    exit_code: int | None
    signal: int | None
    cpu_s: float
    peak_bytes: int
    output: watch.Output


async def watched(running: Running, job: Job, usage: procs.Usage, group: cgroup.Group | None) -> End:
    """The first of: the script's exit, a limit, the time."""
    limits = job.limits
    killed = group.killed_for_memory if group else lambda: False
    watchers: list[asyncio.Task[End]] = [
        asyncio.create_task(watch.memory(running.pid, usage, limits.memory_bytes, killed)),
        asyncio.create_task(watch.disk(job.workspace, limits.disk_bytes)),
    ]
    try:
        waiting: list[asyncio.Future[End]] = [running.ended, running.flooded, *watchers]
        done, _ = await asyncio.wait(waiting, timeout=limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            await running.terminate(limits.grace_s)
            return "timeout"
        return next((task.result() for task in (running.flooded, *watchers) if task in done), "exit")
    finally:
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def judge(end: End, running: Running, report: dict[str, Any], usage: procs.Usage, group: cgroup.Group | None) -> Seen:
    """Exit code or signal. Raises SandboxLost when the sandbox failed before the script began."""
    if "error" in report:
        raise SandboxLost(f"the sandbox could not set up the job: {report['error']}")
    first = (running.output.text().splitlines() or [""])[0]
    if not report and end == "exit" and running.process.returncode == 1 and first.startswith("bwrap: "):
        raise SandboxLost(f"bubblewrap could not set up the job: {first}")
    if not report and end == "exit" and running.process.returncode == 125 and not first:
        raise SandboxLost("the job could not enter its control group")
    if end == "exit" and group and group.killed_for_memory():
        end = "memory"
    code, number = ending(report.get("status"), running.process.returncode)
    peak = max(usage.peak_bytes, group.peak_bytes() if group else 0)
    return Seen(end, code, number, max(usage.cpu_s, float(report.get("cpu_s") or 0)), peak, running.output)


def ending(status: object, returncode: int | None) -> tuple[int | None, int | None]:
    """(exit code, signal): as the keeper saw it, else as its own end tells."""
    if isinstance(status, int):
        return (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)
    if returncode is None or 0 <= returncode <= 128:
        return returncode, None
    return None, -returncode if returncode < 0 else returncode - 128


def end_marked(mark: str) -> None:
    """Kills every process that was started with the mark in its environment."""
    for _ in range(100):
        left = procs.marked(mark)
        for pid in left:
            procs.kill_tree(pid)
        if not left:
            return
        time.sleep(0.01)


def reap(folder: Path) -> None:
    """Ends what a killed session left running."""
    for note in folder.iterdir():
        with suppress(OSError, ValueError):
            pid, began, mark = note.read_text().split()
            if procs.started(int(pid)) == int(began) != 0:
                procs.kill_tree(int(pid))
            end_marked(mark)
        note.unlink(missing_ok=True)
