"""A control group per job, if this process may make one: limits enforced by the kernel.

Version 1: a group below our own in the memory and pids hierarchies. Version 2: a sibling of our
own group, because a group that contains processes cannot pass its controllers down. Without a
group, `sandbox.local.usage` limits memory.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.local.plan import LaunchPlan

ROOT = Path("/sys/fs/cgroup")
ENTER_FAILED = 125  # exit code of the script below
ENTER_SCRIPT = (  # arguments: number of folders, the folders, the command
    f'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit {ENTER_FAILED}; '
    'shift; n=$((n-1)); done; exec "$@"'
)


@dataclass(frozen=True)
class ControlGroup:
    """A job's folders in the hierarchies, by controller."""

    folders: dict[str, Path]
    version: int

    def wrap_plan(self, launch: LaunchPlan) -> LaunchPlan:
        """Return a plan whose process enters the group before its first fork."""
        folders = list(dict.fromkeys(str(folder) for folder in self.folders.values()))
        shell = ["/bin/sh", "-c", ENTER_SCRIPT, "sh", str(len(folders)), *folders]
        return LaunchPlan([*shell, *launch.command], launch.environment)

    @property
    def limits_memory(self) -> bool:
        """Whether the kernel limits the job's memory, files in memory included."""
        return "memory" in self.folders

    def is_killed_for_memory(self) -> bool:
        """Whether the kernel killed a process of the job for its memory.

        Version 1 kills just one process and lets the others continue.
        """
        folder = self.folders.get("memory")
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return folder is not None and read_number(folder / name, "oom_kill") > 0

    def peak_bytes(self) -> int:
        """Return the peak memory of the group; 0 if unknown."""
        folder = self.folders.get("memory")
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return read_number(folder / name) if folder else 0

    def close(self) -> None:
        """Kill every process still inside and remove the folders."""
        for folder in dict.fromkeys(self.folders.values()):
            remove_group(folder)


def make_group(mark: str, memory_bytes: int, processes: int) -> ControlGroup | None:
    """Make a job's group with its limits; None if this process cannot make one.

    The mark begins with our process id, by which `remove_stale_groups` knows the owner.
    """
    version, parents = find_group_parents()
    folders: dict[str, Path] = {}
    for controller, parent in parents.items():
        folder = parent / f"gome-{mark}"
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            folders[controller] = folder
            for name, number in limit_files(version, controller, memory_bytes, processes):
                (folder / name).write_text(str(number))
            continue
        remove_group(folders.pop(controller, folder))
    return ControlGroup(folders, version) if folders else None


def limit_files(
    version: int, controller: str, memory_bytes: int, processes: int
) -> list[tuple[str, int]]:
    """Return the control files of a controller to write, with their values."""
    if controller == "pids":
        return [("pids.max", processes)]
    if version == 1:
        return [("memory.limit_in_bytes", memory_bytes)]
    return [("memory.max", memory_bytes), ("memory.swap.max", 0), ("memory.oom.group", 1)]


@lru_cache(maxsize=1)
def find_group_parents() -> tuple[int, dict[str, Path]]:
    """Return the version, and by controller the folder in which groups can be made.

    Each folder is tried by making a group.
    """
    own = _own_groups()
    names = ("memory", "pids")
    first = {name: ROOT / name / own[name].lstrip("/") for name in names if name in own}
    usable = {name: parent for name, parent in first.items() if is_usable_parent(parent, name, 1)}
    if usable:
        return 1, usable
    second = (ROOT / own.get("", "/").lstrip("/")).parent if own.get("", "/") != "/" else ROOT
    return 2, {name: second for name in names if is_usable_parent(second, name, 2)}


def _own_groups() -> dict[str, str]:
    """Return this process's group by controller; of version 2 under the empty name."""
    groups: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def own_memory_limit() -> int:
    """Return the memory limit of this process's own group; 0 if there is none."""
    own = _own_groups()
    first = ROOT / "memory" / own.get("memory", "/").lstrip("/") / "memory.limit_in_bytes"
    second = ROOT / own.get("", "/").lstrip("/") / "memory.max"  # may say `max`
    return min(filter(None, (read_number(first), read_number(second))), default=0)


def is_usable_parent(parent: Path, controller: str, version: int) -> bool:
    """Whether a group with this controller can be made in the folder."""
    if not os.access(parent, os.W_OK) or not os.access(parent / "cgroup.procs", os.W_OK):
        return False
    probe = parent / f"gome-{os.getpid()}-probe-{controller}"
    limit_name = limit_files(version, controller, 0, 0)[0][0]
    try:
        probe.mkdir()
        return (probe / limit_name).exists()
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.rmdir()


def remove_group(folder: Path) -> None:
    """Kill every process inside and remove the group."""
    for _ in range(200):  # the kernel takes a moment to empty a group
        with suppress(OSError, ValueError):
            for text in (folder / "cgroup.procs").read_text().split():
                os.kill(int(text), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)


def remove_stale_groups() -> None:
    """Remove the groups of dead agents, with every process inside."""
    for parent in set(find_group_parents()[1].values()):
        for folder in parent.glob("gome-*-*"):
            owner = folder.name.split("-")[1]
            if owner.isdigit() and not Path("/proc", owner).exists():
                remove_group(folder)


def read_number(path: Path, name: str = "") -> int:
    """Read a number from a control file, or the one after `name`; 0 if it cannot be read."""
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            words = line.split()
            if not name or words[0] == name:
                return int(words[-1])
    return 0
