"""Attacks by a hostile script, and how the host tells whether each got through.

The outcome per tier is in docs/sandbox.md. A row is judged by what the host sees: its bait was
read, one of its sockets was reached, a process outlived the job. What a script reports about itself
counts only against it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sandbox.inside.walk import remove_folder
from sandbox.local.backend import LocalSandbox
from sandbox.local.interpreter import find_interpreter
from sandbox.protocol import Execution, Job, Limits, Sandbox

MIB = 2**20
OWN_NAMES = ("notes.txt", "bin/token", ".local/token", ".local/share/keyrings/login.keyring")


class Bait:
    """Secrets, listeners and a process that a script must not reach.

    All of it is open to the user who runs the agent.
    """

    def __init__(self, folder: Path) -> None:
        self.secret = f"sk-bait-{secrets.token_hex(12)}"
        self.mark = (
            f"gome-bait-{secrets.token_hex(6)}"  # in the command line of what attacks leave running
        )
        self.folder = folder
        self.growth = 0  # of the agent's memory during the latest attack, bytes
        self.home = folder / "home"
        for name in (".ssh/id_rsa", ".aws/credentials", "private/labels.csv"):
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.secret)
        for name in OWN_NAMES:
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.secret)
            path.chmod(0o600)
        self.data = folder / "data.csv"
        self.data.write_text("a,b\n1,2\n")
        os.environ["OPENAI_API_KEY"] = self.secret
        self.tcp = listener(socket.AF_INET, ("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.abstract = listener(socket.AF_UNIX, f"\0{self.mark}")
        self.path = listener(socket.AF_UNIX, str(self.home / "docker.sock"))
        self.agent = subprocess.Popen(["/bin/sleep", "3000"], env={"OPENAI_API_KEY": self.secret})

    def __enter__(self) -> Bait:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.tcp, self.udp, self.abstract, self.path):
            one.close()
        self.agent.kill()
        self.agent.wait()
        os.environ.pop("OPENAI_API_KEY", None)

    def environment(self, workspace: Path) -> dict[str, str]:
        """Return the addresses that attacks need, as environment variables."""
        return {
            "BAIT_HOME": str(self.home),
            "BAIT_MARK": self.mark,
            "BAIT_PID": str(self.agent.pid),
            "BAIT_WORK": str(workspace),
            "BAIT_TCP": str(self.tcp.getsockname()[1]),
            "BAIT_UDP": str(self.udp.getsockname()[1]),
            "BAIT_AGENT": str(os.getpid()),
        }

    def survivors(self, patience_s: float = 2.0) -> int:
        """Kill the processes that a script left behind, and count them."""
        deadline = time.monotonic() + patience_s
        while (left := self.marked()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return len(left)

    def marked(self) -> list[int]:
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(self.mark.encode()):
                found.append(int(name))
        return found


def listener(family: int, address: Any) -> socket.socket:
    handle = socket.socket(family, socket.SOCK_STREAM)
    handle.bind(address)
    handle.listen()
    handle.setblocking(False)
    return handle


Judge = Callable[[Execution, Bait], str]  # empty: stopped, else what was reached


def reached(handle: socket.socket) -> bool:
    try:
        if handle.type == socket.SOCK_DGRAM:
            return bool(handle.recv(100))
        handle.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def silent(execution: Execution, bait: Bait) -> str:
    """The secret is not in the output and the script claims nothing."""
    if bait.secret in execution.output:
        return "the secret was read"
    return "; ".join(
        line.removeprefix("REACHED ")
        for line in execution.output.splitlines()
        if line.startswith("REACHED ")
    )[:200]


def socket_quiet(name: str) -> Judge:
    return lambda execution, bait: "the host was reached" if reached(getattr(bait, name)) else ""


def alive(execution: Execution, bait: Bait) -> str:
    return (
        "the process outside was ended"
        if bait.agent.poll() is not None
        else silent(execution, bait)
    )


def none_left(execution: Execution, bait: Bait) -> str:
    left = bait.survivors()
    return f"{left} processes left" if left else ""


def timed(execution: Execution, bait: Bait) -> str:
    """Ended by the time limit of 2 s with a grace of 1 s, less than 1 s late, nothing left."""
    if execution.end != "timeout":
        return f"end {execution.end}: {execution.output[-200:]}"
    late = execution.wall_s - 3.0
    slack = 1.0 + 2.0 * (
        os.getloadavg()[0] / (os.cpu_count() or 1) > 1.5
    )  # a busy machine cannot keep time
    return f"{late:.1f} s late" if late > slack else none_left(execution, bait)


def memory_held(execution: Execution, bait: Bait) -> str:
    """256 MiB are allowed."""
    if "ALLOCATED" in execution.output:
        return "it all fitted"
    peak = (execution.peak_bytes or 0) / MIB
    return f"{peak:.0f} MiB held" if peak > 600 else none_left(execution, bait)


def ended(*ends: str) -> Judge:
    return lambda execution, bait: (
        "" if execution.end in ends else f"end {execution.end}: {execution.output[-200:]}"
    )


def ended_early(*ends: str) -> Judge:
    """Ended by a limit, before the script could say that all of it fitted."""
    return lambda execution, bait: silent(execution, bait) or ended(*ends)(execution, bait)


def own_files_kept(execution: Execution, bait: Bait) -> str:
    """The secret was not read, by a Python that did run."""
    if bait.secret in execution.output:
        return "the secret was read"
    return "" if "PYTHON " in execution.output else f"not tried: {execution.output[-200:]}"


def untouched(execution: Execution, bait: Bait) -> str:
    written = [str(path) for path in bait.folder.rglob("planted*")] + [
        str(path) for path in Path("/dev/shm").glob(f"{bait.mark}*.planted")
    ]
    if bait.data.read_text() != "a,b\n1,2\n":
        written.append("input data")
    return f"written: {', '.join(written)}" if written else silent(execution, bait)


def mode_kept(execution: Execution, bait: Bait) -> str:
    path = bait.home / "private/labels.csv"
    mode = path.stat().st_mode & 0o777
    path.chmod(0o644)
    return "" if mode == 0o644 else f"mode changed to {mode:o}"


def refused(execution: Execution, bait: Bait) -> str:
    """Nothing that is not a plain file of the script's own was collected."""
    if execution.files:
        return f"collected: {', '.join(sorted(execution.files))}"
    return "" if execution.refused else f"nothing was tried: {execution.output[-200:]}"


