"""The local sandbox: every script a process tree of its own, isolated as strongly as this machine allows (docs/sandbox.md)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sandbox.inside.collect import collect
from sandbox.inside.probe import packages
from sandbox.inside.progress import Tell
from sandbox.local import cgroup, plan, procs
from sandbox.local import usage as watch
from sandbox.local.bytecode import compile_packages
from sandbox.local.cores import cores
from sandbox.local.gpus import Gpu, devices, lease, nodes
from sandbox.local.plan import Place
from sandbox.local.running import Drain, Running, read_report
from sandbox.local.tiers import Tier, choose
from sandbox.local.users import lease_user
from sandbox.local.warm import Warm
from sandbox.local.watchdog import Seen, judge, watched
from sandbox.protocol import Execution, Host, Job


def make_local(
    *,
    isolation: str = "auto",
    network: bool = False,
    gpus: str = "none",
    warm: bool = False,
    run_dir: Path | None = None,
) -> Local:
    """The strongest tier that really starts here. Raises SandboxUnavailable with the remedy."""
    return Local(choose(isolation, network=network), run_dir, devices(gpus), warm=warm)


class Local:
    """Runs jobs from the thread of the event loop, which must outlive them."""

    def __init__(
        self,
        chosen: Tier,
        run_dir: Path | None,
        found: list[Gpu] | None = None,
        *,
        warm: bool = False,
    ) -> None:
        self.chosen = chosen
        self.gpus = found or []
        self.warm = Warm(chosen) if warm and chosen.name == "bubblewrap" else None
        self.tier: str = chosen.name
        self.notes = run_dir / "pids" if run_dir else None
        cgroup.reap()
        if self.notes:
            self.notes.mkdir(parents=True, exist_ok=True)
            reap(self.notes)

    async def probe(self) -> Host:
        found = packages()
        await asyncio.to_thread(compile_packages, found)
        cores = len(os.sched_getaffinity(0))
        return Host(
            packages=found,
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
        return self.chosen.sentence + (
            f" GPUs: {names}; one per running script that speaks of a GPU." if names else ""
        )

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        if self.warm and self.warm.takes(job):
            seen, gpu_ids = await self.warm.run(job, tell), list[str]()
        else:
            seen, gpu_ids = await self._cold(job, tell)
        files, refused = collect(job.workspace, job.collect)
        return Execution(
            end=seen.end,
            exit_code=seen.exit_code,
            signal=seen.signal,
            wall_s=seen.wall_s,
            cpu_s=round(seen.cpu_s, 3),
            peak_bytes=seen.peak_bytes,
            output=seen.output.text(),
            output_dropped_bytes=seen.output.dropped,
            files=files,
            refused=refused,
            tier=self.tier,
            enforced=self.chosen.enforced,
            gpu_ids=gpu_ids,
        )

    async def _cold(self, job: Job, tell: Tell | None) -> tuple[Seen, list[str]]:
        async with self._placed(job) as place:
            plan.lay_out(job, self.chosen.name, place.uid)
            return await self._execute(job, place, tell), place.gpu_ids

    async def close(self) -> None:
        """Ends the warm interpreters; nothing else outlives its job."""
        if self.warm:
            await self.warm.close()

    @asynccontextmanager
    async def _placed(self, job: Job) -> AsyncIterator[Place]:
        """The job's GPUs (it waits for them), its cores and, run by root, a user of its own."""
        async with lease(self.gpus, job.limits.gpus) as gpus:
            with self._placed_here(job, gpus) as place:
                yield place

    @contextmanager
    def _placed_here(self, job: Job, gpus: list[Gpu]) -> Iterator[Place]:
        leased = (
            lease_user()
            if self.chosen.drops and plan.fits_other_user(self.chosen.name, job)
            else None
        )
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

    async def _execute(self, job: Job, place: Place, tell: Tell | None) -> Seen:
        """From start to the last process's end, whatever happens."""
        group = cgroup.make(place.mark, job.limits.memory_bytes, job.limits.processes)
        (report, writing), (stdout, outer) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        made = plan.make(self.chosen.name, job, replace(place, report=writing))
        drain = Drain(
            stdout, watch.Output(job.limits.output_bytes), job.limits.output_kill_bytes, tell
        )
        sweeps, usage = self.chosen.name != "bubblewrap", procs.Usage()
        running = None
        try:
            running = Running(
                group.enter(made) if group else made, str(job.workspace), (writing,), outer
            )
            with noted(self.notes, job.id, running.pid, place.mark):
                try:
                    end = await watched(running.pid, running.ended, drain, job, usage, group)
                finally:
                    running.kill(sweeps=sweeps)
                await running.finish()
            await drain.rest()
            told = read_report(report)
            if not told and sweeps:
                await asyncio.to_thread(end_marked, place.mark)  # the script ended its own keeper
            return judge(end, running.process.returncode, drain.output, told, usage, group)
        finally:
            if running:
                running.close()
            drain.close()
            os.close(report)
            if group:
                await asyncio.to_thread(group.close)


@contextmanager
def noted(folder: Path | None, job: str, pid: int, mark: str) -> Iterator[None]:
    """A note while the job runs, so that a later session can end what this one left."""
    if folder is None:
        yield
        return
    note = folder / job
    note.write_text(f"{pid} {procs.started(pid)} {mark}")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


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
