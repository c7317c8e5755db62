"""Recorded executions: a script runs once for given inputs, later runs replay the record.

The key is the script's text and the bytes of its inputs. A record holds the files that the script
wrote, its seconds, and where and when it ran. Nothing is simulated: the score of a replayed
execution is computed from predictions that the script really wrote.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from sandbox.inside.progress import ProgressCallback
from sandbox.protocol import Execution, Host, Job, Sandbox


@lru_cache(maxsize=4096)
def content_digest(path: str, mtime_ns: int) -> str:
    """Return the SHA-256 over the files below `path`; `mtime_ns` only refreshes the cache."""
    source = Path(path)
    files = [source]
    if source.is_dir():
        files = sorted(item for item in source.rglob("*") if item.is_file())
    digests = [hashlib.sha256(item.read_bytes()).digest() for item in files]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def job_key(job: Job) -> str:
    """Return what the record of a job is stored under: its script, inputs and environment."""
    inputs = {
        name: content_digest(path, Path(path).stat().st_mtime_ns)
        for name, path in job.inputs.items()
    }
    parts = [job.script, sorted(inputs.items()), sorted(job.env.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class RecordedSandbox:
    """Sandbox that runs only what `store` has no record of. Processes may share a store."""

    tier = "recorded"

    def __init__(self, inner: Sandbox, store: Path) -> None:
        self.inner, self.store = inner, store
        self.own_python = inner.own_python
        self.n_run = 0

    async def probe(self) -> Host:
        """Return the inner sandbox's host."""
        return await self.inner.probe()

    async def run(self, job: Job, tell: ProgressCallback | None = None) -> Execution:
        """Replay the job's record, or run the job and record it."""
        key = job_key(job)
        place = self.store / key[:2] / key
        if (place / "execution.json").exists():
            return restore_execution(place, job)
        execution = await self.inner.run(job, tell)
        self.n_run += 1
        if execution.end in ("exit", "memory"):  # a timeout may be the machine's fault
            store_execution(place, job, execution)
        return execution

    async def close(self) -> None:
        """Do nothing: the inner sandbox belongs to whoever made it."""


def restore_execution(place: Path, job: Job) -> Execution:
    """Copy the recorded files into the job's workspace and return the recorded execution."""
    record = Execution.model_validate_json((place / "execution.json").read_text())
    files = {}
    for name in record.files:
        (job.workspace / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place / name, job.workspace / name)
        files[name] = str(job.workspace / name)
    return record.model_copy(update={"files": files})


def store_execution(place: Path, job: Job, execution: Execution) -> None:
    """Write the record to the folder `place`, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
    for name, path in execution.files.items():
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, temporary / name)
    (temporary / "solution.py").write_text(job.script)
    origin = {
        "time": time.time(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    (temporary / "provenance.json").write_text(json.dumps(origin))
    (temporary / "execution.json").write_text(execution.model_dump_json())
    try:
        temporary.rename(place)
    except OSError:  # another process was first
        shutil.rmtree(temporary)
