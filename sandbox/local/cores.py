"""The machine's cores, shared out among the jobs of all this user's runs: a file lock per core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.local.leases import shared_folder, try_some


@contextmanager
def cores(n: int) -> Iterator[list[int]]:
    """n cores that no other job holds. Empty when so many are not free: the job then runs on any, its thread pools still of n."""
    held = try_some(
        shared_folder(), [f"core-{core}" for core in sorted(os.sched_getaffinity(0))], n
    )
    try:
        yield sorted(int(lease.name.removeprefix("core-")) for lease in held)
    finally:
        for lease in held:
            lease.free()
