"""Detect GPUs and lease them to running jobs.

GPUs are found by NVML, else by nvidia-smi; never by torch, which would open a context. A lease is
a file lock named by the GPU's UUID, so that several runs of one user share a machine and the
kernel frees the leases of a dead run.
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

from sandbox.local.leases import lease_folder, wait_for_leases
from sandbox.protocol import SandboxUnavailableError

DEV, DRIVER = Path("/dev"), Path("/proc/driver/nvidia")
# every CUDA process opens these
COMMON_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
QUERY_FIELDS = "index,uuid,name,memory.total,pci.bus_id"
GPU_WORDS = re.compile(
    r"\b(torch|tensorflow|keras|jax|flax|cupy|cudf|cuml|transformers|numba\.cuda)\b"
    r"|[\"'](cuda|gpu)(:\d+)?[\"']"
)


@dataclass(frozen=True)
class Gpu:
    """One device; `minor` is the number of its file below /dev."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    minor: int

    @property
    def title(self) -> str:
        """Name and memory, for people."""
        return f"{self.name} ({self.memory_bytes / 2**30:.0f} GiB)"


def needs_gpu(script: str) -> bool:
    """Whether a script mentions a GPU at all; one that does not need not wait for a lease."""
    return GPU_WORDS.search(script) is not None


def select_gpus(wanted: str = "auto") -> list[Gpu]:
    """Return the GPUs that scripts may use.

    Args:
        wanted: `none`, `auto` (all that are visible), or indices such as `0,1`. An inherited
            CUDA_VISIBLE_DEVICES (Slurm, Ray) is respected.

    Raises:
        SandboxUnavailableError: a wanted GPU is missing, or `wanted` is malformed.
    """
    if wanted == "none":
        return []
    if wanted != "auto" and not re.fullmatch(r"\d+(,\d+)*", wanted):
        raise SandboxUnavailableError(
            f"--gpus {wanted}: expected auto, none, or indices such as 0,1"
        )
    gpus = visible_gpus(detect_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if wanted == "auto":
        return gpus
    by_index = {gpu.index: gpu for gpu in gpus}
    if missing := [text for text in wanted.split(",") if int(text) not in by_index]:
        indices = ", ".join(str(index) for index in by_index) or "none"
        raise SandboxUnavailableError(
            f"--gpus {wanted}: no GPU {missing[0]} here (visible: {indices}); "
            "use --gpus auto or --gpus none"
        )
    return [by_index[int(text)] for text in dict.fromkeys(wanted.split(","))]


def visible_gpus(gpus: list[Gpu], setting: str | None) -> list[Gpu]:
    """Filter GPUs by the value of CUDA_VISIBLE_DEVICES: indices or beginnings of UUIDs.

    Like CUDA, stop at the first unknown entry.
    """
    if setting is None:
        return gpus
    visible: list[Gpu] = []
    for word in (part.strip() for part in setting.split(",")):
        matches = [
            gpu for gpu in gpus if word and (str(gpu.index) == word or gpu.uuid.startswith(word))
        ]
        if len(matches) != 1:
            break
        visible += matches
    return list(dict.fromkeys(visible))


def detect_gpus() -> list[Gpu]:
    """Return all GPUs of the machine; empty without a driver."""
    gpus = query_nvml()
    return query_nvidia_smi() if gpus is None else gpus


def query_nvml() -> list[Gpu] | None:
    """Ask NVML; None without the package (`pip install nvidia-ml-py`) or the driver's library."""
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
                uuid=nvml_text(pynvml.nvmlDeviceGetUUID(handle)),
                name=nvml_text(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                minor=int(pynvml.nvmlDeviceGetMinorNumber(handle)),
            )
            for index, handle in enumerate(handles)
        ]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def nvml_text(value: str | bytes) -> str:
    """Return text of NVML, which older versions of the package give as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def query_nvidia_smi() -> list[Gpu]:
    """Ask nvidia-smi; empty if it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, f"--query-gpu={QUERY_FIELDS}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = []
    for row in csv.reader(answer.stdout.splitlines(), skipinitialspace=True):
        with suppress(ValueError):
            index, uuid, name, mib, bus = row
            gpus.append(
                Gpu(int(index), uuid, name, int(mib) * 2**20, minor_number(bus, int(index)))
            )
    return gpus


def minor_number(bus: str, index: int) -> int:
    """Return the number of a GPU's device file, from its PCI bus id.

    The driver numbers device files differently from its tools and shows the number below /proc;
    without that file, the index is returned.
    """
    short_bus = bus.lower().removeprefix("0000")
    for folder in (DRIVER / "gpus" / short_bus, DRIVER / "gpus" / bus.lower()):
        with suppress(OSError):
            text = (folder / "information").read_text()
            if match := re.search(r"Device Minor:\s*(\d+)", text):
                return int(match[1])
    return index


def device_files(gpus: list[Gpu]) -> list[str]:
    """Return a job's device files: its own GPUs' and those that every CUDA process needs."""
    names = [*(f"nvidia{gpu.minor}" for gpu in gpus), *COMMON_DEVICES]
    return [str(DEV / name) for name in names if gpus and (DEV / name).exists()]


@asynccontextmanager
async def lease_gpus(gpus: list[Gpu], n: int) -> AsyncIterator[list[Gpu]]:
    """Lease n of the GPUs, or all if n is larger; wait while other jobs of this user hold them."""
    if n < 1 or not gpus:
        yield []
        return
    uuids = [gpu.uuid for gpu in gpus]
    leases = await wait_for_leases(lease_folder(), uuids, min(n, len(gpus)))
    names = {lease.name for lease in leases}
    try:
        yield [gpu for gpu in gpus if gpu.uuid in names]
    finally:
        for lease in leases:
            lease.release()
