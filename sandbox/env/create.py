"""Make an environment by uv: resolve, lock, install with bytecode, import everything once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
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
    environment_path,
    read_environment,
)
from sandbox.inside.walk import remove_folder
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
    if folder.exists() and read_environment(folder):
        raise SandboxUnavailableError(
            f"there is an environment {name} already; remove it with `gome env rm {name}`, or "
            "choose another name"
        )
    remove_folder(folder)  # of a making that was killed
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _fill_environment(folder, presets, requirements, named, chosen, python, say)
    except BaseException:
        remove_folder(folder)
        raise


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
