"""What is started for a job in each tier: the command line, its environment, and the keeper's orders."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.inside import confine
from sandbox.local import bwrap
from sandbox.local.users import others_enter, others_reach, others_read
from sandbox.protocol import Job, SandboxLost

TierName = Literal["bubblewrap", "userns", "landlock", "none"]
INSIDE = Path(__file__).parents[1] / "inside"
KEEPER, CONFINE, ZYGOTE = INSIDE / "keeper.py", INSIDE / "confine.py", INSIDE / "zygote.py"
DEVICES = ("null", "zero", "full", "random", "urandom", "shm")
TMP = ".tmp"  # in the workspace, where there is no /tmp of the job's own


@dataclass(frozen=True)
class Place:
    """What the host gave a job besides its limits."""

    cores: list[int] = field(default_factory=list)
    uid: int | None = None
    devices: list[str] = field(default_factory=list)
    gpu_ids: list[str] = field(default_factory=list)
    mark: str = ""
    report: int = -1


@dataclass(frozen=True)
class Plan:
    command: list[str]
    environment: dict[str, str]


def make(tier: TierName, job: Job, place: Place, command: list[str] | None = None) -> Plan:
    """`command` stands for `python solution.py` in probes and in the warm interpreter."""
    inside = bwrap.WORKSPACE if tier == "bubblewrap" else str(job.workspace)
    environment = scrubbed(job, place, tmp="/tmp" if tier == "bubblewrap" else f"{inside}/{TMP}")
    spec = orders(tier, job, place, inside, command or python("-s", "solution.py"))
    if tier == "bubblewrap":
        keeper = [sys.executable, "-I", "-S", f"{bwrap.OURS}/{KEEPER.name}", json.dumps(spec)]
        outer = [shutil.which("bwrap") or "bwrap", *mounts(job, place, environment), *keeper]
        return Plan(outer, {"PATH": "/usr/bin:/bin", "GOME_JOB": place.mark})
    return Plan([sys.executable, "-I", "-S", str(KEEPER), json.dumps(spec)], environment)


def python(*words: str) -> list[str]:
    return [sys.executable, *words]


def orders(
    tier: TierName, job: Job, place: Place, workspace: str, command: list[str]
) -> dict[str, Any]:
    """The keeper's spec (`keeper.py`)."""
    confined = tier != "none"
    walled = (
        tier in ("bubblewrap", "userns") or job.limits.network
    )  # no IP beyond the sandbox unless it is allowed
    families = [confine.UNIX, confine.NETLINK, *([confine.INET, confine.INET6] if walled else [])]
    return {
        "command": command,
        "workspace": workspace,
        "limits": rlimits(tier, job, place),
        "cores": place.cores,
        "uid": place.uid if confined else None,
        "confined": confined,
        "namespaces": tier == "userns",
        "network": job.limits.network,
        "covered": covered(job) if tier == "userns" else [],
        "tmp_bytes": tmp_bytes(job),
        "landlock": paths(job, place, tier) if tier in ("userns", "landlock") else None,
        "families": families if confined and confine.seccomp_known() else [],
        "sweep": tier != "bubblewrap",
        "parent": os.getpid(),
        "report": place.report,
    }


def rlimits(tier: TierName, job: Job, place: Place) -> dict[str, int]:
    """RLIMIT_DATA gives a clean MemoryError; never RLIMIT_AS, which breaks torch; neither for CUDA, which maps the GPU's memory."""
    limits = job.limits
    values = {"RLIMIT_FSIZE": limits.disk_bytes, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 4096}
    if not place.gpu_ids:
        values["RLIMIT_DATA"] = limits.memory_bytes
    if place.uid is not None or os.getuid() != 0:
        own_count = tier in ("bubblewrap", "userns") or place.uid is not None
        values["RLIMIT_NPROC"] = limits.processes + (0 if own_count else threads_of(os.getuid()))
    return values


def threads_of(uid: int) -> int:
    """RLIMIT_NPROC counts all threads of a user; without a user namespace the user's other work counts too."""
    import psutil

    total = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        total += process.info["num_threads"] or 0 if uids and uids.real == uid else 0
    return total


