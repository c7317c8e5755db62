"""What is started for a job in each tier: command line, environment, and the keeper's spec."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox.inside import confine
from sandbox.inside.specs import KeeperSpec, LandlockRules
from sandbox.local import bwrap
from sandbox.local.interpreter import SYSTEM_FOLDERS, find_interpreter_needs
from sandbox.local.users import (
    give_folder,
    others_can_enter,
    others_can_reach,
    others_can_read,
)
from sandbox.protocol import Job, check_input_names

TierName = Literal["bubblewrap", "userns", "landlock", "none"]
INSIDE = Path(__file__).parents[1] / "inside"
KEEPER, CONFINE = INSIDE / "keeper.py", INSIDE / "confine.py"
# processes of ours above a script: bubblewrap has two of its own, namespaces need one outside
N_KEEPERS: dict[TierName, int] = {"bubblewrap": 3, "userns": 2, "landlock": 1, "none": 1}
DEVICE_NAMES = ("null", "zero", "full", "random", "urandom", "shm")
RESERVED_FACTOR = 4  # of the memory limit: what a script may reserve, without using all of it
IDLE_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads of OpenMP that wait for each other sleep: spinning, they take the cores of those that
they wait for. libgomp then spins 0 times, libomp and Intel's take KMP_BLOCKTIME=0 from it."""
TMP_NAME = ".tmp"  # in the workspace, for jobs without a /tmp of their own


@dataclass(frozen=True)
class Placement:
    """What the host assigned to a job besides its limits.

    `mark` names the job among this machine's processes; `report` is the descriptor of the keeper's
    report; `has_memory_group`: a control group limits its memory; `python` is the interpreter of
    the script (empty: Gome's own).
    """

    cores: list[int] = field(default_factory=list)
    uid: int | None = None
    devices: list[str] = field(default_factory=list)
    gpu_ids: list[str] = field(default_factory=list)
    mark: str = ""
    report: int = -1
    has_memory_group: bool = False
    python: str = ""

    @property
    def pythons(self) -> tuple[str, ...]:
        """The interpreters that run in the sandbox: the script's and the keeper's."""
        return (self.python, keeper_python(self.python)) if self.python else ("",)


@dataclass(frozen=True)
class LaunchPlan:
    """A command line and its whole environment."""

    command: list[str]
    environment: dict[str, str]


def make_plan(
    tier: TierName, job: Job, place: Placement, command: list[str] | None = None
) -> LaunchPlan:
    """Plan the start of a job; a probe replaces `python solution.py` by its own `command`."""
    inside = bwrap.WORKSPACE if tier == "bubblewrap" else str(job.workspace)
    environment = script_environment(
        job, place, tmp="/tmp" if tier == "bubblewrap" else f"{inside}/{TMP_NAME}"
    )
    command = command or [place.python or sys.executable, "-s", "solution.py"]
    spec = keeper_spec(tier, job, place, inside, command)
    keeper_command = [keeper_python(place.python), "-I", "-S"]
    if tier == "bubblewrap":
        keeper = [*keeper_command, f"{bwrap.TOOLS}/{KEEPER.name}", json.dumps(spec)]
        outer = [
            shutil.which("bwrap") or "bwrap",
            *bwrap_arguments(job, place, environment),
            *keeper,
        ]
        return LaunchPlan(outer, {"PATH": "/usr/bin:/bin", "GOME_JOB": place.mark})
    return LaunchPlan([*keeper_command, str(KEEPER), json.dumps(spec)], environment)


def keeper_python(python: str) -> str:
    """Return the interpreter of the keeper, which needs no packages: Gome's own.

    Beside a script's `python` of its own it is the one that Gome's environment was made of, so that
    this environment is not bound.
    """
    base = getattr(sys, "_base_executable", None)
    return str(base) if python and base and Path(base).is_file() else sys.executable


def keeper_spec(
    tier: TierName, job: Job, place: Placement, workspace: str, command: list[str]
) -> KeeperSpec:
    """Return the keeper's orders (`sandbox/inside/keeper.py`)."""
    confined = tier != "none"
    # IP sockets are harmless in a network namespace; without one they need the user's consent
    allows_ip = tier in ("bubblewrap", "userns") or job.limits.network
    ip_families = [confine.INET, confine.INET6] if allows_ip else []
    families = [confine.UNIX, confine.NETLINK, *ip_families]
    return {
        "command": command,
        "workspace": workspace,
        "limits": resource_limits(tier, job, place),
        "cores": place.cores,
        "uid": place.uid if confined else None,
        "confined": confined,
        "namespaces": tier == "userns",
        "network": job.limits.network,
        "covered": covered_folders(job, place) if tier == "userns" else [],
        "tmp_bytes": tmp_bytes(job),
        "landlock": landlock_rules(job, place, tier) if tier in ("userns", "landlock") else None,
        "families": families if confined and confine.is_seccomp_supported() else [],
        "sweep": tier != "bubblewrap",
        "parent": os.getpid(),
        "agent_namespace": Path("/proc/self/ns/pid").stat().st_ino,
        "report": place.report,
    }


def resource_limits(tier: TierName, job: Job, place: Placement) -> dict[str, int]:
    """Return resource limits by name.

    Memory is limited by what is resident. Where no control group does it, RLIMIT_DATA stands far
    behind the watchdog and refuses what no such limit could hold: it counts what is reserved too,
    often twice what is used. RLIMIT_AS would break torch, and neither works with CUDA, which maps
    the GPU's memory.
    """
    limits = job.limits
    values = {"RLIMIT_FSIZE": limits.disk_bytes, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 4096}
    if not place.gpu_ids and not place.has_memory_group:
        values["RLIMIT_DATA"] = RESERVED_FACTOR * limits.memory_bytes
    if place.uid is not None or os.getuid() != 0:
        own_count = tier in ("bubblewrap", "userns") or place.uid is not None
        values["RLIMIT_NPROC"] = limits.processes + (0 if own_count else count_threads(os.getuid()))
    return values