def readable_or_refused(execution: Execution, bait: Bait) -> str:
    """What was collected can be read by us, and the rest is refused."""
    if len(execution.files) + len(execution.refused) != 3:
        return f"not tried: {execution.output[-200:]}"
    closed = [name for name, path in execution.files.items() if not os.access(path, os.R_OK)]
    return f"collected: {', '.join(closed)}" if closed else ""


def fork_capped(execution: Execution, bait: Bait) -> str:
    n = next(
        (
            int(line.split()[1])
            for line in execution.output.splitlines()
            if line.startswith("FORKED")
        ),
        -1,
    )
    left = none_left(execution, bait)
    return left or (
        ""
        if 0 <= n <= 80
        else f"{n} processes with a limit of 64"
        if n >= 0
        else f"no count: {execution.output[-200:]}"
    )


def exits(code: int | None, number: int | None) -> Judge:
    def judge(execution: Execution, bait: Bait) -> str:
        got = (execution.end, execution.exit_code, execution.signal)
        return "" if got == ("exit", code, number) else f"seen as {got}"

    return judge


def output_bounded(execution: Execution, bait: Bait) -> str:
    if bait.growth > 30e6:
        return f"the host grew by {bait.growth / 1e6:.0f} MB"
    kept = len(execution.output.encode())
    whole = execution.output.startswith("BEGIN") and execution.output.rstrip().endswith("THE END")
    return (
        ""
        if kept < 1.2 * MIB and whole
        else f"{kept} bytes kept, head and tail {'there' if whole else 'lost'}"
    )


def not_forged(execution: Execution, bait: Bait) -> str:
    return (
        ""
        if execution.cpu_s is not None and execution.cpu_s < 1000
        else "the keeper's report was forged"
    )


def plain_modes(execution: Execution, bait: Bait) -> str:
    """No file below has a set-user-id or set-group-id bit."""
    paths = (Path(at) / name for at, *names in os.walk(bait.folder) for name in sum(names, []))
    found = [path.name for path in paths if path.lstat().st_mode & 0o6000]
    return f"set-id bits on {', '.join(sorted(found))}" if found else ""


@dataclass(frozen=True)
class Attack:
    """One row. `open_in`: tiers of which we know, and say, that they do not stop it."""

    name: str
    title: str
    script: str
    judge: Judge
    limits: dict[str, Any] = field(default_factory=dict)
    collect: tuple[str, ...] = ()
    slow: bool = False
    open_in: tuple[str, ...] = ()
    python: str = ""  # the interpreter below the bait's home; empty: the one that runs now


