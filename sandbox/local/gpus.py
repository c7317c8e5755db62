"""GPUs: which there are, and one lease per running job.  Asked of NVML, then of nvidia-smi; never of torch, which would open a context.

A lease is a file lock under the GPU's UUID, so that several runs of one user share a machine, and the kernel frees what a dead one held.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.local.leases import lease_any, shared_folder
from sandbox.protocol import SandboxUnavailable

DEV, DRIVER = Path("/dev"), Path("/proc/driver/nvidia")
COMMON = (
    "nvidiactl",
    "nvidia-uvm",
    "nvidia-uvm-tools",
    "nvidia-modeset",
)  # every CUDA process opens these
QUERY = "index,uuid,name,memory.total,pci.bus_id"
USES_GPU = re.compile(
    r"\b(torch|tensorflow|keras|jax|flax|cupy|cudf|cuml|transformers|numba\.cuda)\b|[\"'](cuda|gpu)(:\d+)?[\"']"
)


@dataclass(frozen=True)
class Gpu:
    """One device. `minor` numbers its node below /dev."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    minor: int

    @property
    def title(self) -> str:
        return f"{self.name} ({self.memory_bytes / 2**30:.0f} GiB)"


def wants_gpu(script: str) -> bool:
    """Whether a script speaks of a GPU at all: those that do not need not wait for one."""
    return USES_GPU.search(script) is not None


def devices(wanted: str = "auto") -> list[Gpu]:
    """The GPUs that scripts may use: `none`, all that are visible (`auto`), or indices such as `0,1`.

    An inherited CUDA_VISIBLE_DEVICES (Slurm, Ray) is honoured. Raises SandboxUnavailable when a wanted one is not there.
    """
    if wanted == "none":
        return []
    if wanted != "auto" and not re.fullmatch(r"\d+(,\d+)*", wanted):
        raise SandboxUnavailable(f"--gpus {wanted}: expected auto, none, or indices such as 0,1")
    found = visible(detect(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if wanted == "auto":
        return found
    by_index = {gpu.index: gpu for gpu in found}
    if missing := [text for text in wanted.split(",") if int(text) not in by_index]:
        there = ", ".join(str(index) for index in by_index) or "none"
        raise SandboxUnavailable(
            f"--gpus {wanted}: no GPU {missing[0]} here (visible: {there}); use --gpus auto or --gpus none"
        )
    return [by_index[int(text)] for text in dict.fromkeys(wanted.split(","))]


def visible(found: list[Gpu], setting: str | None) -> list[Gpu]:
    """What CUDA_VISIBLE_DEVICES leaves: indices or beginnings of UUIDs; like CUDA, it stops at the first that is unknown."""
    if setting is None:
        return found
    kept: list[Gpu] = []
    for word in (part.strip() for part in setting.split(",")):
        match = [
            gpu for gpu in found if word and (str(gpu.index) == word or gpu.uuid.startswith(word))
        ]
        if len(match) != 1:
            break
        kept += match
    return list(dict.fromkeys(kept))


def detect() -> list[Gpu]:
    """All GPUs of the machine; empty without a driver."""
    found = by_nvml()
    return by_nvidia_smi() if found is None else found


def by_nvml() -> list[Gpu] | None:
    """None when the package (`pip install 'gome[gpu]'`) or the driver's library is not there."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [
            Gpu(
                index=index,
                uuid=text(pynvml.nvmlDeviceGetUUID(handle)),
                name=text(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                minor=int(pynvml.nvmlDeviceGetMinorNumber(handle)),
            )
            for index, handle in enumerate(handles)
        ]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def by_nvidia_smi() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        with suppress(ValueError):
            index, uuid, name, mib, bus = row
            found.append(Gpu(int(index), uuid, name, int(mib) * 2**20, minor_of(bus, int(index))))
    return found


def minor_of(bus: str, index: int) -> int:
    """The driver names a device node by another count than its tools; it says which below /proc."""
    place = DRIVER / "gpus" / bus.lower().removeprefix("0000")
    for folder in (place, DRIVER / "gpus" / bus.lower()):
        with suppress(OSError):
            if found := re.search(r"Device Minor:\s*(\d+)", (folder / "information").read_text()):
                return int(found[1])
    return index


def nodes(leased: list[Gpu]) -> list[str]:
    """Device files of a job: its own GPUs and those that every CUDA process needs."""
    names = [*(f"nvidia{gpu.minor}" for gpu in leased), *COMMON]
    return [str(DEV / name) for name in names if leased and (DEV / name).exists()]


@asynccontextmanager
async def lease(found: list[Gpu], n: int) -> AsyncIterator[list[Gpu]]:
    """n GPUs that no other job of this user holds; waits its turn. All there are when n is more than that."""
    if n < 1 or not found:
        yield []
        return
    held = await lease_any(shared_folder(), [gpu.uuid for gpu in found], min(n, len(found)))
    names = {one.name for one in held}
    try:
        yield [gpu for gpu in found if gpu.uuid in names]
    finally:
        for one in held:
            one.free()
