"""Runs inside a remote sandbox: one script with its limits, its whole process tree watched and ended.  Standard library only.

The job folder holds spec.json; left behind are result.json, output.log and the script's files in work/. As root the script gets an
ordinary uid that cannot become root again, so that neither this supervisor nor the inputs of later scripts are in its reach.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sandbox.inside.collect import collect
from sandbox.inside.output import Output
from sandbox.inside.progress import LastLine

UNPRIVILEGED = 65534
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
TICK_S, DISK_EVERY_S, DRAIN_S = 0.1, 0.5, 0.5
LIBC = ctypes.CDLL(None, use_errno=True)


class Tree:
    """Every process below this one; orphans come to it too, because it is their subreaper."""

    def __init__(self) -> None:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.statuses: dict[int, int] = {}

    def pids(self) -> list[int]:
        parents = dict(
            filter(None, (parent_of(name) for name in os.listdir("/proc") if name.isdigit()))
        )
        found: list[int] = []
        wanted = {os.getpid()}
        while wanted:
            wanted = {pid for pid, parent in parents.items() if parent in wanted}
            found.extend(wanted)
        return found

    def signal(self, number: int) -> None:
        for pid in self.pids():
            with suppress(OSError):
                os.kill(pid, number)

    def reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.statuses[pid] = status

    def end(self) -> None:
        """Stopped first, so that nothing can fork away from the kill."""
        while self.pids():
            self.signal(signal.SIGSTOP)
            self.signal(signal.SIGKILL)
            time.sleep(0.01)
            self.reap()

    def resident(self, name: str = "statm") -> int:
        return sum(memory_of(pid, name) for pid in self.pids())


def parent_of(pid: str) -> tuple[int, int] | None:
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(pid), int(fields[1])


def memory_of(pid: int, name: str) -> int:
    """Resident bytes (statm), or with shared pages divided among their users (smaps_rollup)."""
    try:
        text = Path("/proc", str(pid), name).read_text()
    except OSError:
        return 0
    if name == "statm":
        return int(text.split()[1]) * resource.getpagesize()
    return next(
        (int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0
    )


def lay_out(folder: Path, spec: dict[str, Any]) -> None:
    """work/ with the script and input/, tmp/; the inputs are links to files of ours."""
    for name in ("work", "tmp"):
        (folder / name).mkdir()
    (folder / "work" / "solution.py").write_text(spec["script"], encoding="utf-8")
    place = folder / "work" / "input"
    place.mkdir()
    for name, digest, is_folder in spec["inputs"]:
        kept = folder.parent.parent / "data" / digest
        os.symlink(unpacked(kept) if is_folder else kept, place / name)
    if os.getuid() == 0:
        for name in ("work", "tmp", "work/solution.py"):
            os.chown(folder / name, UNPRIVILEGED, UNPRIVILEGED)


def unpacked(archive: Path) -> Path:
    """The folder of a shipped archive, unpacked once."""
    folder = archive.with_name(archive.name + ".d")
    if not folder.exists():
        part = archive.with_name(f"{archive.name}.{os.getpid()}.part")
        with tarfile.open(archive) as file:
            file.extractall(part, filter="data") if hasattr(
                tarfile, "data_filter"
            ) else file.extractall(part)
        with suppress(OSError):
            part.rename(folder)
        shutil.rmtree(part, ignore_errors=True)
    return folder


def start(folder: Path, spec: dict[str, Any], unprivileged: bool) -> subprocess.Popen[bytes]:
    limits = spec["limits"]
    memory = min(limits["memory_bytes"], os.sysconf("SC_PHYS_PAGES") * resource.getpagesize())
    command = [sys.executable, "-s", "solution.py"]
    own = {
        "PATH": os.path.dirname(sys.executable) + ":/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
    }

    def before() -> None:
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        bound(
            resource.RLIMIT_DATA, memory
        )  # a clean MemoryError; never RLIMIT_AS, which breaks torch
        bound(resource.RLIMIT_FSIZE, limits["disk_bytes"])
        bound(resource.RLIMIT_CORE, 0)
        bound(resource.RLIMIT_NOFILE, 4096)
        if unprivileged:
            bound(resource.RLIMIT_NPROC, limits["processes"])
            os.setgroups([])
            os.setgid(UNPRIVILEGED)
            os.setuid(UNPRIVILEGED)

    return subprocess.Popen(
        command,
        cwd=folder / "work",
        env=spec["env"] | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=before,
    )


def bound(kind: int, value: int) -> None:
    """Soft and hard limit, never above what is allowed already."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


