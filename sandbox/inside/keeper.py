"""Runs inside the sandbox: confines a child, becomes the script there, and stays outside it as the keeper of its tree.
Standard library only.

    python -I -S keeper.py SPEC        (JSON; see `sandbox.local.plan`)

The keeper waits for the script, kills whatever it left running, and writes {"status", "cpu_s"} or {"error"} to `report`, a descriptor
that the script never holds. Without a PID namespace it is the subreaper of the tree and survives until nothing of it is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False  # `typing` takes longer to import than all the rest
if TYPE_CHECKING:
    from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confine  # type: ignore[import-not-found]  # noqa: E402

sys.path.pop(0)

NEW = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
MS_NOSUID_NODEV, MS_NOEXEC, MS_REC_PRIVATE = 6, 8, 0x44000
LOST = 125


def main() -> None:
    spec = json.loads(sys.argv[1])
    os.set_inheritable(spec["report"], False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # meant for the script's processes
    try:
        confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
        if spec["sweep"]:
            watch_parent(spec["parent"])
        if spec["namespaces"]:
            enter_namespaces(spec)
        confine.prctl(confine.PR_SET_DUMPABLE, 0)  # the script may not look into its keeper
        child = os.fork()
        if child == 0:
            become_script(spec)
    except OSError as error:
        fail(spec, error)
    status = wait_for(child)
    clear(spec["sweep"])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report(spec, {"status": status, "cpu_s": used.ru_utime + used.ru_stime})
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def report(spec: dict[str, Any], value: dict[str, Any]) -> None:
    os.write(spec["report"], json.dumps(value).encode() + b"\n")


def fail(spec: dict[str, Any], error: OSError) -> None:
    report(spec, {"error": f"{error.strerror or error}"})
    os._exit(LOST)


# the keeper


def watch_parent(parent: int) -> None:
    """Ends the tree when the agent dies, even by SIGKILL."""
    signal.signal(signal.SIGHUP, lambda *_: end_tree())
    confine.die_with_parent(signal.SIGHUP)
    if os.getppid() != parent:
        os._exit(LOST)


def wait_for(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def end_tree() -> None:
    clear(sweep=True)
    os._exit(128 + signal.SIGHUP)


def clear(sweep: bool) -> None:
    """Kills and reaps everything that is left below, so that its CPU time is counted too."""
    if not sweep:
        send(-1, signal.SIGKILL)  # in a PID namespace: all but this process and the first
        reap()
    while sweep and (below := descendants(os.getpid())):
        for number in (
            signal.SIGSTOP,
            signal.SIGKILL,
        ):  # stopped first: a fork bomb cannot outrun the sweep
            for pid in below:
                send(pid, number)
        reap(os.WNOHANG)
        time.sleep(0.001)


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:  # gone already
        return


def reap(options: int = 0) -> None:
    try:
        while os.waitpid(-1, options)[0]:
            continue
    except ChildProcessError:
        return


def descendants(root: int) -> list[int]:
    """Living processes below root; zombies are left out."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(
                int(name) if fields[0] not in (b"Z", b"X") else -int(name)
            )
    found, queue = [], [root]
    while queue:
        below = parents.get(queue.pop(), [])
        found += [pid for pid in below if pid > 0]
        queue += [abs(pid) for pid in below]
    return found


# namespaces of our own, where bubblewrap is not installed


def enter_namespaces(spec: dict[str, Any]) -> None:
    """This process stays outside and passes the end on; its child is process 1 of the new namespaces and goes on as the keeper."""
    uid, gid = os.getuid(), os.getgid()
    names = (
        ["mount", "ipc", "uts", "pid", "cgroup"]
        + ([] if spec["network"] else ["net"])
        + (["user"] if uid else [])
    )
    confine.must(confine.LIBC.unshare(sum(NEW[name] for name in names)), "unshare")
    if uid:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    first = os.fork()
    if first:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(first, signal.SIGKILL))
        _, status = os.waitpid(first, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    confine.die_with_parent(signal.SIGKILL)
    spec["sweep"] = False
    mount("none", "/", None, MS_REC_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID_NODEV | MS_NOEXEC)
    for folder in spec["covered"]:
        mount("tmpfs", folder, "tmpfs", MS_NOSUID_NODEV, f"size={spec['tmp_bytes']},mode=1777")
    if not spec["network"]:
        raise_loopback()


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    result = confine.LIBC.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    confine.must(result, f"mount {target}")


def raise_loopback() -> None:
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP


# the script


def become_script(spec: dict[str, Any]) -> None:
    """Never returns: the interpreter starts anew, confined, so that a script sees a process as any other."""
    try:
        confine.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(spec["workspace"])
        restrict(spec)
        os.execve(spec["command"][0], spec["command"], dict(os.environ))
    except OSError as error:
        fail(spec, error)


def restrict(spec: dict[str, Any]) -> None:
    """Limits, then another user, then no capabilities, paths and system calls: each step still needs the rights that the next one drops."""
    for name, value in spec["limits"].items():
        limit(getattr(resource, name), value)
    if spec["cores"]:
        os.sched_setaffinity(0, spec["cores"])
    if spec["confined"]:
        confine.drop_bounding_set()
    if spec["uid"] is not None:
        confine.become(spec["uid"])
        confine.die_with_parent(signal.SIGKILL)  # a change of user clears it
    if spec["confined"]:
        confine.drop_capabilities()
        confine.no_new_privileges()
    if spec["landlock"]:
        confine.landlock(**spec["landlock"])
    if spec["families"]:
        confine.seccomp(spec["families"])


def limit(kind: int, value: int) -> None:
    """Soft and hard limit, never above what is allowed already."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main()
