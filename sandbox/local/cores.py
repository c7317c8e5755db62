"""Cores of the machine, shared among the jobs of all runs of this user: a file lock per core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.local.leases import lease_folder, try_leases


@contextmanager
def lease_cores(n: int) -> Iterator[list[int]]:
    """Lease n cores that no other job holds.

    Yields an empty list if fewer are free: the job then runs on any core, with thread pools of
    size n all the same.
    """
    names = [f"core-{core}" for core in sorted(os.sched_getaffinity(0))]
    leases = try_leases(lease_folder(), names, n)
    try:
        yield sorted(int(lease.name.removeprefix("core-")) for lease in leases)
    finally:
        for lease in leases:
            lease.release()
