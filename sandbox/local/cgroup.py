"""A control group per job where this process may make one: memory and process limits that the kernel itself holds.

Version 1: a group below our own in the memory and pids hierarchies. Version 2: a sibling of our own group, because a group that holds
processes cannot hand its controllers down.  Elsewhere the watchdog of `sandbox.local.usage` is what limits memory.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.local.plan import Plan

ROOT = Path("/sys/fs/cgroup")
ENTER = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; n=$((n-1)); done; exec "$@"'


@dataclass(frozen=True)
class Group:
    """The job's folders in the hierarchies, by controller."""

    folders: dict[str, Path]
    version: int

    def enter(self, made: Plan) -> Plan:
        """The plan, moved into the group before its first fork."""
        places = list(dict.fromkeys(str(folder) for folder in self.folders.values()))
        return Plan(
            ["/bin/sh", "-c", ENTER, "sh", str(len(places)), *places, *made.command],
            made.environment,
        )

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process of the job for its memory (version 1 ends just one and lets the job run on)."""
        folder = self.folders.get("memory")
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return folder is not None and value(folder / name, "oom_kill") > 0

    def peak_bytes(self) -> int:
        folder = self.folders.get("memory")
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return value(folder / name) if folder else 0

    def close(self) -> None:
        """Ends what is still inside and removes the folders."""
        for folder in dict.fromkeys(self.folders.values()):
            remove(folder)


def make(mark: str, memory_bytes: int, processes: int) -> Group | None:
    """The group of a job with its limits, or None where none can be made. The mark begins with our process id, so that it can be reaped."""
    version, parents = places()
    folders: dict[str, Path] = {}
    for controller, parent in parents.items():
        folder = parent / f"gome-{mark}"
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            folders[controller] = folder
            for name, number in limits(version, controller, memory_bytes, processes):
                (folder / name).write_text(str(number))
            continue
        remove(folders.pop(controller, folder))
    return Group(folders, version) if folders else None


def limits(
    version: int, controller: str, memory_bytes: int, processes: int
) -> list[tuple[str, int]]:
    if controller == "pids":
        return [("pids.max", processes)]
    if version == 1:
        return [("memory.limit_in_bytes", memory_bytes)]
    return [("memory.max", memory_bytes), ("memory.swap.max", 0), ("memory.oom.group", 1)]


@lru_cache(maxsize=1)
def places() -> tuple[int, dict[str, Path]]:
    """(version, controller -> folder in which groups can be made), tried by making one."""
    own: dict[str, str] = {}
    with suppress(OSError), open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.strip().split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path)
    names: tuple[str, ...] = ("memory", "pids")
    first = {name: ROOT / name / own[name].lstrip("/") for name in names if name in own}
    if found := {name: folder for name, folder in first.items() if usable(folder, name, 1)}:
        return 1, found
    second = (ROOT / own.get("", "/").lstrip("/")).parent if own.get("", "/") != "/" else ROOT
    return 2, {name: second for name in names if usable(second, name, 2)}


def usable(parent: Path, controller: str, version: int) -> bool:
    if not os.access(parent, os.W_OK) or not os.access(parent / "cgroup.procs", os.W_OK):
        return False
    probe = parent / f"gome-{os.getpid()}-probe-{controller}"
    wanted = {
        "pids": "pids.max",
        "memory": "memory.limit_in_bytes" if version == 1 else "memory.max",
    }[controller]
    try:
        probe.mkdir()
        return (probe / wanted).exists()
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.rmdir()


def remove(folder: Path) -> None:
    """Kills what is inside; a group can only be removed when it is empty, which takes the kernel a moment."""
    for _ in range(200):
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


def reap() -> None:
    """Removes the groups of agents that are dead, with everything inside."""
    for parent in set(places()[1].values()):
        for folder in parent.glob("gome-*-*"):
            owner = folder.name.split("-")[1]
            if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                remove(folder)


def value(path: Path, name: str = "") -> int:
    """A number in a control file: the whole of it, or the one behind a name; 0 when it cannot be read."""
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            words = line.split()
            if not name or words[0] == name:
                return int(words[-1])
    return 0
