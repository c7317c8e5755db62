"""A real Ray cluster of several nodes on this machine, for the slow tests."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

MISSING = "Ray is not installed: uv sync --extra ray (make nightly does)"


@contextmanager
def cluster(sizes: tuple[int, ...] = (2, 2)) -> Iterator[Any]:
    """Start a head without cores and one node per size, and join it from this process."""
    ray = pytest.importorskip("ray", reason=MISSING)
    from ray.cluster_utils import Cluster

    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HOME", folder)
        patch.setenv("TMPDIR", folder)  # short: a socket's path may have 107 characters
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv(
            "RAY_worker_niceness", "0"
        )  # else scripts starve beside other work on this machine
        made = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            for size in sizes:
                made.add_node(num_cpus=size)
            ray.init(
                address=made.address, log_to_driver=False, logging_level="ERROR", namespace="gome"
            )
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def workers_of(token: str) -> list[psutil.Process]:
    """Ray workers below which a process with this word in its command line runs."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if token in " ".join(process.info["cmdline"] or []):
            with suppress(psutil.Error):  # it ended meanwhile
                found += [
                    parent for parent in process.parents() if parent.name().startswith("ray::")
                ]
    return found


def node_of(made: Any, worker: psutil.Process) -> Any:
    """The cluster's node that started this worker."""
    ancestors = {parent.pid for parent in worker.parents()}
    for node in made.list_all_nodes():
        if {info.process.pid for info in node.all_processes.get("raylet", [])} & ancestors:
            return node
    raise LookupError(f"no node started process {worker.pid}")


def wait_for(condition: Any, seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"it never came (pid {os.getpid()})")
