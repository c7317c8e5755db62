"""A started job seen from the event loop: its end, its output, its keeper's report.  One thread, no helper that could expire.

The kernel sends the parent-death signal when the *thread* that started a process ends, so jobs are started from the loop's own thread.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

from sandbox.inside.progress import LastLine, Tell
from sandbox.local import procs
from sandbox.local.plan import Plan
from sandbox.local.usage import Output
from sandbox.protocol import End

CHUNK = (
    2**20
)  # of the pipe and of a read: on a busy machine each turn between writer and reader costs a scheduler's round
MAX_REPORT = 4096


class Drain:
    """The read end of a job's output: bounded in memory, ended by a flood; `tell` hears its last line now and then."""

    def __init__(
        self, handle: int, output: Output, flood_bytes: int, tell: Tell | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handle, self.output, self.flood_bytes = handle, output, flood_bytes
        self.flooded: asyncio.Future[End] = self.loop.create_future()
        self.drained: asyncio.Future[None] = self.loop.create_future()
        self.tell, self.line = tell, LastLine()
        self.later: asyncio.TimerHandle | None = None
        with suppress(OSError):  # a user may hold so many pipe pages and no more
            fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, CHUNK)
        os.set_blocking(handle, False)
        self.loop.add_reader(handle, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.handle, CHUNK)
        except BlockingIOError:
            return
        self.output.add(data)
        if self.output.n_total > self.flood_bytes and not self.flooded.done():
            self.flooded.set_result("output")
        if self.tell:
            self.line.add(data)
            self._offer()
        if not data:
            self.close()

    def _offer(self) -> None:
        """Tells the last line, or waits until one may be told."""
        if self.tell and self.line.wait_s == 0 and (text := self.line.due()):
            self.tell(text)
        elif (wait_s := self.line.wait_s) and self.later is None:
            self.later = self.loop.call_later(wait_s, self._waited)

    def _waited(self) -> None:
        self.later = None
        self._offer()

    def close(self) -> None:
        if self.later:
            self.later.cancel()
        if not self.drained.done():
            self.loop.remove_reader(self.handle)
            os.close(self.handle)
            self.drained.set_result(None)

    async def rest(self) -> None:
        """What was printed last; a leftover may hold the pipe open."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.drained), 0.5)


class Running:
    """Popen and its pidfd, watched by the running loop; output goes to `outer`, which is closed here."""

    def __init__(self, plan: Plan, cwd: str, pass_fds: tuple[int, ...], outer: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[End] = self.loop.create_future()
        try:
            self.process = subprocess.Popen(
                plan.command,
                cwd=cwd,
                env=plan.environment,
                stdin=subprocess.DEVNULL,
                stdout=outer,
                stderr=outer,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            for handle in (outer, *pass_fds):
                os.close(handle)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.loop.add_reader(self.pidfd, self._exited)

    def _exited(self) -> None:
        self.loop.remove_reader(self.pidfd)
        self.process.wait()
        if not self.ended.done():
            self.ended.set_result("exit")

    def kill(self, *, sweeps: bool) -> None:
        """Begins the end of the tree; does not wait. A keeper without a PID namespace is asked to sweep, for it knows all that it adopted."""
        if self.process.returncode is not None:
            return
        if sweeps:
            procs.signal_all(procs.tree(self.pid)[1:], signal.SIGSTOP)
            self.process.send_signal(signal.SIGHUP)
        else:
            self.process.kill()

    async def finish(self) -> None:
        """Waits for the end that `kill` began."""
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), 5)
        except TimeoutError:
            procs.kill_tree(self.pid)
            await self.ended

    def close(self) -> None:
        """Frees the descriptor; what still lives is killed."""
        if self.process.returncode is None:
            procs.kill_tree(self.pid)
            self.process.wait()
        self.loop.remove_reader(self.pidfd)
        os.close(self.pidfd)


async def terminate(pid: int, ended: asyncio.Future[End], grace_s: float) -> None:
    """SIGTERM to everything below; the keeper ignores it. Then time to end by itself."""
    procs.signal_all(procs.tree(pid)[1:], signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), grace_s)


def read_report(handle: int) -> dict[str, Any]:
    """What the keeper wrote: {"status", "cpu_s"} or {"error"}; empty when it was killed before."""
    os.set_blocking(handle, False)
    with suppress(BlockingIOError, ValueError):
        value = json.loads(os.read(handle, MAX_REPORT).split(b"\n")[0] or b"{}")
        if isinstance(value, dict):
            return value
    return {}
