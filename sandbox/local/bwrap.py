"""The bubblewrap tier: its command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "localtime",
    "timezone",
    "mime.types",
    "ssl/openssl.cnf",
    "fonts",
)
NETWORK_ETC = ("resolv.conf", "hosts", "nsswitch.conf", "ssl", "ca-certificates", "pki")
WORKSPACE, OURS = "/job", "/run/gome"  # where they appear inside
NOBODY = 65534
TMP_BYTES = 512 * 2**20
KEEPER_RIGHTS = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SETPCAP")


def interpreter_folders() -> list[str]:
    """What the running Python needs: its environment, the installation behind it, and the folders that hold its links."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    executable = Path(sys.executable)
    while executable.is_symlink():
        target = Path(os.readlink(executable))
        executable = target if target.is_absolute() else executable.parent / target
        found.append(str(executable.parent.parent))
    kept = []
    for folder in dict.fromkeys(
        os.path.realpath(folder) if not os.path.islink(folder) else folder for folder in found
    ):
        if (
            folder not in ("/", "/usr")
            and not any(folder.startswith(system + "/") for system in SYSTEM)
            and os.path.isdir(folder)
        ):
            kept.append(folder)
    return kept


def etc(network: bool) -> tuple[str, ...]:
    return ETC + (NETWORK_ETC if network else ())


def base_arguments(
    *, network: bool, root: bool, tmp_bytes: int, devices: list[str], gpu: bool
) -> list[str]:
    """Namespaces and an allow-list of mounts.

    `root`: we are root and the keeper becomes an ordinary user inside. No user namespace is needed then, and files below a folder that
    only root may enter can still be bound; the keeper keeps the few rights that the change takes, the script none.
    """
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += [] if network else ["--unshare-net"]
    arguments += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if root:
        arguments += [word for right in KEEPER_RIGHTS for word in ("--cap-add", right)]
    else:
        uid = str(os.getuid() or NOBODY)
        arguments += ["--unshare-user", "--uid", uid, "--gid", uid]
    for folder in SYSTEM:
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    for name in etc(network):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/tmp"]
    arguments += ["--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/dev/shm"]
    for device in devices:  # only those that the job has leased: CUDA cannot see the others
        arguments += [*open_way(device), "--dev-bind", device, device]
    arguments += ["--ro-bind", "/sys", "/sys"] if gpu else []
    arguments += open_way(f"{OURS}/keeper.py")
    for folder in interpreter_folders():  # after /tmp: an environment may lie below it
        arguments += [*open_way(folder), "--ro-bind", folder, folder]
    return arguments + ["--proc", "/proc"]


def open_way(path: str) -> list[str]:
    """The folders above a mount, made so that an ordinary user may enter them (bubblewrap's own are for the owner only)."""
    return [
        word
        for folder in list(Path(path).parents)[-2::-1]
        for word in ("--perms", "0755", "--dir", str(folder))
    ]


def sealed() -> list[str]:
    """After every mount: nothing but the workspace, /tmp and /dev/shm can be written (root could write /proc/sys otherwise)."""
    return ["--remount-ro", "/proc", "--remount-ro", "/"]
