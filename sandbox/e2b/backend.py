"""The E2B sandbox: scripts in rented micro-VMs.

A run keeps a small pool and uses a sandbox for one script after another: data goes up once per sandbox, not once per script, and the
service allows only a sandbox or a few a second. Between scripts everything the last one started is dead and its files are gone; it ran
under an ordinary uid, so it could not touch inputs or supervisor. A sandbox in which anything went wrong, or in which a script kept
root's rights, is killed and never used again.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from sandbox.e2b.box import SLACK_S, Box, Plan, open_box
from sandbox.e2b.errors import KEY_REMEDY, again, mapped
from sandbox.inside.progress import Tell
from sandbox.parcels import Shelf
from sandbox.protocol import Execution, Host, Job, SandboxLost, SandboxUnavailable


def make_e2b(
    *,
    run_dir: Path | None,
    template: str | None,
    usd_per_hour: float,
    life_s: int,
    network: bool = False,
) -> E2B:
    """Needs E2B_API_KEY. Nothing is started yet."""
    if not os.environ.get("E2B_API_KEY") and not debugging():
        raise SandboxUnavailable(f"the e2b sandbox needs a key: {KEY_REMEDY}")
    run = run_dir.name if run_dir else f"pid-{os.getpid()}"
    return E2B(
        Plan(
            run=run,
            template=template,
            usd_per_s=usd_per_hour / 3600,
            life_s=life_s,
            network=network,
        )
    )


def debugging() -> bool:
    """The SDK's own debug mode: one local server, no key, no control plane."""
    return os.environ.get("E2B_DEBUG", "").lower() == "true"


class E2B:
    """A pool of sandboxes of one run."""

    tier = "e2b"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.idle: list[Box] = []
        self.shelf = Shelf()
        self._clean: asyncio.Task[None] | None = None

    async def probe(self) -> Host:
        box = await self._take(0, network=self.plan.network)
        self.idle.append(box)
        return box.host

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        self._possible(job)
        parcels = await asyncio.to_thread(self.shelf.parcels, job.inputs)
        box = await self._take(
            job.limits.wall_s + job.limits.grace_s + SLACK_S, network=job.limits.network
        )
        whole = False
        try:
            execution = await box.run(job, parcels, tell)
            whole = box.sound
        finally:
            if not whole:
                await asyncio.shield(box.kill())
        if whole:
            self.idle.append(box)
        return execution

    async def close(self) -> None:
        """Kills the pool, and whatever else of this run may still be there."""
        boxes, self.idle = self.idle, []
        await asyncio.gather(*(box.kill() for box in boxes))
        if self._clean:
            self._clean.cancel()
            await asyncio.wait([self._clean])
            await reap(self.plan.run, strict=False)
        self.shelf.close()

    def _possible(self, job: Job) -> None:
        if job.limits.gpus:
            raise SandboxUnavailable("E2B has no GPUs; use --sandbox local or ray, or --gpus none")
        needed = job.limits.wall_s + job.limits.grace_s + SLACK_S
        if needed > self.plan.life_s:
            raise SandboxUnavailable(
                f"a script may run {job.limits.wall_s:.0f} s but one E2B sandbox lives {self.plan.life_s} s; "
                "lower --set run_time_s, or raise --set e2b_life_s if your plan allows it (86400 on Pro)"
            )

    async def _take(self, needed_s: float, *, network: bool) -> Box:
        """An idle sandbox that lives long enough, else a new one. The first call ends leftovers of this run."""
        if self._clean is None:
            self._clean = asyncio.create_task(reap(self.plan.run))
        await asyncio.shield(self._clean)
        while box := next((box for box in self.idle if box.plan.network == network), None):
            self.idle.remove(box)
            if box.left_s > needed_s and await alive(box):
                return box
            await box.kill()
        return await open_box(replace(self.plan, network=network))


async def alive(box: Box) -> bool:
    """Renews the lease of a sandbox that waited; false when it has ended meanwhile."""
    try:
        with mapped("the sandbox has ended"):
            await again(box.renew)
    except (SandboxLost, SandboxUnavailable):
        return False
    return True


async def reap(run: str, *, strict: bool = True) -> None:
    """Kills sandboxes that a killed session of this run left behind."""
    if debugging():
        return
    from e2b.sandbox.sandbox_api import SandboxQuery
    from e2b_code_interpreter import AsyncSandbox

    async def sweep() -> None:
        pages = AsyncSandbox.list(query=SandboxQuery(metadata={"gome-run": run}))
        while pages.has_next:
            for found in await pages.next_items():
                await AsyncSandbox.kill(found.sandbox_id)

    try:
        with mapped("E2B's sandboxes cannot be listed", starting=True):
            await again(sweep)
    except (SandboxLost, SandboxUnavailable):
        if strict:
            raise
