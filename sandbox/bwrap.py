"""The bubblewrap tier: its command line, and whether it starts here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "timezone", "mime.types", "ssl/openssl.cnf", "fonts")
NOBODY = 65534
WORKSPACE, LAUNCHER = "/job", "/run/launch.py"  # where they appear inside
TMP_BYTES = 512 * 2**20


def interpreter_folders() -> list[str]:
    """What the running Python needs: its environment, the installation behind it, and the folders that hold its links."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    executable = Path(sys.executable)
    while executable.is_symlink():
        target = Path(os.readlink(executable))
        executable = target if target.is_absolute() else executable.parent / target
        found.append(str(executable.parent.parent))
    kept = []
    for folder in dict.fromkeys(os.path.realpath(folder) if not os.path.islink(folder) else folder for folder in found):
        if folder not in ("/", "/usr") and not any(folder.startswith(system + "/") for system in SYSTEM) and os.path.isdir(folder):
            kept.append(folder)
    return kept


def base_arguments(*, network: bool = False, uid: int = NOBODY) -> list[str]:
    """Namespaces, an allow-list of mounts, no capabilities; /proc and / read-only (a root process could write /proc/sys otherwise)."""
    arguments = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += [] if network else ["--unshare-net"]
    arguments += ["--uid", str(uid), "--gid", str(uid), "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for folder in SYSTEM:
        if os.path.islink(folder):
            arguments += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            arguments += ["--ro-bind", folder, folder]
    for name in ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    if network:
        for name in ("resolv.conf", "hosts", "nsswitch.conf", "ssl"):
            arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--dev", "/dev", "--size", str(TMP_BYTES), "--tmpfs", "/tmp", "--size", str(TMP_BYTES), "--tmpfs", "/dev/shm"]
    for folder in interpreter_folders():  # after /tmp: an environment may lie below it
        arguments += ["--ro-bind", folder, folder]
    return arguments + ["--proc", "/proc"]


def sealed() -> list[str]:
    """After every mount: nothing but the workspace, /tmp and /dev/shm can be written."""
    return ["--remount-ro", "/proc", "--remount-ro", "/"]


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """None when bubblewrap starts here with the real flags and the real interpreter; else why it does not."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed"
    probe = [program, *base_arguments(), *sealed(), sys.executable, "-I", "-S", "-c", "print('ok')"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start ({error})"
    if done.returncode == 0 and done.stdout.strip() == "ok":
        return None
    return f"bubblewrap does not start here ({done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode})"
