"""What runs on a node of a Ray cluster: the local sandbox as it is, with inputs that reach the node once, under their hash."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sandbox.inside.probe import packages
from sandbox.inside.remote import unpacked
from sandbox.local.backend import make_local
from sandbox.protocol import Execution, Job, SandboxLost, SandboxUnavailable

KEEP_S = 7 * 86400  # data that no job has used for so long makes room


def code_version() -> str:
    """Of this package's own code: agent and nodes must agree on it."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def survey(version: str, isolation: str, network: bool) -> dict[str, Any]:
    """What scripts find on this node, and whether they can be isolated here."""
    with told() as answer:
        same_code(version)
        chosen = make_local(isolation=isolation, network=network).chosen
        answer |= {
            "tier": chosen.name,
            "enforced": chosen.enforced,
            "sentence": chosen.sentence,
            "packages": packages(),
        }
    return answer


def run_job(
    version: str,
    isolation: str,
    job: dict[str, Any],
    inputs: list[tuple[str, str, bool]],
    chunks: dict[str, list[Any]],
) -> dict[str, Any]:
    """{execution, files} or {unavailable} or {lost}. `chunks`: hash -> references of a parcel's parts, fetched only when missing here."""
    with told() as answer:
        same_code(version)
        limits = job["limits"]  # of the GPUs, those that Ray leased to this task are visible
        sandbox = make_local(
            isolation=isolation,
            network=limits["network"],
            gpus="auto" if limits["gpus"] else "none",
        )
        root = cache()
        paths = {
            name: place(root, digest, is_folder, chunks[digest])
            for name, digest, is_folder in inputs
        }
        with tempfile.TemporaryDirectory(
            prefix="job-", dir=root / "jobs", ignore_cleanup_errors=True
        ) as workspace:
            os.chmod(
                workspace, 0o755
            )  # the job may be another user; nobody else passes the folder above
            mine = Job.model_validate(job | {"workspace": workspace, "inputs": paths})
            execution = asyncio.run(sandbox.run(mine))
            answer |= {
                "execution": execution.model_dump() | {"where": here()},
                "files": contents(execution),
            }
    return answer


def here() -> str:
    """Host and Ray's id of the node; one host may hold several."""
    import ray

    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()}"


@contextmanager
def told() -> Iterator[dict[str, Any]]:
    """A sandbox's own failure travels as a word, not as an exception that the driver would have to unpickle."""
    answer: dict[str, Any] = {}
    try:
        yield answer
    except SandboxUnavailable as error:
        answer["unavailable"] = f"node {socket.gethostname()}: {error}"
    except SandboxLost as error:
        answer["lost"] = f"node {socket.gethostname()}: {error}"


def same_code(version: str) -> None:
    if version != code_version():
        raise SandboxUnavailable(
            "another version of Gome is installed there; install the same one on every node"
        )


def contents(execution: Execution) -> dict[str, bytes]:
    return {name: Path(path).read_bytes() for name, path in execution.files.items()}


def cache() -> Path:
    """This node's folder of inputs; ours alone, because scripts of other users must not change what we train on."""
    root = Path(tempfile.gettempdir()) / f"gome-data-{os.getuid()}"
    for folder in (root, root / "data", root / "jobs"):
        folder.mkdir(mode=0o700, exist_ok=True)
    info = root.lstat()
    if info.st_uid != os.getuid() or root.is_symlink() or info.st_mode & 0o022:
        raise SandboxUnavailable(f"{root} belongs to someone else; remove it")
    return root


def place(root: Path, digest: str, is_folder: bool, parts: list[Any]) -> str:
    """The path of a parcel here, fetched once for all jobs of this node."""
    path = root / "data" / digest
    with (root / "data" / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            tidy(root)
            fetch(path, digest, parts)
        os.utime(path)
        return str(unpacked(path) if is_folder else path)


def fetch(path: Path, digest: str, parts: list[Any]) -> None:
    import ray

    total, part = hashlib.sha256(), path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for reference in parts:
            data = ray.get(reference)
            total.update(data)
            file.write(data)
    if total.hexdigest() != digest:
        raise SandboxLost("input data came damaged from the object store")
    part.chmod(0o444)
    part.rename(path)


def tidy(root: Path) -> None:
    """Old data, and workspaces of workers that were killed."""
    for path in [*(root / "data").iterdir(), *(root / "jobs").iterdir()]:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEEP_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
