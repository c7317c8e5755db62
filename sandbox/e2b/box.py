"""One E2B sandbox: opened, filled with what is missing, a script run in it, its results fetched, killed."""

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
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from sandbox.e2b.errors import PAUSES_S, again, gone, mapped
from sandbox.e2b.files import Files
from sandbox.inside.output import readable
from sandbox.inside.progress import EVERY_S, LastLine, Tell
from sandbox.local.plan import scrubbed
from sandbox.parcels import Parcel
from sandbox.protocol import End, Execution, Host, Job, SandboxLost, SandboxUnavailable

INSIDE = (
    "__init__",
    "inside/__init__",
    "inside/collect",
    "inside/output",
    "inside/progress",
    "inside/probe",
    "inside/remote",
)  # our modules that run in the sandbox
HOME = "${GOME_HOME:-/opt/gome}"  # a template may put the work elsewhere
LEASE_S = 600  # a sandbox whose owner was killed ends by itself after this
SLACK_S = 120  # beyond the script's own limit, before its supervisor counts as lost
ENFORCED = [
    "files (micro-VM)",
    "processes",
    "memory (watchdog)",
    "disk (watchdog)",
    "output",
    "time",
]
NOTICE = "Sandbox: E2B micro-VMs (nothing of this machine is within reach of a script; running sandboxes cost money)."


@dataclass(frozen=True)
class Plan:
    """What kind of sandbox a run rents."""

    run: str
    template: str | None
    usd_per_s: float
    life_s: int
    network: bool = False


class Report(BaseModel):
    """result.json, as far as it can be trusted: typed and bounded."""

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
    """A running sandbox of this run. `home` is our folder in it."""

    def __init__(self, vm: Any, plan: Plan) -> None:
        self.vm, self.plan, self.home = vm, plan, ""
        self.host = Host(packages={}, cpus=1)
        self.files = Files(vm.files)
        self.sound = True  # nothing in it could be tampered with so far
        self.began = self.charged = time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds until the plan's limit of one sandbox's life."""
        return self.plan.life_s - (time.monotonic() - self.began)

    def charge(self) -> float:
        """Dollars since the last charge; what a sandbox costs while it waits is on the next script's bill."""
        now = time.monotonic()
        seconds, self.charged = now - self.charged, now
        return seconds * self.plan.usd_per_s

    async def renew(self) -> None:
        await self.vm.set_timeout(max(1, int(min(LEASE_S, self.left_s))))

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """The lease is renewed while a script runs; a renewal that fails is made up for by the next one."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(LEASE_S / 3)
                with (
                    suppress(SandboxLost, SandboxUnavailable),
                    mapped("the lease could not be renewed"),
                ):
                    await self.renew()

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def furnish(self) -> None:
        """Our modules go in; the sandbox tells what it has."""
        home = await self._ask(f'printf %s "{HOME}"')
        self.home = home.rstrip("/")
        source = Path(__file__).parents[1]
        texts = {f"sandbox/{name}.py": (source / f"{name}.py").read_bytes() for name in INSIDE}
        await self.files.write({f"{self.home}/inside/{name}": text for name, text in texts.items()})
        found = json.loads(await self._ask(f"exec {self._python('survey')}"))
        found_packages = {str(name): str(version) for name, version in found["packages"].items()}
        self.host = Host(
            packages=found_packages,
            cpus=int(found["cpus"]),
            enforced=enforced(self.plan.network),
            notice=NOTICE,
        )

    async def run(self, job: Job, parcels: list[Parcel], tell: Tell | None = None) -> Execution:
        """Raises SandboxLost when the sandbox broke; then it must be killed."""
        folder = f"{self.home}/jobs/{uuid.uuid4().hex}"
        async with self.kept_alive():
            with mapped("data could not be sent to the E2B sandbox"):
                for parcel in parcels:
                    await self.files.send(parcel, f"{self.home}/data")
                await self.files.write(
                    {f"{folder}/spec.json": json.dumps(spec_of(job, parcels)).encode()}
                )
            limit_s = job.limits.wall_s + job.limits.grace_s + SLACK_S
            with mapped("the E2B sandbox broke while the script ran"):
                async with asyncio.timeout(limit_s):
                    await self._supervised(folder, limit_s, tell)
            with mapped("results could not be fetched from the E2B sandbox"):
                report, output = await self._results(folder)
                files = await self.files.fetch(job, f"{folder}/work", report.files)
                with suppress(Exception):  # its disk is the only loss
                    await self.vm.files.remove(folder, user="root")
        self.sound = report.unprivileged
        return self._execution(job, report, output, files)

    async def kill(self) -> None:
        """At most a few seconds: what is not killed now ends with its lease."""
        with (
            suppress(SandboxLost, SandboxUnavailable, TimeoutError),
            mapped("the sandbox could not be killed"),
        ):
            async with asyncio.timeout(20):
                await again(self.vm.kill)

    def _python(self, argument: str) -> str:
        code = f"import sys; sys.path.insert(0, {self.home + '/inside'!r}); from sandbox.inside.remote import main; main()"
        return f"python3 -I -c {shlex.quote(code)} {shlex.quote(argument)}"

    async def _ask(self, command: str) -> str:
        done = await again(lambda: self.vm.commands.run(command, user="root", timeout=60))
        return str(done.stdout)

    async def _supervised(self, folder: str, limit_s: float, tell: Tell | None) -> None:
        """Until our supervisor in the sandbox has ended. A dropped stream changes nothing in there: we connect again."""
        command = f"exec {self._python(folder)} 2>{folder}/supervisor.log"
        heard = hears(tell) if tell else None
        handle = await self.vm.commands.run(
            command,
            background=True,
            user="root",
            timeout=limit_s,
            retain_output=False,
            on_stdout=heard,
        )
        pauses = iter(PAUSES_S)
        while True:
            try:
                await handle.wait()
                return
            except Exception as error:
                if ended(error):
                    return
                pause = next(pauses, None)
                if pause is None or gone(error):
                    raise
            await asyncio.sleep(pause)
            connected = await self._connect(handle.pid, limit_s, heard)
            if connected is None:
                return
            handle = connected

    async def _connect(self, pid: int, limit_s: float, heard: Tell | None) -> Any:
        """The running supervisor's stream again; None when it has ended meanwhile."""
        from e2b.exceptions import NotFoundException, SandboxNotFoundException

        try:
            return await again(
                lambda: self.vm.commands.connect(
                    pid, timeout=limit_s, retain_output=False, on_stdout=heard
                ),
                tries=6,
            )
        except SandboxNotFoundException:
            raise
        except NotFoundException:
            return None

    async def _results(self, folder: str) -> tuple[Report, bytes]:
        from e2b.exceptions import NotFoundException

        try:
            text = bytes(await self.files.read(f"{folder}/result.json"))
            return Report.model_validate_json(text), bytes(
                await self.files.read(f"{folder}/output.log")
            )
        except NotFoundException:
            log = readable(bytes(await self.files.read(f"{folder}/supervisor.log")))[-300:]
            raise SandboxLost(
                f"the E2B sandbox's supervisor ended without a result ({log.strip() or 'it said nothing'})"
            ) from None
        except ValidationError as error:
            raise SandboxLost(
                f"the E2B sandbox's result is malformed ({error.error_count()} fields)"
            ) from error

    def _execution(
        self, job: Job, report: Report, output: bytes, files: dict[str, str]
    ) -> Execution:
        return Execution(
            end=report.end,
            exit_code=report.code if report.code >= 0 else None,
            signal=-report.code if report.code < 0 else None,
            wall_s=report.wall_s,
            cpu_s=report.cpu_s,
            peak_bytes=report.peak_bytes,
            output=readable(output[: 2 * job.limits.output_bytes]),
            output_dropped_bytes=report.dropped,
            files=files,
            refused={
                name: why[:200] for name, why in report.refused.items() if name in job.collect
            },
            tier="e2b",
            where=self.vm.sandbox_id,
            enforced=enforced(job.limits.network)
            + (["unprivileged user"] if report.unprivileged else []),
            usd=self.charge(),
        )


