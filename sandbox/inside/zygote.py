"""A warm interpreter: imports once, then forks a child for every script.  Runs inside the sandbox, already confined.

    python -s zygote.py CONTROL_FD

It imports and never computes, because a library that has started its threads (OpenMP, BLAS) hangs in a forked child; so the parent of every
script stays as it was after the imports. Over the control socket comes {"cores"} with the write end of a script's output, and goes
{"status", "cpu_s"} once the script and all that it started are gone.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confine  # type: ignore[import-not-found]  # noqa: E402
import keeper  # type: ignore[import-not-found]  # noqa: E402

sys.path.pop(0)

IMPORTS = (
    "numpy", "scipy.stats", "pandas", "lightgbm", "sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline",
    "sklearn.preprocessing", "sklearn.compose", "sklearn.impute", "sklearn.metrics", "sklearn.feature_extraction.text",
)  # fmt: skip


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    for name in IMPORTS:
        try:
            __import__(name)
        except ImportError:  # not in this environment; a script that wants it will say so itself
            continue
    confine.prctl(confine.PR_SET_DUMPABLE, 0)
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # meant for the script
    control.send(b'{"ready": true}\n')
    while True:
        message, handles, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            return
        serve(control, json.loads(message), handles[0])


def serve(control: socket.socket, order: dict[str, list[int]], output: int) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        control.close()
        play(order, output)
    os.close(output)
    status = keeper.wait_for(child)
    keeper.clear(sweep=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    control.send(json.dumps({"status": status, "cpu_s": cpu_s}).encode() + b"\n")


def play(order: dict[str, list[int]], output: int) -> None:
    """The script as `__main__`, in this child; never returns."""
    confine.prctl(confine.PR_SET_DUMPABLE, 1)
    confine.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for handle in (1, 2):
        os.dup2(output, handle)
    os.close(output)
    if order["cores"]:
        os.sched_setaffinity(0, order["cores"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # every child would draw the same numbers
    code = run_script(os.path.join(os.getcwd(), "solution.py"))
    threading._shutdown()  # type: ignore[attr-defined]  # before atexit, as the interpreter does: joblib's workers hang otherwise
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def run_script(path: str) -> int:
    """The exit code that `python solution.py` would have."""
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    sys.argv[:] = ["solution.py"]
    sys.path[0] = os.path.dirname(path)
    try:
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec"), module.__dict__)
    except SystemExit as leaving:
        return exit_code(leaving.code)
    except BaseException as error:  # noqa: BLE001 (what a script raises is its own affair; the interpreter prints it like this)
        traceback.print_exception(
            type(error), error, error.__traceback__.tb_next if error.__traceback__ else None
        )
        return 1
    return 0


def exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
