"""Recorded executions: a script is run once for given inputs and found again ever after.  A response surface that grows as it is asked.

The key is the script's text and the bytes of its inputs; a record keeps the files that the script wrote, its seconds, and where and
when it was run. Nothing is simulated: a score of a recorded execution is computed from the predictions that it really wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from sandbox.inside.progress import Tell
from sandbox.protocol import Execution, Host, Job, Sandbox


@lru_cache(maxsize=4096)
def digest(path: str, mtime_ns: int) -> str:
    source = Path(path)
    files = (
        sorted(item for item in source.rglob("*") if item.is_file())
        if source.is_dir()
        else [source]
    )
    return hashlib.sha256(
        b"".join(hashlib.sha256(item.read_bytes()).digest() for item in files)
    ).hexdigest()


def key_of(job: Job) -> str:
    inputs = {name: digest(path, os.stat(path).st_mtime_ns) for name, path in job.inputs.items()}
    return hashlib.sha256(
        json.dumps([job.script, sorted(inputs.items()), sorted(job.env.items())]).encode()
    ).hexdigest()[:32]


class Recorded:
    """A sandbox that asks `inner` only for what `store` does not hold. Several processes may share a store."""

    def __init__(self, inner: Sandbox, store: Path) -> None:
        self.inner, self.store = inner, store
        self.tier = "recorded"
        self.n_found = self.n_run = 0

    async def probe(self) -> Host:
        return await self.inner.probe()

    async def run(self, job: Job, tell: Tell | None = None) -> Execution:
        place = self.store / (key := key_of(job))[:2] / key
        if (place / "execution.json").exists():
            self.n_found += 1
            return found(place, job)
        execution = await self.inner.run(job, tell)
        self.n_run += 1
        if execution.end in ("exit", "memory"):  # a timeout may be the machine's fault
            keep(place, job, execution)
        return execution

    async def close(self) -> None:
        """The inner sandbox belongs to whoever made it."""


def found(place: Path, job: Job) -> Execution:
    kept = Execution.model_validate_json((place / "execution.json").read_text())
    files = {}
    for name in kept.files:
        shutil.copyfile(place / name, job.workspace / name)
        files[name] = str(job.workspace / name)
    return kept.model_copy(update={"files": files})


def keep(place: Path, job: Job, execution: Execution) -> None:
    """Whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
    for name, path in execution.files.items():
        shutil.copyfile(path, temporary / name)
    (temporary / "solution.py").write_text(job.script)
    (temporary / "provenance.json").write_text(
        json.dumps(
            {
                "time": time.time(),
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
        )
    )
    (temporary / "execution.json").write_text(execution.model_dump_json())
    try:
        temporary.rename(place)
    except OSError:  # another process was first
        shutil.rmtree(temporary)