def tmp_bytes(job: Job) -> int:
    return min(bwrap.TMP_BYTES, job.limits.memory_bytes // 2)


def mounts(job: Job, place: Place, environment: dict[str, str]) -> list[str]:
    arguments = bwrap.base_arguments(
        network=job.limits.network,
        root=place.uid is not None,
        tmp_bytes=tmp_bytes(job),
        devices=place.devices,
        gpu=bool(place.gpu_ids),
    )
    for path in (KEEPER, CONFINE, ZYGOTE):
        arguments += ["--ro-bind", str(path), f"{bwrap.OURS}/{path.name}"]
    arguments += ["--bind", str(job.workspace), bwrap.WORKSPACE]
    for name, source in job.inputs.items():
        arguments += ["--ro-bind", source, f"{bwrap.WORKSPACE}/input/{name}"]
    arguments += bwrap.sealed() + ["--chdir", bwrap.WORKSPACE]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return arguments


def paths(job: Job, place: Place, tier: TierName) -> dict[str, Any]:
    """Landlock's allow-list."""
    readable = [
        *bwrap.SYSTEM,
        *(f"/etc/{name}" for name in bwrap.etc(job.limits.network)),
        *bwrap.interpreter_folders(),
    ]
    readable += [
        "/proc",
        "/sys/fs/cgroup",
        "/sys/devices/system",
        *job.inputs.values(),
    ]  # joblib reads its quota below /sys/fs/cgroup
    if place.gpu_ids:
        readable += ["/sys"]
    writable = [str(job.workspace), *(f"/dev/{name}" for name in DEVICES), *place.devices]
    return {
        "readable": readable,
        "writable": writable,
        "network": tier == "userns" or job.limits.network,
    }


def covered(job: Job) -> list[str]:
    """Folders that get an empty file system of their own; /run holds the sockets of services, unless something needed lies there."""
    needed = [str(job.workspace), *job.inputs.values(), *bwrap.interpreter_folders(), str(INSIDE)]
    return [
        "/dev/shm",
        *(
            ["/run"]
            if os.path.isdir("/run")
            and not any(os.path.realpath(one).startswith("/run/") for one in needed)
            else []
        ),
    ]


def scrubbed(job: Job, place: Place = Place(), *, tmp: str = "/tmp") -> dict[str, str]:  # noqa: B008 (frozen)
    """A small environment of our own: no key of the agent's reaches a script; thread pools get the job's cores."""
    threads = str(len(place.cores) or job.limits.cpus)
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
    names = {f"{pool}_NUM_THREADS": threads for pool in pools} | {
        "POLARS_MAX_THREADS": threads,
        "LOKY_MAX_CPU_COUNT": threads,
    }
    fixed = {
        "PATH": os.path.dirname(sys.executable) + ":/usr/bin:/bin",
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
    if place.gpu_ids and (libraries := os.environ.get("LD_LIBRARY_PATH")):
        fixed["LD_LIBRARY_PATH"] = libraries
    return fixed | names | job.env


# the workspace


def lay_out(job: Job, tier: TierName, uid: int | None) -> None:
    """Script and input/ in a fresh workspace, never written through a link."""
    write_new(job.workspace / "solution.py", job.script)
    folder = job.workspace / "input"
    folder.mkdir()
    for name, source in job.inputs.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise SandboxLost(f"input name {name!r} is not a plain file name")
        if tier != "bubblewrap":
            os.symlink(os.path.abspath(source), folder / name)
        elif os.path.isdir(source):
            (folder / name).mkdir()
        else:
            (folder / name).touch()
    if tier != "bubblewrap":
        (job.workspace / TMP).mkdir()
    if uid is not None:
        for path in (job.workspace, job.workspace / "solution.py", job.workspace / TMP):
            if path.exists():
                os.chown(path, uid, uid, follow_symlinks=False)


def write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def fits_other_user(tier: TierName, job: Job) -> bool:
    """Whether an ordinary user can reach what the job needs. Bubblewrap binds it wherever it lies, as long as the files are readable."""
    if tier == "bubblewrap":
        return all(others_read(path) for path in job.inputs.values())
    needed = [*bwrap.interpreter_folders(), *job.inputs.values()]
    return all(others_reach(path) for path in needed) and others_enter(job.workspace)
