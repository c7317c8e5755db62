"""One E2B sandbox: open it, send what it lacks, run scripts, fetch their results, kill it."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, Field, ValidationError

from sandbox.e2b.errors import PAUSES_S, is_gone, retry_transient, translated_errors
from sandbox.e2b.files import BoxFiles
from sandbox.inside.collect import is_named
from sandbox.inside.output import decode_output
from sandbox.inside.progress import EVERY_S, LastLine, ProgressCallback
from sandbox.inside.specs import MachineInfo, RemoteLimits, RemoteSpec
from sandbox.local.plan import script_environment
from sandbox.parcels import Parcel
from sandbox.protocol import (
    End,
    Execution,
    Host,
    Job,
    SandboxLostError,
    SandboxUnavailableError,
    Survey,
)

# our modules that run in the sandbox, below sandbox/
INSIDE_MODULES = (
    "__init__",
    "inside/__init__",
    "inside/collect",
    "inside/walk",
    "inside/held",
    "inside/output",
    "inside/progress",
    "inside/probe",
    "inside/remote",
)
HOME = "${GOME_HOME:-/opt/gome}"  # a template may set another folder
DEFAULT_TEMPLATE = "code-interpreter-v1"
LEASE_S = 600  # a sandbox whose owner was killed ends by itself after this
SLACK_S = 120  # beyond the script's own limit, before its supervisor counts as lost
ENFORCED_LIMITS = [
    "files (micro-VM)",
    "processes",
    "memory (watchdog)",
    "disk (watchdog)",
    "output",
    "time",
]
NOTICE = (
    "Sandbox: E2B micro-VMs (nothing of this machine is within reach of a script; running "
    "sandboxes cost money)."
)


@dataclass(frozen=True)
class RentalTerms:
    """The kind of sandbox that a run rents; `life_s` is the plan's limit of one sandbox's life."""

    run: str
    template: str | None
    usd_per_s: float
    life_s: int
    network: bool = False
    python: str = ""  # of the scripts, as the template names it


class SupervisorReport(BaseModel):
    """result.json (`sandbox.inside.specs.RemoteResult`), validated because the script ran there."""

    end: End
    code: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    dropped: int = Field(ge=0)
    files: dict[str, tuple[int, str]]
    refused: dict[str, str]
    unprivileged: bool


class Box:
    """A running sandbox of this run; `home` is our folder in it.

    `is_sound` is false once a script may have tampered with the sandbox.
    """

    def __init__(self, vm: Any, terms: RentalTerms) -> None:
        self.vm, self.terms, self.home = vm, terms, ""
        self.host = Host(packages={}, cpus=1)
        self.files = BoxFiles(vm.files)
        self.is_sound = True
        self.began = self.charged = time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds until the limit of one sandbox's life."""
        return self.terms.life_s - (time.monotonic() - self.began)

    def charge(self) -> float:
        """Return the dollars since the last charge, so that the next script pays for waiting."""
        now = time.monotonic()
        seconds, self.charged = now - self.charged, now
        return seconds * self.terms.usd_per_s

    async def renew(self) -> None:
        """Extend the lease."""
        await self.vm.set_timeout(max(1, int(min(LEASE_S, self.left_s))))

    @asynccontextmanager
    async def _lease_renewed(self) -> AsyncIterator[None]:
        """Renew the lease while a script runs; a failed renewal is retried with the next one."""

        async def keep_renewing() -> None:
            while True:
                await asyncio.sleep(LEASE_S / 3)
                with (
                    suppress(SandboxLostError, SandboxUnavailableError),
                    translated_errors("the lease could not be renewed"),
                ):
                    await self.renew()

        renewal = asyncio.create_task(keep_renewing())
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])

    async def set_up(self) -> None:
        """Send our modules and ask the sandbox for its packages and cores."""
        home = await self._ask(f'printf %s "{HOME}"')
        self.home = home.rstrip("/")
        source = Path(__file__).parents[1]
        texts = {
            f"sandbox/{name}.py": (source / f"{name}.py").read_bytes() for name in INSIDE_MODULES
        }
        await self.files.write({f"{self.home}/inside/{name}": text for name, text in texts.items()})
        command = self._python("survey", self.terms.python)
        machine: MachineInfo = json.loads(await self._ask(f"exec {command}"))
        if not machine["survey"]:
            raise SandboxUnavailableError(
                f"no script can run by {self.terms.python or 'python3'} in the E2B template "
                f"{self.terms.template or DEFAULT_TEMPLATE} ({machine['problem']}); --python names "
                "an interpreter of the template"
            )
        self.host = Host(
            **Survey.model_validate(machine["survey"]).model_dump(),
            interpreter=self.terms.python,
            cpus=int(machine["cpus"]),
            memory_bytes=int(machine["memory_bytes"]) * 9 // 10,  # the rest is the system's
            enforced=enforced_limits(self.terms.network),
            notice=NOTICE,
        )

    async def run(
        self, job: Job, parcels: list[Parcel], on_progress: ProgressCallback | None = None
    ) -> Execution:
        """Run one script. Raises SandboxLostError; then the sandbox must be killed."""
        folder = f"{self.home}/jobs/{uuid.uuid4().hex}"
        async with self._lease_renewed():
            with translated_errors("data could not be sent to the E2B sandbox"):
                for parcel in parcels:
                    await self.files.send(parcel, f"{self.home}/data")
                spec = json.dumps(job_spec(job, parcels, self.terms.python)).encode()
                await self.files.write({f"{folder}/spec.json": spec})
            limit_s = job.limits.wall_s + job.limits.grace_s + SLACK_S
            with translated_errors("the E2B sandbox broke while the script ran"):
                async with asyncio.timeout(limit_s):
                    await self._supervise(folder, limit_s, on_progress)
            with translated_errors("results could not be fetched from the E2B sandbox"):
                report, output = await self._read_results(folder)
                files = await self.files.fetch(job, f"{folder}/work", report.files)
                with suppress(Exception):  # the folder only uses the sandbox's disk
                    await self.vm.files.remove(folder, user="root")
        self.is_sound = report.unprivileged
        return self._execution(job, report, output, files)

    async def kill(self) -> None:
        """Kill the sandbox, in a few seconds at most; if that fails, it ends with its lease."""
        with (
            suppress(SandboxLostError, SandboxUnavailableError, TimeoutError),
            translated_errors("the sandbox could not be killed"),
        ):
            async with asyncio.timeout(20):
                await retry_transient(self.vm.kill)

    def _python(self, *arguments: str) -> str:
        code = (
            f"import sys; sys.path.insert(0, {self.home + '/inside'!r}); "
            "from sandbox.inside.remote import main; main()"
        )
        return f"python3 -I -c {shlex.quote(code)} {shlex.join(arguments)}"

    async def _ask(self, command: str) -> str:
        result = await retry_transient(
            lambda: self.vm.commands.run(command, user="root", timeout=60)
        )
        return str(result.stdout)

    async def _supervise(
        self, folder: str, limit_s: float, on_progress: ProgressCallback | None
    ) -> None:
        """Start our supervisor in the sandbox and wait until it has ended.

        A dropped stream changes nothing in the sandbox: we connect again.
        """
        command = f"exec {self._python(folder)} 2>{folder}/supervisor.log"
        listener = progress_listener(on_progress) if on_progress else None
        handle = await self.vm.commands.run(
            command,
            background=True,
            user="root",
            timeout=limit_s,
            retain_output=False,
            on_stdout=listener,
        )
        pauses = iter(PAUSES_S)
        while True:
            try:
                await handle.wait()
                return
            except Exception as error:
                if is_command_end(error):
                    return
                pause = next(pauses, None)
                if pause is None or is_gone(error):
                    raise
            await asyncio.sleep(pause)
            handle = await self._connect(handle.pid, limit_s, listener)
            if handle is None:
                return

    async def _connect(self, pid: int, limit_s: float, listener: ProgressCallback | None) -> Any:
        """Connect to the running supervisor's stream again; None if it has ended meanwhile."""
        from e2b.exceptions import NotFoundException, SandboxNotFoundException

        try:
            return await retry_transient(
                lambda: self.vm.commands.connect(
                    pid, timeout=limit_s, retain_output=False, on_stdout=listener
                ),
                tries=6,
            )
        except SandboxNotFoundException:
            raise
        except NotFoundException:
            return None

    async def _read_results(self, folder: str) -> tuple[SupervisorReport, bytes]:
        from e2b.exceptions import NotFoundException

        try:
            text = bytes(await self.files.read(f"{folder}/result.json"))
            report = SupervisorReport.model_validate_json(text)
            return report, bytes(await self.files.read(f"{folder}/output.log"))
        except NotFoundException:
            log = decode_output(bytes(await self.files.read(f"{folder}/supervisor.log")))
            last_words = log[-300:].strip() or "its log is empty"
            raise SandboxLostError(
                f"the E2B sandbox's supervisor ended without a result ({last_words})"
            ) from None
        except ValidationError as error:
            raise SandboxLostError(
                f"the E2B sandbox's result is malformed ({error.error_count()} fields)"
            ) from error

    def _execution(
        self, job: Job, report: SupervisorReport, output: bytes, files: dict[str, str]
    ) -> Execution:
        return Execution(
            end=report.end,
            exit_code=report.code if report.code >= 0 else None,
            signal=-report.code if report.code < 0 else None,
            wall_s=report.wall_s,
            cpu_s=report.cpu_s,
            peak_bytes=report.peak_bytes,
            output=decode_output(output[: 2 * job.limits.output_bytes]),
            output_dropped_bytes=report.dropped,
            files=files,
            refused={
                name: reason[:200]
                for name, reason in report.refused.items()
                if is_named(job.collect, name)
            },
            tier="e2b",
            where=self.vm.sandbox_id,
            enforced=enforced_limits(job.limits.network, report.unprivileged),
            usd=self.charge(),
        )


