"""The supervisor of a remote sandbox: runs one script with its limits and kills its whole tree.

It runs inside the sandbox, standard library only. The job folder contains spec.json
(`sandbox.inside.specs.RemoteSpec`); the supervisor adds result.json (`RemoteResult`), output.log
and the script's files in work/. Run by root, the script gets an ordinary user that cannot become
root again, so that it reaches neither this supervisor nor the inputs of later scripts.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.inside.collect import collect_files, file_sha256
from sandbox.inside.held import HeldFiles, device_of, find_held_files
from sandbox.inside.output import Output
from sandbox.inside.progress import LastLine
from sandbox.inside.walk import measure_folder, remove_folder

if TYPE_CHECKING:  # not copied into the sandbox
    from sandbox.inside.specs import MachineInfo, RemoteLimits, RemoteResult, RemoteSpec

UNPRIVILEGED = 65534
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
TICK_S, HELD_EVERY_S, DISK_EVERY_S, DRAIN_S = 0.1, 0.25, 0.5, 0.5
SURVEY_S = 50  # for the survey of packages
RESERVED_FACTOR = 4  # of the memory limit: what a script may reserve
MAX_UNREAD = 6  # walks in a row that could not read everything
LIBC = ctypes.CDLL(None, use_errno=True)


class ProcessTree:
    """Every process below this one, orphans included, because it is their subreaper."""

    def __init__(self) -> None:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.statuses: dict[int, int] = {}

    def pids(self) -> list[int]:
        """Return every process of the tree except this one."""
        names = (path.name for path in Path("/proc").iterdir() if path.name.isdigit())
        parents = dict(filter(None, map(read_parent, names)))
        pids: list[int] = []
        generation = {os.getpid()}
        while generation:
            generation = {pid for pid, parent in parents.items() if parent in generation}
            pids.extend(generation)
        return pids

    def signal(self, number: int) -> None:
        """Send a signal to every process."""
        for pid in self.pids():
            with suppress(OSError):
                os.kill(pid, number)

    def reap(self) -> None:
        """Collect the statuses of children that have ended."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.statuses[pid] = status

    def kill(self) -> None:
        """Kill every process, stopped first so that none can fork away."""
        while self.pids():
            self.signal(signal.SIGSTOP)
            self.signal(signal.SIGKILL)
            time.sleep(0.01)
            self.reap()

    def memory_bytes(self, name: str = "statm") -> int:
        """Return the memory of the tree; `name` as of `process_bytes`."""
        return sum(process_bytes(pid, name) for pid in self.pids())


def read_parent(pid: str) -> tuple[int, int] | None:
    """Return (process id, parent's id); None if the process has ended."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(pid), int(fields[1])


def process_bytes(pid: int, name: str) -> int:
    """Return resident bytes (statm), or with shared pages divided (smaps_rollup)."""
    try:
        text = Path("/proc", str(pid), name).read_text()
    except OSError:
        return 0
    if name == "statm":
        return int(text.split()[1]) * resource.getpagesize()
    return next(
        (int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0
    )


def lay_out_job(folder: Path, spec: RemoteSpec) -> None:
    """Make tmp/, and work/ with the script and input/, whose entries are links to our data."""
    for name in ("work", "tmp"):
        (folder / name).mkdir()
    (folder / "work" / "solution.py").write_text(spec["script"], encoding="utf-8")
    inputs = folder / "work" / "input"
    inputs.mkdir()
    for name, digest, is_folder in spec["inputs"]:
        data = folder.parent.parent / "data" / digest
        (inputs / name).parent.mkdir(parents=True, exist_ok=True)
        (inputs / name).symlink_to(unpack_archive(data) if is_folder else data)
    if os.getuid() == 0:
        for name in ("work", "tmp", "work/solution.py"):
            os.chown(folder / name, UNPRIVILEGED, UNPRIVILEGED)


def unpack_archive(archive: Path) -> Path:
    """Unpack an archive once and return its folder."""
    folder = archive.with_name(archive.name + ".d")
    if not folder.exists():
        part = archive.with_name(f"{archive.name}.{os.getpid()}.part")
        with tarfile.open(archive) as file:
            if hasattr(tarfile, "data_filter"):
                file.extractall(part, filter="data")
            else:  # a template may have an older Python; the archive is our own
                file.extractall(part)
        with suppress(OSError):
            part.rename(folder)
        remove_folder(part)
    return folder


def start_script(folder: Path, spec: RemoteSpec, unprivileged: bool) -> subprocess.Popen[bytes]:
    """Start the script with its limits, as an ordinary user if `unprivileged`."""
    python = find_python(spec["python"])
    own = {
        "PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
    }
    return subprocess.Popen(
        [python, "-s", "solution.py"],
        cwd=folder / "work",
        env=spec["env"] | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: restrict_process(spec["limits"], unprivileged),
    )


def restrict_process(limits: RemoteLimits, unprivileged: bool) -> None:
    """Apply the limits to this process, which is about to become the script."""
    memory = min(limits["memory_bytes"], os.sysconf("SC_PHYS_PAGES") * resource.getpagesize())
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # refuses what the machine could never hold: it counts what is reserved, used or not
    cap_limit(resource.RLIMIT_DATA, RESERVED_FACTOR * memory)
    cap_limit(resource.RLIMIT_FSIZE, limits["disk_bytes"])
    cap_limit(resource.RLIMIT_CORE, 0)
    cap_limit(resource.RLIMIT_NOFILE, 4096)
    if unprivileged:
        cap_limit(resource.RLIMIT_NPROC, limits["processes"])
        os.setgroups([])
        os.setgid(UNPRIVILEGED)
        os.setuid(UNPRIVILEGED)


def cap_limit(kind: int, value: int) -> None:
    """Set soft and hard limit, never above the present hard limit."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