class Watch:
    """One script from start to end: reads its output, samples its memory and disk, finds why it ends."""

    def __init__(
        self, folder: Path, limits: dict[str, Any], tree: Tree, process: subprocess.Popen[bytes]
    ) -> None:
        self.folder, self.limits, self.tree, self.process = folder, limits, tree, process
        self.output, self.peak, self.open = Output(limits["output_bytes"]), 0, True
        self.line = LastLine()
        self.next_disk = 0.0
        self.pipe = selectors.DefaultSelector()
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        self.pipe.register(process.stdout, selectors.EVENT_READ)

    @property
    def exited(self) -> bool:
        self.tree.reap()
        return self.process.pid in self.tree.statuses

    def read(self, seconds: float) -> None:
        """What was printed in the next moment; the end of the pipe is noted."""
        until = time.monotonic() + seconds
        while self.open and (left := until - time.monotonic()) > 0 and self.pipe.select(left):
            data = os.read(self.process.stdout.fileno(), 64 * 1024) if self.process.stdout else b""
            self.output.add(data)
            self.line.add(data)
            self.open = bool(data)
            if self.exited or self.output.n_total > self.limits["output_kill_bytes"]:
                return
        if not self.open:
            time.sleep(max(0.0, min(seconds, until - time.monotonic())))

    def over(self) -> str | None:
        """The limit that is exceeded now."""
        limits, resident = self.limits, self.tree.resident()
        self.peak = max(self.peak, resident)
        if (
            resident > limits["memory_bytes"]
            and self.tree.resident("smaps_rollup") > limits["memory_bytes"]
        ):
            return "memory"
        if self.output.n_total > limits["output_kill_bytes"]:
            return "output"
        if time.monotonic() > self.next_disk:
            self.next_disk = time.monotonic() + DISK_EVERY_S
            return "disk" if size_of(self.folder) > limits["disk_bytes"] else None
        return None

    def run(self) -> str:
        deadline = time.monotonic() + self.limits["wall_s"]
        while not self.exited:
            if end := self.over():
                return end
            if time.monotonic() > deadline:
                self.terminate()
                return "timeout"
            self.read(TICK_S)
            if text := self.line.due():
                with suppress(OSError):  # nobody listens any more
                    print(text, flush=True)
        return "exit"

    def terminate(self) -> None:
        self.tree.signal(signal.SIGTERM)
        until = time.monotonic() + self.limits["grace_s"]
        while not self.exited and time.monotonic() < until:
            self.read(TICK_S)

    def rest(self) -> None:
        """What was printed last; everything that could print more is dead."""
        until = time.monotonic() + DRAIN_S
        while self.open and time.monotonic() < until:
            self.read(TICK_S)


def open_to_all(path: Path) -> bool:
    """An ordinary user can reach it."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total


def oom_kills() -> int:
    with suppress(OSError, ValueError):
        return next(
            int(line.split()[1])
            for line in Path("/proc/vmstat").read_text().splitlines()
            if line.startswith("oom_kill ")
        )
    return 0


def digest_of(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(2**20):
            total.update(data)
    return total.hexdigest()


def supervise(folder: Path) -> dict[str, Any]:
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    lay_out(folder, spec)
    tree, kills, began = Tree(), oom_kills(), time.monotonic()
    unprivileged = (
        os.getuid() == 0 and open_to_all(folder) and open_to_all(Path(sys.executable).resolve())
    )
    process = start(folder, spec, unprivileged)
    watch = Watch(folder, spec["limits"], tree, process)
    end = watch.run()
    tree.end()
    watch.rest()
    code = os.waitstatus_to_exitcode(tree.statuses.get(process.pid, signal.SIGKILL))
    if end == "exit" and code == -signal.SIGKILL and oom_kills() > kills:
        end = "memory"
    files, refused = collect(folder / "work", spec["collect"])
    (folder / "output.log").write_bytes(watch.output.kept())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "end": end,
        "code": code,
        "wall_s": time.monotonic() - began,
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_bytes": watch.peak,
        "dropped": watch.output.dropped,
        "files": {name: [os.path.getsize(path), digest_of(path)] for name, path in files.items()},
        "refused": refused,
        "unprivileged": unprivileged,
    }


def survey() -> dict[str, Any]:
    """What scripts find here."""
    from sandbox.inside.probe import packages

    return {"packages": packages(), "cpus": os.cpu_count() or 1, "python": sys.version.split()[0]}


def main() -> None:
    os.umask(0o022)
    if sys.argv[1] == "survey":
        sys.stdout.write(json.dumps(survey()))
        return
    folder = Path(sys.argv[1]).absolute()
    with suppress(OSError):  # the kernel shall kill scripts before their supervisor
        Path("/proc/self/oom_score_adj").write_text("-1000")
    result = supervise(folder)
    part = folder / "result.part"
    part.write_text(json.dumps(result), encoding="utf-8")
    part.rename(folder / "result.json")
