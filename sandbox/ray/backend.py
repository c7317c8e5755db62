"""The Ray sandbox: the local sandbox as a task on a cluster, with cores, GPUs and memory that Ray hands out.

A task is tried again only when its worker or its node is lost; a script's own failure is a result. Cancelling first asks the task, which
ends the script's process tree, then kills the worker.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from typing import Any

from sandbox.inside.progress import Tell
from sandbox.parcels import Parcel, Shelf
from sandbox.protocol import Execution, Host, Job, SandboxLost, SandboxUnavailable
from sandbox.ray.node import code_version, run_job, survey

CHUNK_BYTES = 64 * 2**20
TRIES_AGAIN = 2  # after the loss of a worker or a node
CANCEL_GRACE_S = 5
LOOK_S, PATIENCE_S = (
    15,
    120,
)  # how often, how long a job may find no node that is large enough (a cluster may be growing)


def make_ray(
    *, address: str | None, isolation: str, network: bool = False, gpus: bool = False
) -> Ray:
    """Raises SandboxUnavailable when the extra is missing. The cluster is reached at first use."""
    if importlib.util.find_spec("ray") is None:
        raise SandboxUnavailable(
            "the ray sandbox needs the extra `ray`: uv sync --extra ray, or pip install 'gome[ray]'"
        )
    return Ray(
        address or os.environ.get("RAY_ADDRESS") or "auto", isolation, network=network, gpus=gpus
    )


class Ray:
    """Jobs of one run on a cluster."""

    tier = "ray"

    def __init__(
        self, address: str, isolation: str, *, network: bool = False, gpus: bool = False
    ) -> None:
        self.address, self.isolation, self.network, self.gpus = address, isolation, network, gpus
        self.shelf = Shelf()
        self.parts: dict[str, list[Any]] = {}
        self._sending = asyncio.Lock()
        self._connecting: asyncio.Task[bool] | None = None

    async def probe(self) -> Host:
        await self._connect()
        task = self._task(survey, Job(id="probe", script="", workspace=Path()))
        answer = await self._outcome(
            task.remote(code_version(), self.isolation, self.network), None
        )
        self.tier = f"ray/{answer['tier']}"
        there = await asyncio.to_thread(nodes)
        cores, gpus = amounts(there, "CPU"), amounts(there, "GPU")
        return Host(
            packages=answer["packages"],
            cpus=max(cores, default=1),
            total_cpus=sum(cores),
            gpus=["GPU of the Ray cluster"] * sum(gpus) if self.gpus else [],
            enforced=answer["enforced"],
            notice=f"{answer['sentence']} On a Ray cluster of {len(there)} nodes with {sum(cores)} cores and {sum(gpus)} GPUs.",
        )

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        await self._connect()
        parcels = await asyncio.to_thread(self.shelf.parcels, job.inputs)
        async with self._sending:
            for parcel in parcels:
                if parcel.sha256 not in self.parts:
                    self.parts[parcel.sha256] = await asyncio.to_thread(put, parcel)
        given = job.model_dump(exclude={"workspace", "inputs"})
        inputs = [(parcel.name, parcel.sha256, parcel.is_folder) for parcel in parcels]
        chunks = {parcel.sha256: self.parts[parcel.sha256] for parcel in parcels}
        task = self._task(run_job, job).remote(
            code_version(), self.isolation, given, inputs, chunks
        )
        return await asyncio.to_thread(delivered, job, await self._outcome(task, job))

    async def close(self) -> None:
        """Leaves the cluster, if it was joined here."""
        self.parts.clear()
        self.shelf.close()
        if self._connecting and await self._connecting:
            import ray

            await asyncio.to_thread(ray.shutdown)

    async def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.create_task(asyncio.to_thread(join, self.address))
        await asyncio.shield(self._connecting)

    def _task(self, function: Any, job: Job) -> Any:
        import ray

        limits = job.limits
        return ray.remote(function).options(
            num_cpus=limits.cpus,
            num_gpus=limits.gpus,
            memory=limits.memory_bytes if job.script else None,
            max_retries=TRIES_AGAIN,
            retry_exceptions=False,
            scheduling_strategy="SPREAD",
            name=f"gome {job.id}",
        )

    async def _outcome(self, reference: Any, job: Job | None) -> dict[str, Any]:
        """The task's answer. Raises SandboxLost, SandboxUnavailable; a cancelled caller cancels the task."""
        from ray.exceptions import RayError

        future = asyncio.wrap_future(reference.future())
        ended = False
        try:
            await self._fitting(future, job)
            answer: dict[str, Any] = future.result()
            ended = True
        except RayError as error:
            ended = True
            raise SandboxLost(f"the Ray task broke ({one_line(error)})") from error
        finally:
            if not ended:
                await asyncio.shield(asyncio.to_thread(cancel, reference))
        if "unavailable" in answer:
            raise SandboxUnavailable(answer["unavailable"])
        if "lost" in answer:
            raise SandboxLost(answer["lost"])
        return answer

    async def _fitting(self, future: asyncio.Future[Any], job: Job | None) -> None:
        """Waits for the task; gives up when for long no node is large enough for it."""
        missing_s = 0
        while not (await asyncio.wait([future], timeout=LOOK_S))[0]:
            missing_s = 0 if await asyncio.to_thread(fits, job) else missing_s + LOOK_S
            if missing_s > PATIENCE_S:
                raise SandboxUnavailable(
                    f"no node of the Ray cluster offers {wanted(job)}; lower --set run_cpus, run_memory_bytes or --gpus, or add a node"
                )


