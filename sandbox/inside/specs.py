"""Records that host and sandbox exchange as JSON.

The programs inside import this module for type checking only, so it is never copied or bound.
"""

from __future__ import annotations

from typing import TypedDict


class LandlockRules(TypedDict):
    """Paths that Landlock leaves open; `network`: whether TCP stays allowed."""

    readable: list[str]
    writable: list[str]
    network: bool


class KeeperSpec(TypedDict):
    """Orders for `keeper.py`, its one argument."""

    command: list[str]  # the script's, with an absolute path of the program
    workspace: str
    limits: dict[str, int]  # name of a resource limit, e.g. RLIMIT_DATA -> value
    cores: list[int]  # to pin the script to; empty: any
    uid: int | None  # user to become
    confined: bool  # whether to drop capabilities
    namespaces: bool  # whether the keeper makes them itself, for want of bubblewrap
    network: bool
    covered: list[str]  # folders to cover by an empty file system
    tmp_bytes: int  # size of each of these
    landlock: LandlockRules | None
    families: list[int]  # socket families that the seccomp filter allows; empty: no filter
    sweep: bool  # whether to kill the tree by search, for want of a PID namespace
    parent: int  # process id of the agent
    agent_namespace: int  # inode of its PID namespace
    report: int  # descriptor to write the report to


class KeeperReport(TypedDict, total=False):
    """Written by the keeper: status and cpu_s, or error; empty if it was killed."""

    status: int  # as of os.waitpid
    cpu_s: float
    error: str


class RemoteLimits(TypedDict):
    """The fields of `sandbox.protocol.Limits` that the supervisor of a remote sandbox reads."""

    wall_s: float
    grace_s: float
    memory_bytes: int
    disk_bytes: int
    files: int
    output_bytes: int
    output_kill_bytes: int
    processes: int


class RemoteSpec(TypedDict):
    """spec.json: one job of `remote.py`."""

    script: str
    limits: RemoteLimits
    env: dict[str, str]
    inputs: list[tuple[str, str, bool]]  # name below input/, SHA-256, whether it is a folder
    collect: list[str]


class RemoteResult(TypedDict):
    """result.json: how the job ended; checked by `sandbox.e2b.box.SupervisorReport`."""

    end: str
    code: int  # exit code, or minus the signal's number
    wall_s: float
    cpu_s: float
    peak_bytes: int
    dropped: int  # bytes of output left out
    files: dict[str, tuple[int, str]]  # name -> size, SHA-256
    refused: dict[str, str]
    unprivileged: bool


class MachineInfo(TypedDict):
    """Answer of `remote.py survey`."""

    packages: dict[str, str]
    cpus: int
    python: str