HEAD = """
import os, sys, socket, time, signal, ctypes
names = ("HOME", "MARK", "PID", "WORK", "AGENT")
HOME, MARK, PID, WORK, AGENT = (os.environ["BAIT_" + name] for name in names)
def show(path):
    try:
        with open(path, "rb") as file:
            print(path, file.read(100000))
    except (OSError, ValueError) as error:
        print(path, type(error).__name__, error)
def attempt(name, act):
    try:
        act()
    except (OSError, ValueError) as error:
        print(name, type(error).__name__, error)
    else:
        print("REACHED", name)
def tell(name, result):
    print("REACHED " + name if result >= 0 else name + " refused")
libc = ctypes.CDLL(None, use_errno=True)
"""
SECRETS = f"SECRETS = {(*OWN_NAMES, '.ssh/id_rsa', 'private/labels.csv')}\n"
SLEEPER = """
def sleeper(setsid=True):
    if os.fork() == 0:
        if setsid: os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv("/bin/sleep", [MARK, "300"])
"""
ENVIRON = "import os\nprint(dict(os.environ))"
PROC = """
for pid in [PID, AGENT, "1", str(os.getppid())]:
    for name in ("environ", "cmdline", "auxv"):
        show(f"/proc/{pid}/{name}") if name != "cmdline" else None
    for name in ("cwd", "root", "exe"):
        key = f"/proc/{pid}/{name}{HOME}/.ssh/id_rsa"
        attempt(f"/proc/{pid}/{name}/" + HOME, lambda: print(open(key).read()))
    try:
        for line in open(f"/proc/{pid}/maps"):
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" in line and end - start < 1 << 24:
                with open(f"/proc/{pid}/mem", "rb") as file:
                    file.seek(start)
                    data = file.read(end - start)
                    where = data.find(b"sk-bait-")
                    if where >= 0: print(data[where:where + 40])
    except (OSError, ValueError) as error:
        print("mem", error)
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"): print(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError as error:
        print("fd", error)
"""
FILES = """
names = [HOME + "/.ssh/id_rsa", HOME + "/.aws/credentials", HOME + "/private/labels.csv"]
for name in names:
    show(name)
    show("../" * 30 + name)
    for root in ("/proc/1/root", "/proc/self/root", "/proc/self/cwd/../../../../../.."):
        show(root + name)
    attempt("link", lambda: os.symlink(name, "link" + str(names.index(name))))
    show("link" + str(names.index(name)))
"""
OWN_FILES = """
for name in SECRETS:
    show(HOME + "/" + name)
    show("/proc/self/root" + HOME + "/" + name)
for folder in (HOME, HOME + "/bin", HOME + "/.local", HOME + "/.local/bin"):
    try: print(folder, sorted(os.listdir(folder)))
    except OSError as error: print(folder, error)
print("PYTHON", sys.executable, sys.prefix)
"""
SHADOW = """
try:
    if ":" in open("/etc/shadow").read(): print("REACHED /etc/shadow")
except OSError as error: print(error)
"""
WRITE = """
import sysconfig
packages = sysconfig.get_path("purelib")
system = ("/etc", "/usr", os.path.realpath(sys.prefix))
for folder in (HOME, os.path.dirname(HOME), WORK + "/..", "/etc", "/usr", packages, sys.prefix):
    path = os.path.join(folder, "planted-" + MARK)
    try:
        open(path, "w").write("x")
    except OSError as error:
        print(path, error)
    else:
        print(path, "written")
        outside = not path.startswith(HOME.rsplit("/", 1)[0])
        if outside and os.path.realpath(path).startswith(system):
            os.unlink(path)
            print("REACHED", folder)
for path in ("input/data.csv", "/run/gome/keeper.py"):
    try:
        os.stat(path)
    except OSError:
        continue
    for mode in ("r+", "a"):
        attempt("write " + path, lambda: open(path, mode))
"""
CHMOD = """
try: os.chmod(HOME + "/private/labels.csv", 0o600)
except OSError as error: print(error)
"""
KERNEL = """
import glob
paths = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory"]
for name in ("*/cgroup.procs", "*/*/memory.limit_in_bytes", "*/release_agent"):
    paths += glob.glob("/sys/fs/cgroup/" + name)
for path in paths:
    attempt("open for writing " + path, lambda: os.close(os.open(path, os.O_WRONLY)))
"""
TCP = 'socket.create_connection(("127.0.0.1", int(os.environ["BAIT_TCP"])), 2).sendall(b"x")'
UDP = """
address = ("127.0.0.1", int(os.environ["BAIT_UDP"]))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", address)
"""
ABSTRACT = 's = socket.socket(socket.AF_UNIX)\ns.settimeout(2)\ns.connect("\\0" + MARK)'
UNIX_PATH = 's = socket.socket(socket.AF_UNIX)\ns.settimeout(2)\ns.connect(HOME + "/docker.sock")'
VSOCK = """
for family, name in ((40, "vsock"), (17, "packet"), (38, "alg"), (31, "bluetooth")):
    kind = socket.SOCK_STREAM if family != 38 else socket.SOCK_SEQPACKET
    attempt("socket " + name, lambda: socket.socket(family, kind).close())
"""
SIGNALS = """
for pid in (PID, AGENT):
    attempt("signal " + pid, lambda: os.kill(int(pid), 0))
try: os.kill(int(PID), 9)
except OSError as error: print(error)
"""
TRACE = """
for pid in (PID, AGENT, os.getppid()):
    # PTRACE_SEIZE: PTRACE_ATTACH would stop the agent where nothing stops us
    tell("ptrace %s" % pid, libc.ptrace(0x4206, int(pid), 0, 0))
    buffer = ctypes.create_string_buffer(8)
    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    part = Part(ctypes.addressof(buffer), 8)
    both = ctypes.byref(part)
    tell("process_vm_readv %s" % pid, libc.process_vm_readv(int(pid), both, 1, both, 1, 0))
"""
KERNEL_CALLS = """
tell("unshare(user)", libc.unshare(0x10000000))
tell("unshare(mount)", libc.unshare(0x20000))
os.mkdir("here")
tell("mount", libc.mount(b"none", b"here", b"tmpfs", 0, b"size=4096"))
libc.umount2(b"here", 2)
tell("setns", min(0, libc.setns(os.open("/proc/self/ns/net", os.O_RDONLY), 0)) )
tell("keyctl", libc.syscall(250, 0, -3, 0))
tell("io_uring_setup", libc.syscall(425, 1, ctypes.create_string_buffer(200)))
tell("bpf", libc.syscall(321, 0, ctypes.create_string_buffer(200), 200))
tell("perf_event_open", libc.syscall(298, ctypes.create_string_buffer(200), 0, -1, -1, 0))
tell("userfaultfd", libc.syscall(323, 0))
tell("shmget", libc.shmget(0, 4096, 0o1600))
tell("msgget", libc.msgget(0, 0o1600))
tell("chroot", libc.chroot(b"/"))
tell("clone3", min(0, libc.syscall(435, ctypes.create_string_buffer(88), 88)))
pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
tell("clone(user)", pid)
"""
TERMINAL = """
import fcntl
for fd in (0, 1, 2):
    attempt("TIOCSTI", lambda: fcntl.ioctl(fd, 0x5412, b"x"))
attempt("/dev/tty", lambda: open("/dev/tty", "w").write("x"))
"""
HOG = "x = bytearray(3 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1\nprint('ALLOCATED')"
SHARED_HOG = """
import mmap
held = []
for _ in range(48):  # shared memory: RLIMIT_DATA does not see it
    part = mmap.mmap(-1, 64 << 20)
    for i in range(0, len(part), 4096): part[i] = 1
    held.append(part)
print('ALLOCATED')
"""
TREE_HOG = (
    SLEEPER
    + """
for _ in range(5):
    if os.fork() == 0:
        x = bytearray(120 << 20)
        for i in range(0, len(x), 4096): x[i] = 1
        time.sleep(5)
        os._exit(0)
sleeper()
for _ in range(5):
    try: os.wait()
    except ChildProcessError: pass
print('ALLOCATED')
"""
)
SHM = """
try:
    for number in range(8):
        with open(f"/dev/shm/{MARK}{number}.planted", "wb") as file:
            for _ in range(64): file.write(bytes(1 << 20))
    print("REACHED 512 MiB of shared memory beside a limit of 256 MiB")
except OSError as error:
    print(error)
"""
MEMFD = """
part, held = bytes(1 << 20), []
for number in range(8):
    held.append(os.memfd_create("x"))
    for _ in range(250): os.write(held[-1], part)
time.sleep(3)
print("REACHED 2,000 MiB in files of memory beside a limit of 512 MiB")
"""
HIDDEN_MEMFD = "libc.prctl(4, 0, 0, 0, 0)\n" + MEMFD
MEMORY_FILES = """
part, held = bytes(1 << 20), []
for place in ("/dev/shm/" + MARK + ".planted", os.environ["TMPDIR"] + "/x"):
    held.append(open(place, "wb", buffering=0))
    for _ in range(100): held[-1].write(part)
x = bytearray(210 << 20)
for i in range(0, len(x), 4096): x[i] = 1
time.sleep(3)
print("ALLOCATED")
"""
SOCKETS = """
held = []
for _ in range(1500):
    pair = socket.socketpair()
    held.append(pair)
    for one in pair:
        one.setblocking(False)
        try:
            while True: one.send(bytes(4096))
        except BlockingIOError: pass
time.sleep(3)
print("REACHED some 600 MiB in sockets beside a limit of 256 MiB")
"""
DELETED = """
part, held = bytes(1 << 20), []
for number in range(12):
    held.append(open("x%d" % number, "wb", buffering=0))
    os.unlink("x%d" % number)
    for _ in range(100): held[-1].write(part)
time.sleep(4)
print("REACHED 1,200 MiB in deleted files with a limit of 256 MiB")
"""
UNREADABLE = """
part = bytes(1 << 20)
for mode in (0o300, 0):
    os.mkdir("f%o" % mode)
    for number in range(2):
        with open("f%o/x%d" % (mode, number), "wb") as file:
            for _ in range(100): file.write(part)
        os.chmod("f%o/x%d" % (mode, number), 0)
    os.chmod("f%o" % mode, mode)
time.sleep(4)
print("REACHED 400 MiB in folders without rights with a limit of 128 MiB")
"""
NESTED = """
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
time.sleep(2)
"""
DEEP_FILES = """
for _ in range(1500):  # deeper than a path can name
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
for number in range(3):
    with open("x%d" % number, "wb") as file:
        for _ in range(100): file.write(bytes(1 << 20))
time.sleep(4)
print("REACHED 300 MiB below 1,500 folders with a limit of 128 MiB")
"""
NUMBERLESS = """
for number in range(20000):
    os.close(os.open("f%d" % number, os.O_CREAT | os.O_WRONLY))
time.sleep(4)
print("REACHED 20,000 files")
"""
UNREADABLE_ARTIFACTS = """
import os
for name, mode in ((".", 0o755), ("folder", 0o300), ("closed", 0)):
    os.makedirs(name, exist_ok=True)
    path = name + ("/oof.csv" if name == "." else "/x.csv")
    open(path, "w").write("x")
    os.chmod(path, 0)
    os.chmod(name, mode)
"""
SET_ID = """
import stat
open("a", "w").close()
fd = os.open("a", os.O_RDONLY)
for name, act in (
    ("chmod", lambda: os.chmod("a", 0o6755)),
    ("fchmod", lambda: os.fchmod(fd, 0o4755)),
    ("fchmodat", lambda: os.chmod("a", 0o4755, dir_fd=os.open(".", os.O_RDONLY))),
    ("open", lambda: os.close(os.open("b", os.O_CREAT | os.O_WRONLY, 0o4755))),
    ("mknod", lambda: os.mknod("c", 0o4755 | stat.S_IFREG)),
    ("mkdir", lambda: os.mkdir("d", 0o2755) or os.chmod("d", 0o2755)),
):
    try: act()
    except OSError as error: print(name, error)
libc.syscall(452, -100, b"a", 0o4755, 0)
how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0)
libc.syscall(437, -100, b"e", ctypes.byref(how), 24)
"""
FORKS_THEN_SLEEP = (
    SLEEPER
    + "for _ in range(200): sleeper()\n"
    + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
)
FORKS_THEN_EXIT = SLEEPER + "for _ in range(200): sleeper()"
FORK_CAP = (
    SLEEPER
    + """
n = 0
try:
    for _ in range(300):
        sleeper(); n += 1
except OSError as error:
    print(error)
print("FORKED", n)
"""
)
DAEMON = (
    SLEEPER
    + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        sleeper()
        os._exit(0)
    os._exit(0)
os.wait()
"""
)
KEEPER = (
    SLEEPER
    + """
sleeper()
for _ in range(100):
    try: os.kill(os.getppid(), signal.SIGKILL)
    except OSError as error: print(error); break
    time.sleep(0.01)
"""
)
FORGE = """
import glob
fake = b'{"status": 0, "cpu_s": 99999}\\n'
for fd in range(3, 64):
    try: os.write(fd, fake)
    except OSError: pass
for pid in (os.getpid(), os.getppid(), 1, 2, int(AGENT)):
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        if path.rsplit("/", 1)[1] not in "012" or pid != os.getpid():
            try: os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), fake)
            except OSError: pass