def join(address: str) -> bool:
    """True when this call joined the cluster; a connection that the program made before is used as it is."""
    import ray

    if ray.is_initialized():
        return False
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
            namespace="gome",
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise SandboxUnavailable(
            f"no Ray cluster answers at {address} ({one_line(error)}); start one with `ray start --head`, or name it with --ray-address host:6379"
        ) from error
    keep_quiet()
    return True


def keep_quiet() -> None:
    """Ray prints what it hears of dying workers to stdout, where `--json` writes events; such a task is tried again anyway."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def put(parcel: Parcel) -> list[Any]:
    """A parcel into the object store, in parts."""
    import ray

    with parcel.path.open("rb") as file:
        return [ray.put(data) for data in iter(lambda: file.read(CHUNK_BYTES), b"")]


def cancel(reference: Any) -> None:
    """Asks first: then the sandbox ends the script's whole tree. Force ends the worker, and with it what was isolated."""
    import ray
    from ray.exceptions import RayError

    ray.cancel(reference, force=False)
    try:
        ray.get(reference, timeout=CANCEL_GRACE_S)
    except RayError:  # cancelled, or too slow (GetTimeoutError)
        ray.cancel(reference, force=True)


def nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def amounts(there: list[dict[str, Any]], name: str) -> list[int]:
    return [int(node["Resources"].get(name, 0)) for node in there]


def fits(job: Job | None) -> bool:
    """Some node has all of what the job asks for, busy or not."""
    return any(
        all(node["Resources"].get(name, 0) >= amount for name, amount in needs(job).items())
        for node in nodes()
    )


def needs(job: Job | None) -> dict[str, float]:
    if job is None:
        return {"CPU": 1}
    return {"CPU": job.limits.cpus, "GPU": job.limits.gpus, "memory": job.limits.memory_bytes}


def wanted(job: Job | None) -> str:
    asked = needs(job)
    gpus = f", {asked['GPU']:g} GPUs" if asked.get("GPU") else ""
    return f"{asked['CPU']:g} cores{gpus}" + (
        f" and {asked['memory'] / 2**30:.1f} GiB" if "memory" in asked else ""
    )


def delivered(job: Job, answer: dict[str, Any]) -> Execution:
    """The node's account, with its files in the job's workspace here."""
    files = {}
    for name in job.collect:
        if name in answer["files"]:
            path = job.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(answer["files"][name])
            files[name] = str(path)
    execution = Execution.model_validate(answer["execution"])
    return execution.model_copy(update={"files": files, "tier": f"ray/{execution.tier}"})


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