class ScriptWatch:
    """Watches one script from start to end: its output, memory, disk, time."""

    def __init__(
        self,
        folder: Path,
        limits: RemoteLimits,
        tree: ProcessTree,
        process: subprocess.Popen[bytes],
    ) -> None:
        self.folder, self.limits, self.tree, self.process = folder, limits, tree, process
        self.output, self.peak_bytes, self.is_open = Output(limits["output_bytes"]), 0, True
        self.line = LastLine()
        self.next_disk = self.next_held = 0.0
        self.held, self.n_unread = HeldFiles(), 0
        self.pipe = selectors.DefaultSelector()
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        self.pipe.register(process.stdout, selectors.EVENT_READ)

    @property
    def is_over(self) -> bool:
        """Whether the script itself has ended."""
        self.tree.reap()
        return self.process.pid in self.tree.statuses

    def read(self, seconds: float) -> None:
        """Read the output of the next seconds; notice the end of the pipe."""
        until = time.monotonic() + seconds
        while self.is_open and (left := until - time.monotonic()) > 0 and self.pipe.select(left):
            data = os.read(self.process.stdout.fileno(), 64 * 1024) if self.process.stdout else b""
            self.output.add(data)
            self.line.add(data)
            self.is_open = bool(data)
            if self.is_over or self.output.n_total > self.limits["output_kill_bytes"]:
                return
        if not self.is_open:
            time.sleep(max(0.0, min(seconds, until - time.monotonic())))

    def exceeded_limit(self) -> str | None:
        """Return the limit that is exceeded now."""
        limits, held = self.limits, self.read_held()
        resident = self.tree.memory_bytes() + held.memory_bytes
        self.peak_bytes = max(self.peak_bytes, resident)
        if resident > limits["memory_bytes"]:
            proportional = self.tree.memory_bytes("smaps_rollup")  # slow to read
            if max(proportional, held.memory_bytes) > limits["memory_bytes"]:
                return "memory"
        if self.output.n_total > limits["output_kill_bytes"]:
            return "output"
        if time.monotonic() > self.next_disk:
            is_full = self.is_disk_full(held)
            self.next_disk = time.monotonic() + DISK_EVERY_S
            return "disk" if is_full else None
        return None

    def read_held(self) -> HeldFiles:
        """Return what the processes hold in memory and in deleted files; read a few times a second.

        Costs a fifth of a core at most.
        """
        began = time.monotonic()
        if began > self.next_held:
            disk = device_of(str(self.folder)) or 0
            self.held = find_held_files(self.tree.pids(), disk, mapped=True)
            self.next_held = began + max(HELD_EVERY_S, 5 * (time.monotonic() - began))
        return self.held

    def is_disk_full(self, held: HeldFiles) -> bool:
        """Whether the job's folder exceeds a limit, or cannot be measured again and again."""
        use = measure_folder(self.folder, self.limits["files"])
        self.n_unread = self.n_unread + 1 if use.unread else 0
        is_too_many = use.n_files > self.limits["files"] or self.n_unread >= MAX_UNREAD
        return is_too_many or use.n_bytes + held.disk_bytes > self.limits["disk_bytes"]

    def run(self) -> str:
        """Watch until the script ends or exceeds a limit; return which."""
        deadline = time.monotonic() + self.limits["wall_s"]
        while not self.is_over:
            if end := self.exceeded_limit():
                return end
            if time.monotonic() > deadline:
                self.terminate()
                return "timeout"
            self.read(TICK_S)
            if text := self.line.take():
                with suppress(OSError):  # the listener has gone
                    print(text, flush=True)
        return "exit"

    def terminate(self) -> None:
        """Send SIGTERM to the tree and give it its grace."""
        self.tree.signal(signal.SIGTERM)
        until = time.monotonic() + self.limits["grace_s"]
        while not self.is_over and time.monotonic() < until:
            self.read(TICK_S)

    def read_rest(self) -> None:
        """Read the last output, once everything that could print more is dead."""
        until = time.monotonic() + DRAIN_S
        while self.is_open and time.monotonic() < until:
            self.read(TICK_S)


