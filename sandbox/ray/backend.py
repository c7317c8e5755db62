"""The Ray sandbox: the local sandbox as a task on a cluster; Ray assigns cores, GPUs and memory.

Ray retries a task only after the loss of its worker or node; a script's own failure is a result.
Cancelling first asks the task, which kills the script's process tree, then kills the worker.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from typing import Any, TypedDict

from sandbox.inside.collect import wanted_names
from sandbox.inside.progress import ProgressCallback
from sandbox.parcels import Parcel, ParcelCache
from sandbox.protocol import (
    Execution,
    Host,
    Job,
    SandboxLostError,
    SandboxUnavailableError,
    error_line,
)
from sandbox.ray.node import NodeAnswer, code_version, describe_node, run_job
from settings.remedies import install_command

CHUNK_BYTES = 64 * 2**20
MAX_RETRIES = 2  # after the loss of a worker or a node
CANCEL_GRACE_S = 5
LOOK_S = 15  # how often to look for a node that is large enough for a waiting job
PATIENCE_S = 120  # how long there may be none: a cluster may be growing


class RayNode(TypedDict):
    """The fields used of a row of `ray.nodes()`."""

    Alive: bool
    Resources: dict[str, float]


def create_ray_sandbox(
    *,
    address: str | None,
    isolation: str,
    network: bool = False,
    gpus: bool = False,
    python: str | None = None,
) -> RaySandbox:
    """Create the sandbox; the cluster is joined at first use.

    Raises:
        SandboxUnavailableError: the extra `ray` is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise SandboxUnavailableError(
            f"the ray sandbox needs Ray: `{install_command('ray>=2.50')}`"
        )
    return RaySandbox(
        address or os.environ.get("RAY_ADDRESS") or "auto",
        isolation,
        network=network,
        gpus=gpus,
        python=python,
    )


class RaySandbox:
    """Runs the jobs of one run on a cluster.

    `parts` has the references of the parcels in the object store, by hash.
    """

    tier = "ray"
    own_python = ""  # scripts run elsewhere

    def __init__(
        self,
        address: str,
        isolation: str,
        *,
        network: bool = False,
        gpus: bool = False,
        python: str | None = None,
    ) -> None:
        self.address, self.isolation, self.network, self.gpus = address, isolation, network, gpus
        self.python = python  # as the nodes know it
        self.parcel_cache = ParcelCache()
        self.parts: dict[str, list[Any]] = {}
        self._sending = asyncio.Lock()
        self._connecting: asyncio.Task[bool] | None = None

    async def probe(self) -> Host:
        """Describe a node and the cluster's cores and GPUs."""
        await self._connect()
        task = self._remote_function(describe_node, Job(id="probe", script="", workspace=Path()))
        answer = await self._await_answer(
            task.remote(code_version(), self.isolation, self.network, self.python), None
        )
        host = Host.model_validate(answer["host"])
        self.tier = f"ray/{answer['tier']}"
        nodes = await asyncio.to_thread(living_nodes)
        cores, gpus = resource_amounts(nodes, "CPU"), resource_amounts(nodes, "GPU")
        memory = resource_amounts(nodes, "memory")
        changes = {
            "cpus": max(cores, default=1),
            "total_cpus": sum(cores),
            "memory_bytes": max(memory, default=0) or None,
            "total_memory_bytes": sum(memory) or None,
            "gpus": ["GPU of the Ray cluster"] * sum(gpus) if self.gpus else [],
            "notice": (
                f"{host.notice} On a Ray cluster of {len(nodes)} nodes with "
                f"{sum(cores)} cores and {sum(gpus)} GPUs."
            ),
        }
        return host.model_copy(update=changes)

    async def run(self, job: Job, on_progress: ProgressCallback | None = None) -> Execution:
        """Run one script as a task; its output is not seen before its end."""
        await self._connect()
        parcels = await asyncio.to_thread(self.parcel_cache.pack, job.inputs)
        async with self._sending:
            for parcel in parcels:
                if parcel.sha256 not in self.parts:
                    self.parts[parcel.sha256] = await asyncio.to_thread(store_parcel, parcel)
        fields = job.model_dump(exclude={"workspace", "inputs"})
        inputs = [(parcel.name, parcel.sha256, parcel.is_folder) for parcel in parcels]
        chunks = {parcel.sha256: self.parts[parcel.sha256] for parcel in parcels}
        reference = self._remote_function(run_job, job).remote(
            code_version(), self.isolation, self.python, fields, inputs, chunks
        )
        answer = await self._await_answer(reference, job)
        return await asyncio.to_thread(deliver_results, job, answer)

    async def close(self) -> None:
        """Leave the cluster, if it was joined here."""
        self.parts.clear()
        self.parcel_cache.close()
        if self._connecting and await self._connecting:
            import ray

            await asyncio.to_thread(ray.shutdown)

    async def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.create_task(asyncio.to_thread(join_cluster, self.address))
        await asyncio.shield(self._connecting)

    def _remote_function(self, function: Any, job: Job) -> Any:
        import ray

        limits = job.limits
        return ray.remote(function).options(
            num_cpus=limits.cpus,
            num_gpus=limits.gpus,
            memory=limits.memory_bytes if job.script else None,
            max_retries=MAX_RETRIES,
            retry_exceptions=False,
            scheduling_strategy="SPREAD",
            name=f"gome {job.id}",
        )

    async def _await_answer(self, reference: Any, job: Job | None) -> NodeAnswer:
        """Wait for a task's answer; a cancelled caller cancels the task.

        Raises:
            SandboxLostError: the task or the sandbox in it broke.
            SandboxUnavailableError: no node can run the job.
        """
        from ray.exceptions import RayError

        future = asyncio.wrap_future(reference.future())
        is_over = False
        try:
            await self._wait_for_node(future, job)
            answer: NodeAnswer = future.result()
            is_over = True
        except RayError as error:
            is_over = True
            raise SandboxLostError(f"the Ray task broke ({error_line(error)})") from error
        finally:
            if not is_over:
                await asyncio.shield(asyncio.to_thread(cancel_task, reference))
        if "unavailable" in answer:
            raise SandboxUnavailableError(answer["unavailable"])
        if "lost" in answer:
            raise SandboxLostError(answer["lost"])
        return answer

    async def _wait_for_node(self, future: asyncio.Future[Any], job: Job | None) -> None:
        """Wait for the task; give up when no node has been large enough for PATIENCE_S."""
        missing_s = 0
        while not (await asyncio.wait([future], timeout=LOOK_S))[0]:
            missing_s = 0 if await asyncio.to_thread(has_fitting_node, job) else missing_s + LOOK_S
            if missing_s > PATIENCE_S:
                raise SandboxUnavailableError(
                    f"no node of the Ray cluster offers {describe_needs(job)}; "
                    "lower --set run_cpus, run_memory_bytes or --gpus, or add a node"
                )


