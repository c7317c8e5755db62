"""Warm interpreters: per trace one sandbox whose interpreter has done the imports already (`zygote.py`); off unless asked for.

Only in bubblewrap, never for scripts that speak of a GPU. Any end but the script's own exit takes the whole sandbox down; the next script
of the trace gets a new one.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.inside.progress import Tell
from sandbox.local import bwrap, plan, procs
from sandbox.local import usage as watch
from sandbox.local.cores import cores
from sandbox.local.gpus import wants_gpu
from sandbox.local.leases import Lease
from sandbox.local.plan import Place
from sandbox.local.running import Drain, Running
from sandbox.local.tiers import Tier
from sandbox.local.users import lease_user
from sandbox.local.watchdog import Seen, judge, watched
from sandbox.protocol import End, Job, SandboxLost

READY_S = 120.0


@dataclass
class Zygote:
    """One warm sandbox. `folder` is its workspace on the host, empty between scripts."""

    running: Running
    control: socket.socket
    folder: Path
    uid: int | None
    lease: Lease | None
    kind: str
    talk: Drain

    def end(self) -> None:
        self.running.kill(sweeps=False)
        self.running.close()
        self.talk.close()
        self.control.close()
        if self.lease:
            self.lease.free()
        shutil.rmtree(self.folder, ignore_errors=True)


class Warm:
    """The warm sandboxes of a run, by trace."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.zygotes: dict[str, Zygote] = {}
        self.busy: dict[str, asyncio.Lock] = {}

    def takes(self, job: Job) -> bool:
        return bool(job.warm) and not job.limits.gpus and not wants_gpu(job.script)

    async def run(self, job: Job, tell: Tell | None = None) -> Seen:
        """The script in its trace's interpreter; one at a time."""
        async with self.busy.setdefault(job.warm, asyncio.Lock()):
            zygote = await self._ready(job)
            here = job.model_copy(update={"workspace": zygote.folder})
            try:
                with cores(job.limits.cpus) as chosen:
                    seen = await play(zygote, here, chosen, tell)
                if seen.end != "exit" or seen.signal:
                    zygote.running.kill(sweeps=False)
                    await zygote.running.finish()
                move(zygote.folder, job.workspace)
                return seen
            except BaseException:  # a cancelled run, too, must leave nothing behind
                self._drop(job.warm)
                raise

    async def close(self) -> None:
        for name in list(self.zygotes):
            self._drop(name)

    def _drop(self, name: str) -> None:
        if zygote := self.zygotes.pop(name, None):
            zygote.end()

    async def _ready(self, job: Job) -> Zygote:
        """The trace's zygote; a new one where there is none, or where it serves other data or limits."""
        kind = json.dumps(
            [job.inputs, job.limits.model_dump(exclude={"wall_s", "grace_s"}), job.env],
            sort_keys=True,
        )
        found = self.zygotes.get(job.warm)
        if found and found.kind == kind and not found.running.ended.done():
            return found
        self._drop(job.warm)
        zygote = self.zygotes[job.warm] = open_zygote(self.tier, job, kind)
        loop = asyncio.get_running_loop()
        try:
            said = await asyncio.wait_for(loop.sock_recv(zygote.control, 4096), READY_S)
        except (OSError, TimeoutError) as error:
            raise SandboxLost(
                f"the warm interpreter did not start ({error}); switch it off with --set warm_start=false"
            ) from error
        if not said:
            self._drop(job.warm)
            raise SandboxLost(
                f"the warm interpreter did not start: {zygote.talk.output.text()[-300:]}"
            )
        return zygote


def open_zygote(tier: Tier, job: Job, kind: str) -> Zygote:
    """Starts the sandbox; its interpreter reports on the control socket when it has imported."""
    folder = Path(tempfile.mkdtemp(prefix=f".warm-{job.warm}-", dir=job.workspace.parent))
    folder.chmod(0o755)
    leased = lease_user() if tier.drops and plan.fits_other_user(tier.name, job) else None
    uid = leased[0] if leased else None
    control, inner = socket.socketpair()
    control.setblocking(False)
    (report, writing), (stdout, outer) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    os.close(report)
    here = job.model_copy(update={"workspace": folder, "script": ""})
    plan.lay_out(here, tier.name, uid)
    (folder / "solution.py").unlink()
    place = Place(
        uid=uid, report=writing, mark=f"{os.getpid()}-warm-{job.warm}-{time.monotonic_ns()}"
    )
    made = plan.make(
        tier.name,
        here,
        place,
        plan.python("-s", f"{bwrap.OURS}/{plan.ZYGOTE.name}", str(inner.fileno())),
    )
    running = Running(made, str(folder), (writing, inner.detach()), outer)
    talk = Drain(stdout, watch.Output(64 * 1024), 1 << 30)
    return Zygote(running, control, folder, uid, leased[1] if leased else None, kind, talk)


async def play(zygote: Zygote, job: Job, chosen: list[int], tell: Tell | None) -> Seen:
    """One script, from its order to its report."""
    path = zygote.folder / "solution.py"
    plan.write_new(path, job.script)
    if zygote.uid is not None:
        os.chown(path, zygote.uid, zygote.uid, follow_symlinks=False)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    drain = Drain(
        reading, watch.Output(job.limits.output_bytes), job.limits.output_kill_bytes, tell
    )
    try:
        socket.send_fds(zygote.control, [json.dumps({"cores": chosen}).encode()], [writing])
    except OSError as error:
        drain.close()
        raise SandboxLost(f"the warm interpreter is gone ({error.strerror})") from error
    finally:
        os.close(writing)
    told: dict[str, Any] = {}
    answered = asyncio.ensure_future(answer(zygote, told))
    usage = procs.Usage()
    try:
        end = await watched(zygote.running.pid, answered, drain, job, usage, None)
        await drain.rest()
        usage.cpu_s = (
            0 if told else usage.cpu_s
        )  # the sampled figure holds the imports and earlier scripts
        return judge(
            end, None if told else -signal.SIGKILL, drain.output, told, usage, None
        )  # untold: it ended its own interpreter
    finally:
        answered.cancel()
        drain.close()


async def answer(zygote: Zygote, told: dict[str, Any]) -> End:
    """Ends with the script, or with the sandbox."""
    with suppress(OSError, ValueError):
        told |= json.loads(
            await asyncio.get_running_loop().sock_recv(zygote.control, 4096) or b"{}"
        )
    return "exit"


def move(source: Path, target: Path) -> None:
    """What the script left, out of the warm sandbox; nothing runs in there any more, and links are moved as links."""
    for name in os.listdir(source):
        if name != "input":
            os.rename(source / name, target / name)