def enforced_limits(network: bool, unprivileged: bool = False) -> list[str]:
    """Return what is enforced on a script, in words."""
    user = ["unprivileged user"] if unprivileged else []
    return [*ENFORCED_LIMITS, *([] if network else ["network"]), *user]


def progress_listener(on_progress: ProgressCallback) -> ProgressCallback:
    """Return a callback for the supervisor's stdout, which repeats a script's progress.

    What comes over the wire is bounded once more.
    """
    line = LastLine(EVERY_S / 2)  # the supervisor itself sends a line every EVERY_S

    def listen(data: str) -> None:
        line.add(data.encode())
        if text := line.take():
            on_progress(text)

    return listen


def is_command_end(error: Exception) -> bool:
    """Whether the command itself ended, with an exit code other than 0; its result says why."""
    from e2b import CommandExitException

    return isinstance(error, CommandExitException)


def job_spec(job: Job, parcels: list[Parcel], python: str) -> RemoteSpec:
    """Return a job's spec.json."""
    return {
        "script": job.script,
        "python": python,
        "limits": cast(RemoteLimits, job.limits.model_dump()),
        "env": script_environment(job),
        "inputs": [(parcel.name, parcel.sha256, parcel.is_folder) for parcel in parcels],
        "collect": job.collect,
    }


async def open_box(terms: RentalTerms) -> Box:
    """Start a sandbox and set it up. Raises SandboxUnavailableError with the remedy."""
    from e2b_code_interpreter import AsyncSandbox

    key = uuid.uuid4().hex  # a repeated request starts no second sandbox

    async def create() -> Any:
        return await AsyncSandbox.create(
            template=terms.template,
            timeout=min(LEASE_S, terms.life_s),
            metadata={"gome-run": terms.run},
            allow_internet_access=terms.network,
            idempotency_key=key,
        )

    with translated_errors("no E2B sandbox could be started", starting=True):
        box = Box(await retry_transient(create, tries=8), terms)
    try:
        with translated_errors(
            f"the E2B template {terms.template or DEFAULT_TEMPLATE} cannot be used",
            starting=True,
        ):
            await box.set_up()
    except BaseException:
        await box.kill()
        raise
    return box