sys.exit(5)
"""
FLOOD = """import sys
print('BEGIN')
line = 'x' * 65535 + '\\n'
for _ in range({n}): sys.stdout.write(line)
print('THE END')
"""
ENDLESS = "import sys\nline = 'x' * 65535 + '\\n'\nwhile True: sys.stdout.write(line)"
MANY_FILES = """
for number in range(300):
    with open(f"part{number}", "wb") as file:
        for _ in range(10): file.write(bytes(1 << 20))
    time.sleep(0.02)
print("REACHED 3 GiB in files")
"""
BIG_FILE = """
try:
    with open("big", "wb") as file:
        for _ in range(400): file.write(bytes(1 << 20))
    print("REACHED a file of 400 MiB with a limit of 64 MiB")
except OSError as error:
    print(error)
    os.unlink("big")
"""
STUBBORN = """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
while True: time.sleep(1)
"""
ARTIFACTS = """
os.mkdir("real"); open("real/f", "w").write("x")
os.symlink(HOME + "/private/labels.csv", "link"); os.symlink(HOME + "/private", "dir")
os.symlink("/dev/zero", "zero"); os.symlink("/proc/self/environ", "env")
os.mkfifo("fifo")
with open("sparse", "wb") as file:
    try: file.truncate(1100 << 20)
    except OSError as error: print(error)
