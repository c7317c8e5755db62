"""Tasks on a node of a Ray cluster: the local sandbox, with inputs stored once per node by hash."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict

from sandbox.inside.remote import unpack_archive
from sandbox.inside.walk import remove_folder
from sandbox.local.backend import create_local_sandbox
from sandbox.protocol import Execution, Job, SandboxLostError, SandboxUnavailableError

KEEP_DATA_S = 7 * 86400  # unused data is deleted after this


class NodeAnswer(TypedDict, total=False):
    """Answer of a task: a description of the node, or a job's results, or a failure."""

    tier: str  # of a description
    host: dict[str, Any]  # fields of `sandbox.protocol.Host`
    execution: dict[str, Any]  # of a job: fields of `sandbox.protocol.Execution`
    files: dict[str, bytes]  # name -> content
    unavailable: str  # of a failure: message of a SandboxUnavailableError
    lost: str  # or of a SandboxLostError


def code_version() -> str:
    """Return the hash of this package's code, which must be the same for agent and nodes."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def describe_node(
    version: str, isolation: str, network: bool, python: str | None = None
) -> NodeAnswer:
    """Return the tier, the Python and the packages that scripts find on this node."""
    with reported_failures() as answer:
        check_code_version(version)
        sandbox = create_local_sandbox(isolation=isolation, network=network, python=python)
        answer["tier"] = sandbox.tier
        answer["host"] = asyncio.run(sandbox.probe()).model_dump()
    return answer


def run_job(
    version: str,
    isolation: str,
    python: str | None,
    job: dict[str, Any],
    inputs: list[tuple[str, str, bool]],
    chunks: dict[str, list[Any]],
) -> NodeAnswer:
    """Run one job on this node.

    Args:
        version: hash of the agent's code.
        isolation: tier of the local sandbox, or auto.
        python: the scripts' interpreter on this node; None: the worker's own.
        job: fields of `sandbox.protocol.Job` without workspace and inputs.
        inputs: (name below input/, hash, whether it is a folder).
        chunks: hash -> references of the parcel's parts, fetched only if it is missing here.
    """
    with reported_failures() as answer:
        check_code_version(version)
        limits = job["limits"]  # of the GPUs, those that Ray leased to this task are visible
        sandbox = create_local_sandbox(
            isolation=isolation,
            network=limits["network"],
            gpus="auto" if limits["gpus"] else "none",
            python=python,
        )
        root = node_folder()
        paths = {
            name: provide_input(root, digest, is_folder, chunks[digest])
            for name, digest, is_folder in inputs
        }
        workspace = tempfile.mkdtemp(prefix="job-", dir=root / "jobs")
        try:
            # the job may be another user; nobody else can enter the folder above
            Path(workspace).chmod(0o755)
            local_job = Job.model_validate(job | {"workspace": workspace, "inputs": paths})
            execution = asyncio.run(sandbox.run(local_job))
            answer["execution"] = execution.model_dump() | {"where": node_label()}
            answer["files"] = read_artifacts(execution)
        finally:
            remove_folder(workspace)  # what stays is tried again after `KEEP_DATA_S`
    return answer


def node_label() -> str:
    """Return the host's name and Ray's id of the node; a host may have several."""
    import ray

    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()}"


@contextmanager
def reported_failures() -> Iterator[NodeAnswer]:
    """Store a failure of the sandbox in the answer, so that the driver unpickles no exception."""
    answer: NodeAnswer = {}
    try:
        yield answer
    except SandboxUnavailableError as error:
        answer["unavailable"] = f"node {socket.gethostname()}: {error}"
    except SandboxLostError as error:
        answer["lost"] = f"node {socket.gethostname()}: {error}"


def check_code_version(version: str) -> None:
    """Raise SandboxUnavailableError if this node has other code than the agent."""
    if version != code_version():
        raise SandboxUnavailableError(
            "another version of Gome is installed there; install the same one on every node"
        )


def read_artifacts(execution: Execution) -> dict[str, bytes]:
    """Return the content of the collected files by name."""
    return {name: Path(path).read_bytes() for name, path in execution.files.items()}


def node_folder() -> Path:
    """Return this node's folder of inputs and workspaces; it is made if needed.

    It must be ours alone, so that no other user changes the data that scripts train on.

    Raises:
        SandboxUnavailableError: it belongs to another user, or others can write to it.
    """
    root = Path(tempfile.gettempdir()) / f"gome-data-{os.getuid()}"
    for folder in (root, root / "data", root / "jobs"):
        folder.mkdir(mode=0o700, exist_ok=True)
    info = root.lstat()
    if info.st_uid != os.getuid() or root.is_symlink() or info.st_mode & 0o022:
        raise SandboxUnavailableError(f"{root} belongs to someone else; remove it")
    return root


def provide_input(root: Path, digest: str, is_folder: bool, parts: list[Any]) -> str:
    """Return the path of a parcel on this node, fetched once for all its jobs."""
    path = root / "data" / digest
    with (root / "data" / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            remove_old_data(root)
            fetch_parcel(path, digest, parts)
        os.utime(path)
        return str(unpack_archive(path) if is_folder else path)


def fetch_parcel(path: Path, digest: str, parts: list[Any]) -> None:
    """Fetch a parcel from the object store and check its hash. Raises SandboxLostError."""
    import ray

    total, part = hashlib.sha256(), path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for reference in parts:
            data = ray.get(reference)
            total.update(data)
            file.write(data)
    if total.hexdigest() != digest:
        raise SandboxLostError("input data came damaged from the object store")
    part.chmod(0o444)
    part.rename(path)


def remove_old_data(root: Path) -> None:
    """Delete old data, and the workspaces of killed workers."""
    for path in [*(root / "data").iterdir(), *(root / "jobs").iterdir()]:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > KEEP_DATA_S:
                remove_folder(path)
