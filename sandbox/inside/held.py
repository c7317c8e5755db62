"""What a script's processes hold beside their resident memory and the files in their folder.

A memfd that nobody maps, a deleted file that stays open, the buffers of sockets and a full /tmp in
memory appear in no process's resident set and in no folder. They are found through /proc/PID/fd,
the deleted files among /proc/PID/maps, and the mounts that the processes see. Standard library
only: this runs inside remote sandboxes too.
"""

# ruff: noqa: PTH116, PTH123, PTH208 (read many times a second, by plain calls)

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox.inside.walk import FileKey, file_key

MEMORY_FOLDERS = ("/tmp", "/dev/shm")
FREE_SOCKETS, SOCKET_BYTES = 64, 416 * 1024  # per process; what the buffers of one more can hold
INODE_BYTES = 2048  # of kernel memory, per file in a memory file system


@dataclass
class HeldFiles:
    """What processes hold: files in memory, deleted files on disk, socket buffers, mounts.

    `mounts`: bytes in each memory file system of the job's own, by device. `shared`: devices of
    the host's. `hidden`: processes that may not be looked into.
    """

    in_memory: dict[FileKey, int] = field(default_factory=dict)
    on_disk: dict[FileKey, int] = field(default_factory=dict)
    mounts: dict[int, int] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)
    socket_bytes: int = 0
    hidden: int = 0

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory held, mapped or not."""
        return sum(self.in_memory.values()) + sum(self.mounts.values()) + self.socket_bytes

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk in files that no folder names any more."""
        return sum(self.on_disk.values())

    def is_counted(self, key: FileKey) -> bool:
        """Whether a mapped file is among what is held in memory."""
        return key in self.in_memory or key[0] in self.mounts


@lru_cache(maxsize=1)
def memfd_device() -> int:
    """Return the device of files that exist in memory only; -1 if there are none here."""
    try:
        handle = os.memfd_create("gome")
    except (AttributeError, OSError):
        return -1
    try:
        return os.fstat(handle).st_dev
    finally:
        os.close(handle)


@lru_cache(maxsize=1)
def memory_devices() -> frozenset[int]:
    """Return the devices of this machine's file systems in memory."""
    devices = set()
    with suppress(OSError, ValueError), open("/proc/self/mountinfo", errors="replace") as file:
        for line in file:
            mount, _, kind = line.partition(" - ")
            if kind.split(" ", 1)[0] in ("tmpfs", "ramfs"):
                major, minor = mount.split()[2].split(":")
                devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


def find_held_files(pids: Iterable[int], disk: int, *, mapped: bool = False) -> HeldFiles:
    """Return what the processes hold.

    Args:
        pids: the processes.
        disk: device of the script's folder.
        mapped: whether to look for deleted files among the mappings too, which takes longer.
    """
    held = HeldFiles()
    host = {device for folder in MEMORY_FOLDERS if (device := device_of(folder)) is not None}
    held.shared = (host & memory_devices()) - {disk}
    for pid in pids:
        _add_mounts(held, pid, host)
        _add_open_files(held, pid, disk)
        if mapped:
            _add_mapped_files(held, pid, disk)
    return held


def device_of(path: str) -> int | None:
    """Return the device of a path; None if it cannot be reached."""
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _add_mounts(held: HeldFiles, pid: int, host: set[int]) -> None:
    """Add the memory file systems that this process sees and the host does not."""
    for folder in MEMORY_FOLDERS:
        path = f"/proc/{pid}/root{folder}"
        device = device_of(path)
        if device is None or device in host or device in held.mounts:
            continue
        with suppress(OSError):
            info = os.statvfs(path)
            used = (info.f_blocks - info.f_bfree) * info.f_frsize
            held.mounts[device] = used + (info.f_files - info.f_ffree) * INODE_BYTES


def _add_open_files(held: HeldFiles, pid: int, disk: int) -> None:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        held.hidden += 1
        return
    except OSError:
        return  # it has ended
    sockets = 0
    for name in names:
        with suppress(OSError):
            info = os.stat(f"/proc/{pid}/fd/{name}")
            sockets += stat.S_ISSOCK(info.st_mode)
            if stat.S_ISREG(info.st_mode):
                _add_file(held, info, disk)
    held.socket_bytes += max(0, sockets - FREE_SOCKETS) * SOCKET_BYTES


def _add_mapped_files(held: HeldFiles, pid: int, disk: int) -> None:
    """Add deleted files that are mapped and perhaps no longer open."""
    with suppress(OSError), open(f"/proc/{pid}/maps", errors="replace") as file:
        for line in file:
            if not line.endswith("(deleted)\n"):
                continue
            span, _, offset, device, number = line.split(maxsplit=5)[:5]
            major, minor = (int(part, 16) for part in device.split(":"))
            key = (os.makedev(major, minor), int(number))
            if key in held.in_memory or key in held.on_disk or key[0] in held.mounts:
                continue
            try:  # only root may look behind a mapping
                _add_file(held, os.stat(f"/proc/{pid}/map_files/{span}"), disk)
            except OSError:
                start, end = (int(part, 16) for part in span.split("-"))
                if key[0] == disk:
                    held.on_disk[key] = int(offset, 16) + end - start


def _add_file(held: HeldFiles, info: os.stat_result, disk: int) -> None:
    key, size = file_key(info), info.st_blocks * 512
    if key[0] == memfd_device() or key[0] in held.shared:
        held.in_memory[key] = size
    elif info.st_nlink == 0 and key[0] == disk:
        held.on_disk[key] = size