s = socket.socket(socket.AF_UNIX); s.bind("sock")
open("twice", "w").write("x"); os.link("twice", "hard")
"""
HARD_LINK = """
for source in (HOME + "/private/labels.csv", os.path.realpath("input/data.csv"), "input/data.csv"):
    if not os.path.islink(source):
        name = "linked-" + str(len(source))
        attempt("hard link to " + source, lambda: os.link(source, name))
"""
DEVICE = """
import stat
for path in ("device", "/tmp/device", "/dev/shm/" + MARK + ".device"):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.close(os.open(path, os.O_RDONLY))
        print("REACHED device node")
    except OSError as error: print(error)
"""
ROOT = """
if os.getuid() == 0: print("REACHED user id 0")
kinds = ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp:")
caps = [line for line in open("/proc/self/status") if line.startswith(kinds)]
print(caps)
if any(int(line.split()[1], 16) for line in caps[:2]) : print("REACHED capabilities")
if os.getuid() == 0 and int(caps[2].split()[1], 16): print("REACHED the bounding set of root")
if "NoNewPrivs:\\t1\\n" not in caps: print("REACHED new privileges")
"""

WEAK = ("userns", "landlock", "none")
SHORT = {"wall_s": 2, "grace_s": 1}

ATTACKS = [
    Attack("environment", "the agent's API key in the environment", ENVIRON, silent),
    Attack(
        "proc",
        "the key through /proc/PID (environ, mem, root, cwd, fd) of the agent",
        HEAD + PROC,
        lambda e, b: silent(e, b) if b.secret in e.output else "",
        open_in=("none",),
    ),
    Attack(
        "files",
        "~/.ssh, ~/.aws, private labels (absolute, ../, /proc/1/root, through a link)",
        HEAD + FILES,
        lambda e, b: "the secret was read" if b.secret in e.output else "",
        open_in=("none",),
    ),
    Attack(
        "home-venv",
        "the home's files (mode 600), with a venv of a Python linked in ~/bin",
        HEAD + SECRETS + OWN_FILES,
        own_files_kept,
        open_in=("none",),
        python="venv/bin/python3",
    ),
    Attack(
        "home-link",
        "the home's files (mode 600), with a Python linked in ~/.local/bin",
        HEAD + SECRETS + OWN_FILES,
        own_files_kept,
        open_in=("none",),
        python=f".local/bin/python3.{sys.version_info.minor}",
    ),
    Attack("shadow", "/etc/shadow", HEAD + SHADOW, silent, open_in=("none",)),
    Attack(
        "write",
        "write outside, into the inputs, the environment, /etc, /usr",
        HEAD + WRITE,
        untouched,
        open_in=("none",),
    ),
    Attack("chmod", "change the mode of a file outside", HEAD + CHMOD, mode_kept, open_in=WEAK),
    Attack(
        "kernel-files",
        "write /proc/sys (core_pattern), sysrq, control group limits",
        HEAD + KERNEL,
        silent,
        open_in=("none",),
    ),
    Attack(
        "rights",
        "keep capabilities, or gain privileges by a set-user-id program",
        HEAD + ROOT.split("\n", 2)[2],
        silent,
        open_in=("none",),
    ),
    Attack("tcp", "TCP to the host's loopback", HEAD + TCP, socket_quiet("tcp"), open_in=("none",)),
    Attack("udp", "UDP to the host's loopback", HEAD + UDP, socket_quiet("udp"), open_in=("none",)),
    Attack(
        "abstract",
        "an abstract Unix socket of the host",
        HEAD + ABSTRACT,
        socket_quiet("abstract"),
        open_in=("none",),
    ),
    Attack(
        "unix",
        "a Unix socket by path (docker.sock)",
        HEAD + UNIX_PATH,
        socket_quiet("path"),
        open_in=WEAK,
    ),
    Attack(
        "families",
        "other socket families (vsock, packet, crypto)",
        HEAD + VSOCK,
        silent,
        open_in=("none",),
    ),
    Attack("signal", "signal or end the agent", HEAD + SIGNALS, alive, open_in=("none",)),
    Attack("ptrace", "trace or read the agent's memory", HEAD + TRACE, silent, open_in=("none",)),
    Attack(
        "calls",
        "nested namespaces, mount, keyctl, io_uring, bpf, perf, userfaultfd",
        HEAD + KERNEL_CALLS,
        silent,
        open_in=("none",),
    ),
    Attack("terminal", "push keys into the agent's terminal", HEAD + TERMINAL, silent),
    Attack(
        "hog",
        "one process allocates 3 GiB with a limit of 256 MiB",
        HOG,
        memory_held,
        {"memory_bytes": 256 * MIB},
    ),
    Attack(
        "shared-hog",
        "the same in shared mappings, which RLIMIT_DATA does not see",
        SHARED_HOG,
        memory_held,
        {"memory_bytes": 256 * MIB},
    ),
    Attack(
        "tree-hog",
        "5 children with 120 MiB each and a limit of 256 MiB",
        HEAD + TREE_HOG,
        memory_held,
        {"memory_bytes": 256 * MIB},
    ),
    Attack(
        "shm",
        "fill /dev/shm",
        HEAD + SHM,
        untouched,
        {"memory_bytes": 256 * MIB, "disk_bytes": 128 * MIB},
        open_in=("landlock", "none"),
    ),
    Attack(
        "memfd",
        "2,000 MiB in memfds that nobody maps, with a limit of 512 MiB",
        HEAD + MEMFD,
        ended_early("memory"),
        {"memory_bytes": 512 * MIB},
    ),
    Attack(
        "hidden-memfd",
        "the same by a process that hides its descriptors",
        HEAD + HIDDEN_MEMFD,
        ended_early("memory"),
        {"memory_bytes": 512 * MIB},
    ),
    Attack(
        "memory-files",
        "100 MiB each in /tmp and /dev/shm beside 210 MiB, with a limit of 256 MiB",
        HEAD + MEMORY_FILES,
        ended_early("memory"),
        {"memory_bytes": 256 * MIB},
    ),
    Attack(
        "sockets",
        "600 MiB in the buffers of sockets, with a limit of 256 MiB",
        HEAD + SOCKETS,
        ended_early("memory"),
        {"memory_bytes": 256 * MIB},
    ),
    Attack(
        "forks-timeout",
        "200 forks, own sessions, SIGTERM ignored, until the time limit",
        HEAD + FORKS_THEN_SLEEP,
        timed,
        SHORT,
    ),
    Attack("forks-exit", "200 forks, the script exits at once", HEAD + FORKS_THEN_EXIT, none_left),
    Attack(
        "fork-cap", "300 forks with a limit of 64", HEAD + FORK_CAP, fork_capped, {"processes": 64}
    ),
    Attack("daemon", "a daemon by double fork", HEAD + DAEMON, none_left),
    Attack("keeper", "the script kills its keeper and leaves a child", HEAD + KEEPER, none_left),
    Attack(
        "forge",
        "forge the keeper's report",
        HEAD + FORGE,
        lambda e, b: not_forged(e, b) or exits(5, None)(e, b),
        open_in=("none",),
    ),
    Attack("output", "64 MiB on stdout: head and tail kept", FLOOD.format(n=1024), output_bounded),
    Attack(
        "output-1g",
        "1 GiB on stdout: head and tail kept, the host grows by less than 30 MB",
        FLOOD.format(n=16384),
        output_bounded,
        slow=True,
    ),
    Attack("flood", "endless output", ENDLESS, ended("output"), {"output_kill_bytes": 64 * MIB}),
    Attack(
        "disk",
        "300 files of 10 MiB with a limit of 256 MiB",
        HEAD + MANY_FILES,
        ended("disk"),
        {"disk_bytes": 256 * MIB},
        slow=True,
    ),
    Attack(
        "file-size",
        "one file of 400 MiB with a limit of 64 MiB",
        HEAD + BIG_FILE,
        silent,
        {"disk_bytes": 64 * MIB},
    ),
    Attack(
        "deleted-files",
        "1,200 MiB in deleted files that stay open, with a limit of 256 MiB",
        HEAD + DELETED,
        ended_early("disk"),
        {"disk_bytes": 256 * MIB},
    ),
    Attack(
        "unreadable",
        "400 MiB in folders of mode 0300 and 0, with a limit of 128 MiB",
        HEAD + UNREADABLE,
        ended_early("disk"),
        {"disk_bytes": 128 * MIB},
    ),
    Attack(
        "deep-files",
        "300 MiB below 1,500 nested folders, with a limit of 128 MiB",
        HEAD + DEEP_FILES,
        ended_early("disk"),
        {"disk_bytes": 128 * MIB},
    ),
    Attack("nested", "1,500 nested folders", HEAD + NESTED, exits(0, None)),
    Attack(
        "numberless",
        "20,000 empty files, with a limit of 5,000",
        HEAD + NUMBERLESS,
        ended_early("disk"),
        {"files": 5000},
    ),
    Attack(
        "unreadable-artifacts",
        "artifacts of mode 0, and in folders of mode 0",
        UNREADABLE_ARTIFACTS,
        readable_or_refused,
        collect=("oof.csv", "folder/x.csv", "closed/x.csv"),
    ),
    Attack(
        "set-id",
        "set-user-id and set-group-id bits on files of the workspace",
        HEAD + SET_ID,
        plain_modes,
        open_in=("none",),
    ),
    Attack("stubborn", "SIGTERM, SIGINT and SIGHUP ignored", HEAD + STUBBORN, timed, SHORT),
    Attack("exit", "os._exit(3)", "import os\nos._exit(3)", exits(3, None)),
    Attack(
        "crash",
        "a segmentation fault",
        "import ctypes\nctypes.string_at(0)",
        exits(None, signal.SIGSEGV),
    ),
    Attack(
        "artifacts",
        "artifacts that are links, FIFO, device, socket, /proc file, 1.1 GiB sparse, outside",
        HEAD + ARTIFACTS,
        refused,
        {"disk_bytes": 4096 * MIB},
        (
            "link",
            "dir/labels.csv",
            "zero",
            "env",
            "fifo",
            "sock",
            "sparse",
            "hard",
            "../data.csv",
            "/etc/passwd",
        ),
    ),
    Attack(
        "hard-link", "hard links to labels and inputs", HEAD + HARD_LINK, silent, open_in=("none",)
    ),
    Attack("device", "a device node", HEAD + DEVICE, silent, open_in=("none",)),
]


@dataclass(frozen=True)
class Outcome:
    name: str
    verdict: str  # stopped | reached | lost
    detail: str
    end: str
    seconds: float


async def play(attack: Attack, sandbox: Sandbox, bait: Bait) -> Outcome:
    """Run one attack in a fresh workspace."""
    workspace = bait.folder / f"{sandbox.tier}-{attack.name}-{secrets.token_hex(3)}"
    workspace.mkdir(mode=0o755)
    job = Job(
        id=attack.name,
        script=attack.script,
        workspace=workspace,
        inputs={"data.csv": str(bait.data)},
        limits=Limits.model_validate({"wall_s": 170, "memory_bytes": 1024 * MIB, **attack.limits}),
        env=bait.environment(workspace),
        collect=list(attack.collect),
    )
    with interpreter(bait.home, attack.python):
        execution = await watched(with_interpreter(sandbox, bait.home, attack).run(job), bait)
    late = execution.end == "timeout" and attack.judge is not timed
    detail = (
        "not finished in time" if late else attack.judge(execution, bait)
    )  # what was not tried was not stopped
    remove_folder(workspace)
    tidy(bait)
    return Outcome(
        attack.name,
        "reached" if detail else "stopped",
        detail,
        execution.end,
        round(execution.wall_s, 2),
    )


def with_interpreter(sandbox: Sandbox, home: Path, attack: Attack) -> Sandbox:
    """The sandbox; where scripts have a Python of their own, with the one that the attack names."""
    if not attack.python or not isinstance(sandbox, LocalSandbox) or not sandbox.own_python:
        return sandbox
    python = find_interpreter(str(home / attack.python)).path
    return LocalSandbox(sandbox.isolation, None, sandbox.gpus, python)


def make_foreign_python(folder: Path) -> str:
    """Make a virtual environment that is not Gome's; return its interpreter."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    command = [base, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return str(folder / "bin/python")