def count_threads(uid: int) -> int:
    """Count all threads of a user.

    RLIMIT_NPROC counts them too: without a user namespace, the user's other work is included.
    """
    import psutil

    total = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids and uids.real == uid:
            total += process.info["num_threads"] or 0
    return total


def tmp_bytes(job: Job) -> int:
    """Return the size of a job's /tmp, which uses its memory."""
    return min(bwrap.TMP_BYTES, job.limits.memory_bytes // 2)


def bwrap_arguments(job: Job, place: Placement, environment: dict[str, str]) -> list[str]:
    """Return bubblewrap's arguments for a job: mounts, workspace, inputs, environment."""
    arguments = bwrap.base_arguments(
        network=job.limits.network,
        root=place.uid is not None,
        tmp_bytes=tmp_bytes(job),
        devices=place.devices,
        gpu=bool(place.gpu_ids),
        pythons=place.pythons,
    )
    for path in (KEEPER, CONFINE):
        arguments += ["--ro-bind", str(path), f"{bwrap.TOOLS}/{path.name}"]
    arguments += ["--bind", str(job.workspace), bwrap.WORKSPACE]
    for name, source in job.inputs.items():
        arguments += ["--ro-bind", source, f"{bwrap.WORKSPACE}/input/{name}"]
    arguments += bwrap.seal_arguments() + ["--chdir", bwrap.WORKSPACE]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return arguments


def landlock_rules(job: Job, place: Placement, tier: TierName) -> LandlockRules:
    """Return Landlock's allow-list for a job."""
    readable = [
        *SYSTEM_FOLDERS,
        *(f"/etc/{name}" for name in bwrap.etc_names(job.limits.network)),
        *find_interpreter_needs(*place.pythons).paths,
    ]
    # joblib reads its CPU quota below /sys/fs/cgroup
    readable += ["/proc", "/sys/fs/cgroup", "/sys/devices/system", *job.inputs.values()]
    if place.gpu_ids:
        readable += ["/sys"]
    writable = [str(job.workspace), *(f"/dev/{name}" for name in DEVICE_NAMES), *place.devices]
    return {
        "readable": readable,
        "writable": writable,
        "network": tier == "userns" or job.limits.network,
    }


def covered_folders(job: Job, place: Placement) -> list[str]:
    """Return the folders to cover with an empty file system.

    /run contains the sockets of services; it stays open if something that the job needs is there.
    """
    interpreter = find_interpreter_needs(*place.pythons).paths
    needed = [str(job.workspace), *job.inputs.values(), *interpreter, str(INSIDE)]
    is_run_needed = any(os.path.realpath(path).startswith("/run/") for path in needed)
    if is_run_needed or not Path("/run").is_dir():
        return ["/dev/shm"]
    return ["/dev/shm", "/run"]


def script_environment(
    job: Job, place: Placement = Placement(), *, tmp: str = "/tmp"
) -> dict[str, str]:  # noqa: B008 (frozen)
    """Return a minimal environment: none of the agent's keys, thread pools of the job's size."""
    threads = str(len(place.cores) or job.limits.cpus)
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
    names = {f"{pool}_NUM_THREADS": threads for pool in pools} | {
        "POLARS_MAX_THREADS": threads,
        "LOKY_MAX_CPU_COUNT": threads,
    }
    fixed = {
        "PATH": f"{Path(place.python or sys.executable).parent}:/usr/bin:/bin",
        "HOME": tmp,
        "TMPDIR": tmp,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": ",".join(place.gpu_ids),
    }
    if place.mark:
        fixed["GOME_JOB"] = place.mark
    if not job.limits.network:  # libraries of model hubs fail at once instead of trying again
        fixed |= {"HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    if place.gpu_ids and (libraries := os.environ.get("LD_LIBRARY_PATH")):
        fixed["LD_LIBRARY_PATH"] = libraries
    return fixed | names | IDLE_THREADS | job.env


# the workspace


def lay_out_workspace(job: Job, tier: TierName, uid: int | None) -> None:
    """Write the script and input/ into a workspace, never through a link.

    What an earlier job left in it is given to this job's user first.
    """
    if uid is not None:
        give_folder(job.workspace, uid)
    write_new_file(job.workspace / "solution.py", job.script)
    folder = job.workspace / "input"
    folder.mkdir()
    check_input_names(job.inputs)
    for name, source in job.inputs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if tier != "bubblewrap":
            (folder / name).symlink_to(Path(source).absolute())
        elif Path(source).is_dir():  # bubblewrap binds the source onto an empty one
            (folder / name).mkdir()
        else:
            (folder / name).touch()
    if tier != "bubblewrap":
        (job.workspace / TMP_NAME).mkdir()
    if uid is not None:
        for path in (job.workspace, job.workspace / "solution.py", job.workspace / TMP_NAME):
            if path.exists():
                os.chown(path, uid, uid, follow_symlinks=False)


def write_new_file(path: Path, text: str) -> None:
    """Write a file that must not exist yet, not even as a link."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def is_open_to_other_user(tier: TierName, job: Job, python: str = "") -> bool:
    """Whether an ordinary user can reach what the job needs.

    Bubblewrap binds files wherever they are, as long as the user may read them.
    """
    if tier == "bubblewrap":
        return all(others_can_read(path) for path in job.inputs.values())
    interpreter = find_interpreter_needs(*Placement(python=python).pythons).paths
    needed = [*interpreter, *job.inputs.values()]
    return all(others_can_reach(path) for path in needed) and others_can_enter(job.workspace)
