"""Task workers forked from one process that has imported the libraries.

A worker's imports are three quarters of what it computes in a test. What serves the calls is the
worker's own code; only its start differs. tests/test_task_client.py starts workers as users do, and
so does every run of the command line in a process of its own.

    python -I -S warm_worker.py SOCKET [ARGUMENT …]    stands for one worker, until either ends
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, TypedDict

TESTS = Path(__file__).resolve().parent
REQUEST_BYTES = 1 << 20
LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)


class Request(TypedDict):
    """What a worker is forked with."""

    arguments: list[str]
    cwd: str
    env: dict[str, str]
    limits: list[tuple[int, int]]


def search_path() -> str:
    """Return PYTHONPATH with this folder first."""
    return os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])


class WarmWorkers:
    """The process that workers are forked from; started by the first worker, ended by `close`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "workers"
        self._parent: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return the command that stands for a worker with these arguments."""
        if self._parent is None:
            self._start()
        return [sys.executable, "-I", "-S", __file__, str(self.path), *arguments]

    def _start(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(64)
            call = f"import warm_worker; warm_worker.serve_workers({listener.fileno()})"
            self._parent = subprocess.Popen(
                [sys.executable, "-P", "-c", call],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=os.environ | {"PYTHONPATH": search_path(), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the worker's owner
            )

    def close(self) -> None:
        """End the process; its workers end with their owners."""
        if self._parent is not None:
            assert self._parent.stdin
            self._parent.stdin.close()
            self._parent.wait()


# ------------------------------------------------------------------------ what stands for a worker


def stand_for_worker(path: str, arguments: list[str]) -> NoReturn:
    """Have a worker forked that gets this process's pipes, and end as it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request: Request = {
        "arguments": arguments,
        "cwd": os.getcwd(),
        "env": dict(os.environ),
        "limits": [resource.getrlimit(limit) for limit in LIMITS],
    }
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        socket.send_fds(link, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        for descriptor in (0, 1):  # the worker's alone: its end must be seen
            os.close(descriptor)
        status = int(link.recv(64) or b"256")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


# --------------------------------------------------------------------- what workers are forked from


def serve_workers(listener_fd: int) -> None:
    """Fork a worker for every connection, until stdin closes."""
    import_libraries()
    listener = socket.socket(fileno=listener_fd)
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    links: dict[int, socket.socket] = {}  # by the worker's process id
    while True:
        waiting: list[int | socket.socket] = [0, listener, wake, *links.values()]
        ready, _, _ = select.select(waiting, [], [])
        if 0 in ready:
            return
        for pid, link in links.items():
            if link in ready:  # its other end was killed
                os.kill(pid, signal.SIGKILL)
        if wake in ready:
            wake.recv(4096)
        for pid in list(links):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                link = links.pop(pid)
                with link:
                    tell_status(link, status)
        if listener in ready:
            link, _ = listener.accept()
            if pid := fork_worker(link, [listener, wake, waker, *links.values()]):
                links[pid] = link


def import_libraries() -> None:
    """Import what the worker's functions import."""
    import importlib

    from task.client import RemoteFunction, TaskWorker

    for value in vars(TaskWorker).values():
        if isinstance(value, RemoteFunction):
            importlib.import_module(value.name.path.rpartition(".")[0])
    for name in ("task.worker", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"):
        importlib.import_module(name)


def tell_status(link: socket.socket, status: int) -> None:
    """Tell how a worker ended, if anyone is there to hear it."""
    try:
        link.sendall(str(status).encode())
    except OSError:
        return


def fork_worker(link: socket.socket, others: list[socket.socket]) -> int:
    """Fork a worker that serves what the connection asks for; return its process id, or 0."""
    data, descriptors, _, _ = socket.recv_fds(link, REQUEST_BYTES, 3)
    while data and not data.endswith(b"\n"):
        data += link.recv(REQUEST_BYTES)
    if not data:
        link.close()
        return 0
    pid = os.fork()
    if not pid:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (link, *others):
            end.close()
        become_worker(json.loads(data), descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def become_worker(request: Request, descriptors: list[int]) -> NoReturn:
    """Serve calls in this fork as `python -P -m task.worker` does."""
    import task.worker

    code = 1
    try:
        for place, descriptor in enumerate(descriptors):
            os.dup2(descriptor, place)
            os.close(descriptor)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        for limit, values in zip(LIMITS, request["limits"], strict=True):
            resource.setrlimit(limit, (values[0], values[1]))
        sys.path.remove(str(TESTS))
        sys.argv = [task.worker.__file__, *request["arguments"]]
        task.worker.main()
        code = 0
    except BaseException:  # noqa: BLE001  a worker must not return into the loop that forked it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    stand_for_worker(sys.argv[1], sys.argv[2:])