@contextmanager
def interpreter(home: Path, name: str) -> Iterator[None]:
    """Let scripts run by a Python of the home, which is reached over links; made if needed."""
    if not name:
        yield
        return
    if not (home / "venv").exists():
        link_interpreters(home)
    before, sys.executable = sys.executable, str(home / name)
    try:
        yield
    finally:
        sys.executable = before


def link_interpreters(home: Path) -> None:
    """Link Python into ~/bin and make a venv from there; into ~/.local/bin as uv does."""
    real = Path(os.path.realpath(sys.executable))
    for name in ("bin", ".local/bin", ".local/share/uv/python"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "bin/python3").symlink_to(real)
    versions = home / ".local/share/uv/python"
    (versions / "cpython-linux").symlink_to(real.parents[1])
    installed = Path("../share/uv/python/cpython-linux/bin", real.name)
    (home / f".local/bin/python3.{sys.version_info.minor}").symlink_to(installed)
    command = [str(home / "bin/python3"), "-m", "venv", "--without-pip", str(home / "venv")]
    subprocess.run(command, check=True, capture_output=True)


async def watched(going: Coroutine[Any, Any, Execution], bait: Bait) -> Execution:
    """Await the script while measuring the growth of the agent's memory."""
    task = asyncio.ensure_future(going)
    before = peak = psutil.Process().memory_info().rss
    while not task.done():
        await asyncio.wait([task], timeout=0.05)
        peak = max(peak, psutil.Process().memory_info().rss)
    bait.growth = peak - before
    return task.result()


def tidy(bait: Bait) -> None:
    """Remove what a successful attack left, so that it cannot affect the next one."""
    bait.survivors(0)
    bait.data.write_text("a,b\n1,2\n")
    for path in [*bait.folder.rglob("planted*"), *Path("/dev/shm").glob(f"{bait.mark}*")]:
        path.unlink(missing_ok=True)
    if bait.agent.poll() is not None:
        bait.agent = subprocess.Popen(["/bin/sleep", "3000"], env={"OPENAI_API_KEY": bait.secret})
