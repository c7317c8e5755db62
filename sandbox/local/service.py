"""A confined program that answers requests, one JSON line each way, and is not trusted.

It runs in the tier that scripts run in, with limits on time, memory and disk. Whoever owns it
checks every answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.inside.walk import measure_folder, remove_folder
from sandbox.local import plan, procs
from sandbox.local.leases import Lease
from sandbox.local.plan import Placement
from sandbox.local.tiers import Tier, choose_tier
from sandbox.local.users import lease_user
from sandbox.protocol import Job, Limits

MAX_REPLY_BYTES = 64 * 2**20
READ_BYTES = 2**20
LOOK_EVERY_S = 0.05
DISK_EVERY_S = 0.5
DATA = "data"
"""Name below input/ of the folder through which the owner passes files."""


class ServiceError(Exception):
    """The program ended, broke a limit, or answered what is no answer; it is gone."""


class ConfinedService:
    """A program in the sandbox, started at once.

    Files that its owner writes into `data` appear to it below `input/data`, read-only. Calls are
    not thread-safe; the thread that made it must outlive it.
    """

    def __init__(
        self, script: str, inputs: Mapping[str, str], limits: Limits, isolation: str = "auto"
    ) -> None:
        """Start the program.

        Args:
            script: its text, Python.
            inputs: name below input/ -> host path.
            limits: `wall_s` is that of a call.
            isolation: tier, see `choose_tier`.

        Raises:
            SandboxUnavailableError: nothing can be confined here.
        """
        tier = choose_tier(isolation)
        self._folder = Path(tempfile.mkdtemp(prefix="gome-service-"))
        self._folder.chmod(0o755)
        self.data = self._folder / DATA
        self.data.mkdir()
        workspace = self._folder / "work"
        workspace.mkdir()
        self._job = Job(
            id="service",
            script=script,
            workspace=workspace,
            inputs={**inputs, DATA: str(self.data)},
            limits=limits,
        )
        is_root_dropped = tier.drops_root and plan.is_open_to_other_user(tier.name, self._job)
        user = lease_user() if is_root_dropped else None
        self._usage = procs.TreeUsage(plan.N_KEEPERS[tier.name])
        self._n_calls, self._looked = 0, 0.0
        self._process = self._start(tier, user[0] if user else None)
        self._end = weakref.finalize(self, end_service, self._process, self._folder, user)

    def _start(self, tier: Tier, uid: int | None) -> subprocess.Popen[bytes]:
        report_in, report_out = os.pipe2(os.O_CLOEXEC)
        mark = f"{os.getpid()}-service-{time.monotonic_ns()}"
        place = Placement(uid=uid, mark=mark, report=report_out)
        plan.lay_out_workspace(self._job, tier.name, uid)
        launch = plan.make_plan(tier.name, self._job, place)
        try:
            process = subprocess.Popen(
                launch.command,
                env=launch.environment,
                cwd=str(self._job.workspace),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(report_out,),
                start_new_session=True,
            )
        finally:
            os.close(report_out)
            os.close(report_in)
        assert process.stdin
        os.set_blocking(process.stdin.fileno(), False)
        return process

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return self._process.poll() is None

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Return the program's answer to one request, an object with the request's id.

        Raises ServiceError; the program is killed then.
        """
        self._n_calls += 1
        request = {"id": self._n_calls, "call": name, "arguments": arguments}
        deadline = time.monotonic() + self._job.limits.wall_s
        try:
            self._write(json.dumps(request).encode() + b"\n", deadline)
            return self._decode(self._read_line(deadline))
        except BaseException:
            self.close()
            raise

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._process.stdin
        view = memoryview(data)
        while view:
            self._wait(self._process.stdin.fileno(), select.POLLOUT, deadline)
            try:
                view = view[os.write(self._process.stdin.fileno(), view) :]
            except (OSError, ValueError):
                raise ServiceError("it ended") from None

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout
        line = bytearray()
        while not line.endswith(b"\n"):
            if len(line) > MAX_REPLY_BYTES:
                raise ServiceError(f"it answered with more than {MAX_REPLY_BYTES >> 20} MiB")
            self._wait(self._process.stdout.fileno(), select.POLLIN, deadline)
            part = os.read(self._process.stdout.fileno(), READ_BYTES)
            if not part:
                raise ServiceError("it ended without an answer")
            line += part
        return bytes(line)

    def _wait(self, handle: int, event: int, deadline: float) -> None:
        """Wait until a pipe is ready, and watch memory and disk meanwhile."""
        poller = select.poll()
        poller.register(handle, event)
        while not poller.poll(LOOK_EVERY_S * 1000):
            if time.monotonic() > deadline:
                raise ServiceError(f"it took longer than {self._job.limits.wall_s:g} s")
            self._check_use()

    def _check_use(self) -> None:
        limits = self._job.limits
        if self._usage.sample(self._process.pid, limits.memory_bytes):
            raise ServiceError(f"it used more than {limits.memory_bytes / 2**30:.3g} GiB of memory")
        if time.monotonic() - self._looked > DISK_EVERY_S:
            self._looked = time.monotonic()
            use = measure_folder(self._job.workspace, limits.files)
            if use.n_bytes > limits.disk_bytes or use.n_files > limits.files:
                raise ServiceError("it wrote too many or too large files")

    def _decode(self, line: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != self._n_calls:
            raise ServiceError("it answered with a line that is not the reply")
        return reply

    def close(self) -> None:
        """Kill the program and remove its folder; so does the end of this object or process."""
        self._end()


def end_service(
    process: subprocess.Popen[bytes], folder: Path, user: tuple[int, Lease] | None
) -> None:
    """Kill a program, remove its folder and return its user."""
    if process.poll() is None:
        procs.kill_tree(process.pid)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    with contextlib.suppress(OSError):
        remove_folder(folder)
    if user:
        user[1].release()
