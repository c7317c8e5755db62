"""The command line of the bubblewrap tier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sandbox.local.interpreter import SYSTEM_FOLDERS, find_interpreter_needs

ETC_NAMES = (
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
NETWORK_ETC_NAMES = ("resolv.conf", "hosts", "nsswitch.conf", "ssl", "ca-certificates", "pki")
WORKSPACE, TOOLS = "/job", "/run/gome"  # paths inside the sandbox
NOBODY = 65534
TMP_BYTES = 512 * 2**20
KEEPER_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SETPCAP")


def etc_names(network: bool) -> tuple[str, ...]:
    """Return the names below /etc that scripts may read."""
    return ETC_NAMES + (NETWORK_ETC_NAMES if network else ())


def base_arguments(
    *,
    network: bool,
    root: bool,
    tmp_bytes: int,
    devices: list[str],
    gpu: bool,
    pythons: Sequence[str] = (),
) -> list[str]:
    """Return the arguments for namespaces and an allow-list of mounts.

    Args:
        network: whether the script shares the host's network.
        root: whether we are root and the keeper becomes an ordinary user inside. Then no user
            namespace is needed, and files below a folder that only root may enter can still be
            bound; the keeper has the few capabilities that the change takes, the script none.
        tmp_bytes: size of /tmp, and of /dev/shm.
        devices: device files to bind.
        gpu: whether to bind /sys, which CUDA reads.
        pythons: the interpreters that run inside; none: the one that runs now.
    """
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += [] if network else ["--unshare-net"]
    arguments += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if root:
        arguments += [word for right in KEEPER_CAPABILITIES for word in ("--cap-add", right)]
    else:
        uid = str(os.getuid() or NOBODY)
        arguments += ["--unshare-user", "--uid", uid, "--gid", uid]
    arguments += _system_mounts(network)
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/tmp"]
    arguments += ["--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/dev/shm"]
    for device in devices:  # only those that the job leased: CUDA cannot see the others
        arguments += [*parent_arguments(device), "--dev-bind", device, device]
    arguments += ["--ro-bind", "/sys", "/sys"] if gpu else []
    arguments += parent_arguments(f"{TOOLS}/keeper.py")
    # after /tmp: an environment may be below it
    return [*arguments, *interpreter_mounts(*pythons), "--proc", "/proc"]


def interpreter_mounts(*pythons: str) -> list[str]:
    """Return arguments for what Pythons need; by default, the one that runs now."""
    needs, arguments = find_interpreter_needs(*pythons), list[str]()
    for path in needs.paths:
        arguments += [*parent_arguments(path), "--ro-bind", path, path]
    for path, target in needs.links:
        arguments += [*parent_arguments(path), "--symlink", target, path]
    return arguments


def _system_mounts(network: bool) -> list[str]:
    arguments: list[str] = []
    for folder in SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), folder]
        elif path.is_dir():
            arguments += ["--ro-bind", folder, folder]
    for name in etc_names(network):
        source = f"/etc/{name}"
        arguments += [*parent_arguments(source), "--ro-bind-try", source, source]
    return arguments


def parent_arguments(path: str) -> list[str]:
    """Return arguments that create the folders above a mount with mode 0755.

    Those that bubblewrap creates itself admit only their owner.
    """
    return [
        word
        for folder in list(Path(path).parents)[-2::-1]
        for word in ("--perms", "0755", "--dir", str(folder))
    ]


def seal_arguments() -> list[str]:
    """Return arguments that make all but the workspace, /tmp and /dev/shm read-only.

    They come after every mount.

    Without it root could write /proc/sys.
    """
    return ["--remount-ro", "/proc", "--remount-ro", "/"]