def join_cluster(address: str) -> bool:
    """Join the cluster; false if this program has joined one already, which is used instead.

    Raises:
        SandboxUnavailableError: no cluster answers at the address.
    """
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
        raise SandboxUnavailableError(
            f"no Ray cluster answers at {address} ({error_line(error)}); "
            "start one with `ray start --head`, or name it with --ray-address host:6379"
        ) from error
    silence_ray()
    return True


def silence_ray() -> None:
    """Stop Ray from printing to stdout, where `--json` writes events.

    It prints news of dying workers, whose tasks it retries anyway.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def store_parcel(parcel: Parcel) -> list[Any]:
    """Put a parcel into the object store, in parts; return their references."""
    import ray

    with parcel.path.open("rb") as file:
        return [ray.put(data) for data in iter(lambda: file.read(CHUNK_BYTES), b"")]


def cancel_task(reference: Any) -> None:
    """Cancel a task.

    Asked first, its sandbox kills the script's whole tree. Force kills the worker, and with it
    every isolated process.
    """
    import ray
    from ray.exceptions import RayError

    ray.cancel(reference, force=False)
    try:
        ray.get(reference, timeout=CANCEL_GRACE_S)
    except RayError:  # cancelled, or too slow (GetTimeoutError)
        ray.cancel(reference, force=True)


def living_nodes() -> list[RayNode]:
    """Return the cluster's living nodes."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def resource_amounts(nodes: list[RayNode], name: str) -> list[int]:
    """Return how much of a resource each node has."""
    return [int(node["Resources"].get(name, 0)) for node in nodes]


def has_fitting_node(job: Job | None) -> bool:
    """Whether some node, busy or not, has all that the job needs."""
    needs = resource_needs(job)
    return any(
        all(node["Resources"].get(name, 0) >= amount for name, amount in needs.items())
        for node in living_nodes()
    )


def resource_needs(job: Job | None) -> dict[str, float]:
    """Return the resources that a job needs, by Ray's names; of a probe, one core."""
    if job is None:
        return {"CPU": 1}
    return {"CPU": job.limits.cpus, "GPU": job.limits.gpus, "memory": job.limits.memory_bytes}


def describe_needs(job: Job | None) -> str:
    """Return the needs of a job in words."""
    needs = resource_needs(job)
    gpus = f", {needs['GPU']:g} GPUs" if needs.get("GPU") else ""
    memory = f" and {needs['memory'] / 2**30:.1f} GiB" if "memory" in needs else ""
    return f"{needs['CPU']:g} cores{gpus}{memory}"


def deliver_results(job: Job, answer: NodeAnswer) -> Execution:
    """Write the node's files into the job's workspace here; return its execution."""
    files = {}
    for name in wanted_names(job.collect, answer["files"]):
        path = job.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(answer["files"][name])
        files[name] = str(path)
    execution = Execution.model_validate(answer["execution"])
    return execution.model_copy(update={"files": files, "tier": f"ray/{execution.tier}"})
