"""The E2B sandbox: scripts in rented micro-VMs.

A run has a small pool and uses each sandbox for one script after another: data is uploaded once
per sandbox, not once per script, and the service allows only a few starts a second. Between scripts
everything the last one started is dead and its files are deleted; it ran as an ordinary user, so it
could not touch inputs or supervisor. A sandbox in which anything failed, or in which a script had
root's rights, is killed and not used again.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from sandbox.e2b.box import SLACK_S, Box, RentalTerms, open_box
from sandbox.e2b.errors import KEY_REMEDY, retry_transient, translated_errors
from sandbox.inside.progress import ProgressCallback
from sandbox.parcels import ParcelCache
from sandbox.protocol import Execution, Host, Job, SandboxLostError, SandboxUnavailableError


def create_e2b_sandbox(
    *,
    run_dir: Path | None,
    template: str | None,
    usd_per_hour: float,
    life_s: int,
    network: bool = False,
    python: str | None = None,
) -> E2BSandbox:
    """Create the sandbox; nothing is started yet.

    Raises:
        SandboxUnavailableError: E2B_API_KEY is not set.
    """
    if not os.environ.get("E2B_API_KEY") and not is_debug_mode():
        raise SandboxUnavailableError(f"the e2b sandbox needs a key: {KEY_REMEDY}")
    run = run_dir.name if run_dir else f"pid-{os.getpid()}"
    return E2BSandbox(
        RentalTerms(
            run=run,
            template=template,
            usd_per_s=usd_per_hour / 3600,
            life_s=life_s,
            network=network,
            python=python or "",
        )
    )


def is_debug_mode() -> bool:
    """Whether the SDK's own debug mode is on: one local server, no key, no control plane."""
    return os.environ.get("E2B_DEBUG", "").lower() == "true"


class E2BSandbox:
    """The pool of sandboxes of one run."""

    tier = "e2b"
    own_python = ""  # scripts run elsewhere

    def __init__(self, terms: RentalTerms) -> None:
        self.terms = terms
        self.idle: list[Box] = []
        self.parcel_cache = ParcelCache()
        self._cleanup: asyncio.Task[None] | None = None

    async def probe(self) -> Host:
        """Start the first sandbox and ask it for its packages and cores."""
        box = await self._take_box(0, network=self.terms.network)
        self.idle.append(box)
        return box.host

    async def run(self, job: Job, on_progress: ProgressCallback | None = None) -> Execution:
        """Run one script in an idle or new sandbox of the pool."""
        self._check_limits(job)
        parcels = await asyncio.to_thread(self.parcel_cache.pack, job.inputs)
        box = await self._take_box(needed_s(job), network=job.limits.network)
        is_reusable = False
        try:
            execution = await box.run(job, parcels, on_progress)
            is_reusable = box.is_sound
        finally:
            if not is_reusable:
                await asyncio.shield(box.kill())
        if is_reusable:
            self.idle.append(box)
        return execution

    async def close(self) -> None:
        """Kill the pool, and whatever else of this run may still exist."""
        boxes, self.idle = self.idle, []
        await asyncio.gather(*(box.kill() for box in boxes))
        if self._cleanup:
            self._cleanup.cancel()
            await asyncio.wait([self._cleanup])
            await kill_leftover_boxes(self.terms.run, strict=False)
        self.parcel_cache.close()

    def _check_limits(self, job: Job) -> None:
        if job.limits.gpus:
            raise SandboxUnavailableError(
                "E2B has no GPUs; use --sandbox local or ray, or --gpus none"
            )
        if needed_s(job) > self.terms.life_s:
            raise SandboxUnavailableError(
                f"a script may run {job.limits.wall_s:.0f} s but one E2B sandbox lives "
                f"{self.terms.life_s} s; lower --set run_time_s, or raise --set e2b_life_s if "
                "your plan allows it (86400 on Pro)"
            )

    async def _take_box(self, seconds: float, *, network: bool) -> Box:
        """Return an idle sandbox that lives long enough, else start one.

        The first call kills leftovers of this run.
        """
        if self._cleanup is None:
            self._cleanup = asyncio.create_task(kill_leftover_boxes(self.terms.run))
        await asyncio.shield(self._cleanup)
        while box := next((box for box in self.idle if box.terms.network == network), None):
            self.idle.remove(box)
            if box.left_s > seconds and await is_alive(box):
                return box
            await box.kill()
        return await open_box(replace(self.terms, network=network))


def needed_s(job: Job) -> float:
    """Return how long a sandbox must live to run the job."""
    return job.limits.wall_s + job.limits.grace_s + SLACK_S


async def is_alive(box: Box) -> bool:
    """Renew the lease of an idle sandbox; false if it has ended meanwhile."""
    try:
        with translated_errors("the sandbox has ended"):
            await retry_transient(box.renew)
    except (SandboxLostError, SandboxUnavailableError):
        return False
    return True


async def kill_leftover_boxes(run: str, *, strict: bool = True) -> None:
    """Kill the sandboxes that a killed session of this run left behind.

    Raises:
        SandboxUnavailableError: they cannot be listed, if `strict`.
    """
    if is_debug_mode():
        return
    from e2b.sandbox.sandbox_api import SandboxQuery
    from e2b_code_interpreter import AsyncSandbox

    async def sweep() -> None:
        pages = AsyncSandbox.list(query=SandboxQuery(metadata={"gome-run": run}))
        while pages.has_next:
            for item in await pages.next_items():
                await AsyncSandbox.kill(item.sandbox_id)

    try:
        with translated_errors("E2B's sandboxes cannot be listed", starting=True):
            await retry_transient(sweep)
    except (SandboxLostError, SandboxUnavailableError):
        if strict:
            raise
