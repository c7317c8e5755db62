"""The keeper of a script's process tree: starts the script confined, waits, kills what is left.

    python -I -S keeper.py SPEC        (JSON; see `sandbox.inside.specs.KeeperSpec`)

It runs inside the sandbox, standard library only, but outside the script's own confinement. It
writes a `sandbox.inside.specs.KeeperReport` to the descriptor `report`, which the script never
holds. Without a PID namespace it is the subreaper of the tree and lives until the tree is gone.
"""

# ruff: noqa: PTH100, PTH116, PTH120, PTH123, PTH208 (pathlib takes longer to import than all the rest)

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
    from sandbox.inside import confine
    from sandbox.inside.specs import KeeperReport, KeeperSpec
else:  # the neighbouring file: the package is not bound into the sandbox
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import confine

    sys.path.pop(0)

NAMESPACE_FLAGS = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
MS_NOSUID_NODEV, MS_NOEXEC, MS_REC_PRIVATE = 6, 8, 0x44000
EXIT_LOST = 125


def main() -> None:
    """Run the job of the spec; exit like the script, or with EXIT_LOST if it cannot start."""
    spec: KeeperSpec = json.loads(sys.argv[1])
    os.set_inheritable(spec["report"], False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # meant for the script's processes
    try:
        confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
        if spec["sweep"]:
            watch_parent(spec["parent"])
        if spec["namespaces"]:
            enter_namespaces(spec)
        check_namespace(spec)
        confine.prctl(confine.PR_SET_DUMPABLE, 0)  # the script may not look into its keeper
        child = os.fork()
        if child == 0:
            become_script(spec)
    except OSError as error:
        report_failure(spec, error)
    status = wait_for_child(child)
    clear_tree(spec["sweep"])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    send_report(spec, {"status": status, "cpu_s": used.ru_utime + used.ru_stime})
    exit_like(status)


def check_namespace(spec: KeeperSpec) -> None:
    """Refuse to go on where a PID namespace is missing: `clear_tree` signals all that it can see.

    Raises OSError.
    """
    if not spec["sweep"] and os.stat("/proc/self/ns/pid").st_ino == spec["agent_namespace"]:
        raise OSError("the sandbox has no PID namespace of its own")


def exit_like(status: int) -> None:
    """Exit with the code of a wait status, as a shell does."""
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def send_report(spec: KeeperSpec, report: KeeperReport) -> None:
    """Write the report, one line of JSON."""
    os.write(spec["report"], json.dumps(report).encode() + b"\n")


def report_failure(spec: KeeperSpec, error: OSError) -> None:
    """Report why the script could not start, and exit."""
    send_report(spec, {"error": f"{error.strerror or error}"})
    os._exit(EXIT_LOST)


# the keeper


def watch_parent(parent: int) -> None:
    """Kill the tree when the agent dies, even by SIGKILL."""
    signal.signal(signal.SIGHUP, lambda *_: end_tree())
    confine.die_with_parent(signal.SIGHUP)
    if os.getppid() != parent:
        os._exit(EXIT_LOST)


def wait_for_child(child: int) -> int:
    """Wait for the child and return its status; reap every other process on the way."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def end_tree() -> None:
    """Kill the tree and exit."""
    clear_tree(sweep=True)
    os._exit(128 + signal.SIGHUP)


def clear_tree(sweep: bool) -> None:
    """Kill and reap everything that is left below, so that its CPU time is counted too."""
    if not sweep:
        send_signal(-1, signal.SIGKILL)  # in a PID namespace: all but this process and the first
        reap_children()
    while sweep and (pids := living_descendants(os.getpid())):
        for pid in pids:  # all are stopped first: a fork bomb cannot outrun the sweep
            send_signal(pid, signal.SIGSTOP)
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
        reap_children(os.WNOHANG)
        time.sleep(0.001)


def send_signal(pid: int, number: int) -> None:
    """Send a signal; a process that has ended is skipped."""
    try:
        os.kill(pid, number)
    except OSError:
        return


def reap_children(options: int = 0) -> None:
    """Wait for every child; with os.WNOHANG, for those that have ended."""
    try:
        while os.waitpid(-1, options)[0]:
            continue
    except ChildProcessError:
        return


def living_descendants(root: int) -> list[int]:
    """Return the living processes below root, without zombies."""
    children: dict[int, list[int]] = {}  # parent -> process ids; of zombies negative
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            is_dead = fields[0] in (b"Z", b"X")
            children.setdefault(int(fields[1]), []).append(-int(name) if is_dead else int(name))
    descendants, queue = [], [root]
    while queue:
        pids = children.get(queue.pop(), [])
        descendants += [pid for pid in pids if pid > 0]
        queue += [abs(pid) for pid in pids]
    return descendants


# namespaces, if bubblewrap is not installed


def enter_namespaces(spec: KeeperSpec) -> None:
    """Enter new namespaces.

    This process stays outside and exits like its child, which is process 1 of the new namespaces
    and continues as the keeper.
    """
    uid, gid = os.getuid(), os.getgid()  # unmapped, and so unknown, once we have left
    names = ["mount", "ipc", "uts", "pid", "cgroup"]
    names += [] if spec["network"] else ["net"]
    names += ["user"] if uid else []
    flags = sum(NAMESPACE_FLAGS[name] for name in names)
    confine.check_result(confine.LIBC.unshare(flags), "unshare")
    if uid:
        map_user(uid, gid)
    first = os.fork()
    if first:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(first, signal.SIGKILL))
        _, status = os.waitpid(first, 0)
        exit_like(status)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    confine.die_with_parent(signal.SIGKILL)
    spec["sweep"] = False
    mount_folders(spec)
    if not spec["network"]:
        raise_loopback()


def map_user(uid: int, gid: int) -> None:
    """Map user and group to themselves in the new user namespace."""
    texts = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, text in texts.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mount_folders(spec: KeeperSpec) -> None:
    """Mount a /proc of the new namespace, and an empty file system on each covered folder."""
    mount_filesystem("none", "/", None, MS_REC_PRIVATE)
    mount_filesystem("proc", "/proc", "proc", MS_NOSUID_NODEV | MS_NOEXEC)
    for folder in spec["covered"]:
        options = f"size={spec['tmp_bytes']},mode=1777"
        mount_filesystem("tmpfs", folder, "tmpfs", MS_NOSUID_NODEV, options)


def mount_filesystem(
    source: str, target: str, kind: str | None, flags: int, options: str = ""
) -> None:
    """Call mount(2). Raises OSError with the target."""
    result = confine.LIBC.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    confine.check_result(result, f"mount {target}")


def raise_loopback() -> None:
    """Bring up the loopback device of the new network namespace."""
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP


# the script


def become_script(spec: KeeperSpec) -> None:
    """Confine this process and execute the script in a fresh interpreter; never returns."""
    try:
        confine.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(spec["workspace"])
        restrict_script(spec)
        os.execve(spec["command"][0], spec["command"], dict(os.environ))
    except OSError as error:
        report_failure(spec, error)


def restrict_script(spec: KeeperSpec) -> None:
    """Apply limits, user, capabilities, paths and system calls.

    The order matters: each step still needs the rights that the next one drops.
    """
    for name, value in spec["limits"].items():
        lower_limit(getattr(resource, name), value)
    if spec["cores"]:
        os.sched_setaffinity(0, spec["cores"])
    if spec["confined"]:
        confine.drop_bounding_set()
    if spec["uid"] is not None:
        confine.become_user(spec["uid"])
        confine.die_with_parent(signal.SIGKILL)  # a change of user clears it
    if spec["confined"]:
        confine.drop_capabilities()
        confine.no_new_privileges()
    if spec["landlock"]:
        confine.apply_landlock(**spec["landlock"])
    if spec["families"]:
        confine.apply_seccomp(spec["families"])


def lower_limit(kind: int, value: int) -> None:
    """Set soft and hard limit, never above the present hard limit."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main()