def is_open_to_all(path: Path) -> bool:
    """Whether every user may enter or execute the path and the folders above it."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def count_oom_kills() -> int:
    """Return how often this kernel has killed a process for memory; 0 if unknown."""
    with suppress(OSError, ValueError):
        return next(
            int(line.split()[1])
            for line in Path("/proc/vmstat").read_text().splitlines()
            if line.startswith("oom_kill ")
        )
    return 0


def find_python(name: str) -> str:
    """Return the path of the scripts' Python; empty: this one.

    It is given as a path, as the folder of an environment, or as a command.
    """
    if not name:
        return sys.executable
    path = Path(name).expanduser()
    if "/" in name and path.is_dir():
        return str(path / "bin" / "python")
    return shutil.which(path) or str(path)


def can_drop_root(folder: Path, python: str) -> bool:
    """Whether we are root and an ordinary user could reach the job and the interpreter."""
    needed = (folder, Path(python).resolve())
    return os.getuid() == 0 and all(is_open_to_all(path) for path in needed)


def supervise_job(folder: Path) -> RemoteResult:
    """Run the job of a folder to its end and kill everything it left."""
    spec: RemoteSpec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    lay_out_job(folder, spec)
    tree, kills, began = ProcessTree(), count_oom_kills(), time.monotonic()
    unprivileged = can_drop_root(folder, find_python(spec["python"]))
    process = start_script(folder, spec, unprivileged)
    watch = ScriptWatch(folder, spec["limits"], tree, process)
    end = watch.run()
    tree.kill()
    watch.read_rest()
    code = os.waitstatus_to_exitcode(tree.statuses.get(process.pid, signal.SIGKILL))
    if end == "exit" and code == -signal.SIGKILL and count_oom_kills() > kills:
        end = "memory"
    files, refused = collect_files(folder / "work", spec["collect"])
    (folder / "output.log").write_bytes(watch.output.data())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "end": end,
        "code": code,
        "wall_s": time.monotonic() - began,
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "peak_bytes": watch.peak_bytes,
        "dropped": watch.output.dropped,
        "files": {
            name: (Path(path).stat().st_size, file_sha256(path)) for name, path in files.items()
        },
        "refused": refused,
        "unprivileged": unprivileged,
    }


def describe_machine(python: str) -> MachineInfo:
    """Return the cores and, as the scripts' Python sees them, the packages that are here."""
    from sandbox.inside import probe

    survey: dict[str, object] = {}
    problem = ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [find_python(python), "-I", str(probe.__file__)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SURVEY_S,
                check=False,
            )
            problem = done.stdout.decode(errors="replace").strip()[-300:]
            survey = json.loads(Path(folder, probe.SURVEY_FILE).read_text(encoding="utf-8"))
            problem = ""
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            problem = problem or str(error)
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    return {
        "survey": survey,
        "cpus": os.cpu_count() or 1,
        "memory_bytes": memory_bytes,
        "problem": problem,
    }


def main() -> None:
    """Answer `survey` (of the Python named next), or run the job of the folder named."""
    os.umask(0o022)
    if sys.argv[1] == "survey":
        sys.stdout.write(json.dumps(describe_machine("".join(sys.argv[2:3]))))
        return
    folder = Path(sys.argv[1]).absolute()
    with suppress(OSError):  # the kernel is to kill scripts before their supervisor
        Path("/proc/self/oom_score_adj").write_text("-1000")
    result = supervise_job(folder)
    part = folder / "result.part"
    part.write_text(json.dumps(result), encoding="utf-8")
    part.rename(folder / "result.json")
