"""Make an environment by uv: resolve, lock, install with bytecode, import everything once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.env.presets import (
    Preset,
    preset_requirements,
    requirement_name,
    split_requirements,
)
from sandbox.env.registry import (
    LOCK_FILE,
    RECORD_FILE,
    Environment,
    Hardware,
    environment_bytes,
    environment_path,
    is_unfinished,
    making_file,
    missing_environment,
    read_environment,
)
from sandbox.inside.walk import remove_folder
from sandbox.local.interpreter import OLDEST, ask_interpreter
from sandbox.protocol import SandboxUnavailableError

Say = Callable[[str], None]
LIMIT_S = 3600  # for a command of uv; torch alone is gigabytes
IMPORT_LIMIT_S = 600
CLOSED_WORDS = (
    "dns error",
    "error sending request",
    "failed to lookup address",
    "connection refused",
    "network is unreachable",
    "connection timed out",
    "operation timed out",
)
IMPORTS = """
import importlib, json, sys
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
print(json.dumps({"failed": failed, "version": ".".join(map(str, sys.version_info[:3]))}))
"""


class NetworkClosedError(SandboxUnavailableError):
    """A package index cannot be reached."""


def create_environment(
    name: str,
    presets: Sequence[str],
    wanted: Sequence[str],
    hardware: Hardware | None = None,
    python: str | None = None,
    say: Say = lambda text: None,
) -> Environment:
    """Make an environment below ~/.gome/envs; nothing is left of one that fails.

    Args:
        name: of the environment.
        presets: names of presets.
        wanted: further requirements; one may hold several, separated by commas.
        hardware: which builds of torch and xgboost to take; None: by the GPUs of this machine.
        python: version or path of its Python; None: the version that runs Gome.
        say: is told what is being done.

    Raises:
        SandboxUnavailableError: the name is taken, nothing fits together, a package cannot be
            imported, or the network is closed.
    """
    folder, chosen = environment_path(name), hardware or detect_hardware()
    named = split_requirements(wanted)
    requirements = preset_requirements(presets, chosen)
    if not requirements and not named:
        raise SandboxUnavailableError(
            f"nothing to install into {name}: give --preset tabular, --with PACKAGE, or both"
        )
    try:
        with make_alone(folder):
            return _fill_environment(folder, presets, requirements, named, chosen, python, say)
    except OSError as error:
        raise SandboxUnavailableError(
            f"{error.filename or folder}: {error.strerror}; environments are made there"
        ) from error


def remove_environment(name: str) -> int:
    """Remove an environment, or what a killed making left; return the bytes freed.

    Raises:
        SandboxUnavailableError: there is none, it is being made, or it cannot be removed.
    """
    folder = environment_path(name)
    if not read_environment(folder) and not is_unfinished(folder):
        raise missing_environment(name)
    with lock_making(folder):
        size = environment_bytes(folder)
        if left := remove_folder(folder):
            raise SandboxUnavailableError(f"{folder} could not be removed ({left})")
    return size


@contextmanager
def lock_making(folder: Path) -> Iterator[None]:
    """Keep other processes from making the environment, or from removing it.

    Raises:
        SandboxUnavailableError: another process is at it.
    """
    mark = making_file(folder)
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_current = os.path.samestat(os.fstat(lock.fileno()), mark.stat())
        except OSError:
            is_current = False
        if not is_current:  # locked, or removed by a process that has just ended
            raise SandboxUnavailableError(
                f"another process is making the environment {folder.name}; wait for it"
            )
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)


@contextmanager
def make_alone(folder: Path) -> Iterator[None]:
    """Keep other processes from the folder while it is made; remove it if that fails.

    What a killed making left is removed first.

    Raises:
        SandboxUnavailableError: something is there, or another process is making it.
    """
    was_killed = is_unfinished(folder)
    with lock_making(folder):
        _clear_place(folder, was_killed=was_killed)
        try:
            yield
        except BaseException:
            remove_folder(folder)
            raise


def _clear_place(folder: Path, *, was_killed: bool) -> None:
    """Remove what a killed making left.

    Raises:
        SandboxUnavailableError: something else is there.
    """
    name = folder.name
    if read_environment(folder):
        raise SandboxUnavailableError(
            f"there is an environment {name} already; remove it with `gome env rm {name}`, or "
            "choose another name"
        )
    if os.path.lexists(folder) and not was_killed:
        raise SandboxUnavailableError(
            f"{folder} is there already and was not made by `gome env`; remove it by hand, or "
            "choose another name"
        )
    if left := remove_folder(folder):
        raise SandboxUnavailableError(f"{folder} cannot be removed ({left}); remove it by hand")


def _fill_environment(
    folder: Path,
    presets: Sequence[str],
    requirements: Preset,
    named: list[str],
    hardware: Hardware,
    python: str | None,
    say: Say,
) -> Environment:
    own = getattr(sys, "_base_executable", None) or sys.executable
    try:
        run_uv(["venv", "--no-project", "--python", python or own, str(folder)])
    except NetworkClosedError:
        raise NetworkClosedError(
            f"Python {python} is not found on this machine and cannot be downloaded from here; "
            "give --python the path of an interpreter"
        ) from None
    own_python = folder / "bin" / "python"
    check_version(own_python)
    say(f"requirements to resolve: {len(requirements) + len(named)}")
    lock = _lock_requirements(own_python, [*requirements, *named], hardware, say)
    (folder / LOCK_FILE).write_text(lock, encoding="utf-8")
    n_packages = sum(1 for line in lock.splitlines() if "==" in line)
    say(f"packages to install: {n_packages}")
    options = ["--compile-bytecode", *_torch_options(lock)]
    run_uv(["pip", "sync", "--python", str(own_python), *options, str(folder / LOCK_FILE)])
    if requirements:
        say(f"packages to import: {len(requirements)}")
    version = _import_modules(own_python, list(requirements.values()))
    made = Environment(
        name=folder.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        version=version,
        presets=list(presets),
        wanted=[requirement_name(text) for text in named],
        hardware=hardware,
    )
    part = folder / f"{RECORD_FILE}.part"
    part.write_text(made.model_dump_json(indent=1), encoding="utf-8")
    part.rename(folder / RECORD_FILE)
    return made


def check_version(python: Path) -> None:
    """Raise SandboxUnavailableError if scripts cannot run by this Python, before packages come."""
    version = tuple(ask_interpreter(str(python)).version)
    if version < OLDEST:
        raise SandboxUnavailableError(
            f"that is Python {'.'.join(map(str, version))}; scripts need "
            f"{'.'.join(map(str, OLDEST))} or later"
        )


def _lock_requirements(python: Path, wanted: list[str], hardware: Hardware, say: Say) -> str:
    """Return a resolved set of versions as text, a line per package."""
    options = ["pip", "compile", "-", "--python", str(python), "--no-annotate", "--no-header"]
    text = "\n".join(wanted) + "\n"
    needs_torch = any(requirement_name(each).startswith("torch") for each in wanted)
    if not needs_torch:
        return run_uv(options, text)
    backend = "cpu" if hardware == "cpu" else "auto"
    try:
        lock = run_uv([*options, "--torch-backend", backend], text)
        return f"# torch-backend: {backend}\n{lock}"
    except NetworkClosedError:
        say(
            "PyTorch's own index cannot be reached: taking the builds of the package index, which "
            "hold CUDA and are larger"
        )
    return run_uv(options, text)


def _torch_options(lock: str) -> list[str]:
    """Return the option that finds the builds of torch that a lock names."""
    first = lock.partition("\n")[0]
    mark = "# torch-backend: "
    return ["--torch-backend", first.removeprefix(mark)] if first.startswith(mark) else []


def _import_modules(python: Path, modules: list[str]) -> str:
    """Import every module in one process; return the version of Python."""
    command = [str(python), "-I", "-c", IMPORTS, json.dumps(modules)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "MPLCONFIGDIR": "/nonexistent"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=IMPORT_LIMIT_S,
            check=False,
        )
        answer = json.loads((done.stdout.strip().splitlines() or [""])[-1])
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError(
            f"the packages cannot be imported together ({type(error).__name__}); leave some out"
        ) from error
    if failed := answer["failed"]:
        name, reason = next(iter(failed.items()))
        raise SandboxUnavailableError(
            f"{len(failed)} of {len(modules)} packages cannot be imported, first {name} "
            f"({reason}); leave it out, or name another version with --with"
        )
    return str(answer["version"])


def detect_hardware() -> Hardware:
    """Return the builds that this machine can use."""
    return "cuda" if shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists() else "cpu"


def find_uv() -> str:
    """Return the path of uv: of the package `uv`, else on PATH.

    Raises:
        SandboxUnavailableError: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        command = shutil.which("uv")
    if command is None:
        raise SandboxUnavailableError(
            "environments are made by uv, which is missing here: pip install uv; or make one by "
            "hand (python -m venv FOLDER) and run with --python FOLDER"
        )
    return command


def run_uv(arguments: list[str], text: str = "") -> str:
    """Run uv with `text` as its input; return its output.

    Raises:
        NetworkClosedError: an index cannot be reached.
        SandboxUnavailableError: it fails; the message has its last words.
    """
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    try:
        done = subprocess.run(
            [find_uv(), "-q", *arguments],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError(f"uv {arguments[0]} did not end ({error})") from error
    if done.returncode == 0:
        return done.stdout
    words = " ".join(done.stderr.split())
    if any(word in words.lower() for word in CLOSED_WORDS):
        raise NetworkClosedError(
            "the package index cannot be reached from here; open the network for this command, "
            "name a mirror in UV_DEFAULT_INDEX, or use an environment that exists: --python PATH"
        )
    raise SandboxUnavailableError(f"uv {' '.join(arguments[:2])} failed: {words[:600]}")
