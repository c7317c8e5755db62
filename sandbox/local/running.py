"""A running job seen from the event loop: its end, its output, its keeper's report.

The kernel sends the parent-death signal when the *thread* that started a process ends, so jobs are
started from the loop's own thread and not from a helper's.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import cast

from sandbox.inside.output import Output
from sandbox.inside.progress import LastLine, ProgressCallback
from sandbox.inside.specs import KeeperReport
from sandbox.local import procs
from sandbox.local.plan import LaunchPlan
from sandbox.protocol import End

# size of the pipe and of a read: on a busy machine each turn between writer and reader waits for
# the scheduler
CHUNK_BYTES = 2**20
MAX_REPORT_BYTES = 4096


class OutputDrain:
    """Reads a job's output into bounded memory.

    `closed` is set at the end of the output, `flooded` when it exceeds `flood_bytes`.
    `on_progress` receives the last line at most every few seconds.
    """

    def __init__(
        self,
        handle: int,
        output: Output,
        flood_bytes: int,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handle, self.output, self.flood_bytes = handle, output, flood_bytes
        self.flooded: asyncio.Future[End] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.on_progress, self.line = on_progress, LastLine()
        self.timer: asyncio.TimerHandle | None = None
        with suppress(OSError):  # the number of pipe pages per user is limited
            fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
        os.set_blocking(handle, False)
        self.loop.add_reader(handle, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.handle, CHUNK_BYTES)
        except BlockingIOError:
            return
        self.output.add(data)
        if self.output.n_total > self.flood_bytes and not self.flooded.done():
            self.flooded.set_result("output")
        if self.on_progress:
            self.line.add(data)
            self._send_line()
        if not data:
            self.close()

    def _send_line(self) -> None:
        """Send the last line, or set a timer for when one may be sent."""
        if self.on_progress and self.line.wait_s == 0 and (text := self.line.take()):
            self.on_progress(text)
        elif (wait_s := self.line.wait_s) and self.timer is None:
            self.timer = self.loop.call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        self.timer = None
        self._send_line()

    def close(self) -> None:
        """Stop reading and close the pipe; harmless when repeated."""
        if self.timer:
            self.timer.cancel()
        if not self.closed.done():
            self.loop.remove_reader(self.handle)
            os.close(self.handle)
            self.closed.set_result(None)

    async def wait_closed(self) -> None:
        """Wait for the last output, half a second at most: a leftover may hold the pipe open."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(self.closed)


class RunningJob:
    """Starts a process and watches it by its pidfd.

    The process inherits `pass_fds` and writes its output to `output`; both are closed here.
    """

    def __init__(self, plan: LaunchPlan, cwd: str, pass_fds: tuple[int, ...], output: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[End] = self.loop.create_future()
        try:
            self.process = subprocess.Popen(
                plan.command,
                cwd=cwd,
                env=plan.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            for handle in (output, *pass_fds):
                os.close(handle)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.loop.add_reader(self.pidfd, self._on_exit)

    def _on_exit(self) -> None:
        self.loop.remove_reader(self.pidfd)
        self.process.wait()
        if not self.ended.done():
            self.ended.set_result("exit")

    def kill(self, *, sweeps: bool) -> None:
        """Begin to kill the tree, without waiting.

        A keeper without a PID namespace (`sweeps`) is told to do it: it knows what it adopted.
        """
        if self.process.returncode is not None:
            return
        if sweeps:
            procs.signal_all(procs.tree_pids(self.pid)[1:], signal.SIGSTOP)
            self.process.send_signal(signal.SIGHUP)
        else:
            self.process.kill()

    async def finish(self) -> None:
        """Wait for the end that `kill` began."""
        try:
            async with asyncio.timeout(5):
                await asyncio.shield(self.ended)
        except TimeoutError:
            procs.kill_tree(self.pid)
            await self.ended

    def close(self) -> None:
        """Close the pidfd; kill the tree if it still runs."""
        if self.process.returncode is None:
            procs.kill_tree(self.pid)
            self.process.wait()
        self.loop.remove_reader(self.pidfd)
        os.close(self.pidfd)


async def terminate_tree(pid: int, ended: asyncio.Future[End], grace_s: float) -> None:
    """Send SIGTERM to everything below the keeper and give it `grace_s` to end by itself."""
    procs.signal_all(procs.tree_pids(pid)[1:], signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await asyncio.shield(ended)


def read_report(handle: int) -> KeeperReport:
    """Read the keeper's report; empty if it was killed before it wrote one."""
    os.set_blocking(handle, False)
    with suppress(BlockingIOError, ValueError):
        value = json.loads(os.read(handle, MAX_REPORT_BYTES).split(b"\n")[0] or b"{}")
        if isinstance(value, dict):
            return cast(KeeperReport, value)
    return {}