def enforced(network: bool) -> list[str]:
    return ENFORCED + ([] if network else ["network"])


def hears(tell: Tell) -> Tell:
    """The supervisor tells a script's progress on its stdout; what comes over the wire is bounded once more."""
    line = LastLine(EVERY_S / 2)  # it comes at that pace already

    def heard(data: str) -> None:
        line.add(data.encode())
        if text := line.due():
            tell(text)

    return heard


def ended(error: Exception) -> bool:
    """The command came to its end with another exit code than 0: what happened stands in its result."""
    from e2b import CommandExitException

    return isinstance(error, CommandExitException)


def spec_of(job: Job, parcels: list[Parcel]) -> dict[str, Any]:
    return {
        "script": job.script,
        "limits": job.limits.model_dump(),
        "env": scrubbed(job),
        "inputs": [(parcel.name, parcel.sha256, parcel.is_folder) for parcel in parcels],
        "collect": job.collect,
    }


async def open_box(plan: Plan) -> Box:
    """A new sandbox, furnished. Raises SandboxUnavailable with the remedy."""
    from e2b_code_interpreter import AsyncSandbox

    key = uuid.uuid4().hex  # a repeated request makes no second sandbox

    async def create() -> Any:
        return await AsyncSandbox.create(
            template=plan.template,
            timeout=min(LEASE_S, plan.life_s),
            metadata={"gome-run": plan.run},
            allow_internet_access=plan.network,
            idempotency_key=key,
        )

    with mapped("no E2B sandbox could be started", starting=True):
        box = Box(await again(create, tries=8), plan)
    try:
        with mapped(
            f"the E2B template {plan.template or 'code-interpreter-v1'} cannot be used",
            starting=True,
        ):
            await box.furnish()
    except BaseException:
        await box.kill()
        raise
    return box
