"""Bytecode of the packages that scripts import.

Packages are read-only in the sandbox, so every script compiles again what has no bytecode: with
pandas, scikit-learn and LightGBM that is 3 of the 4 seconds of its start. pip compiles what it
installs; uv, and containers that set PYTHONDONTWRITEBYTECODE, do not.

    python -m sandbox.local.bytecode        compiles once what has no bytecode
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from sandbox.inside.probe import find_packages
from sandbox.local.interpreter import Interpreter, find_interpreter

# imported by the packages that scripts name
DEPENDENCIES = ["python-dateutil", "threadpoolctl", "patsy", "narwhals"]
TESTS_FOLDER = "tests"  # of a package: scripts never import it
LIMIT_S = 600


def compile_packages(names: Iterable[str], python: Interpreter | None = None) -> int:
    """Compile those of the named packages, and of their imports, that lack bytecode.

    `python`: the interpreter that imports them; None: the one that runs now. Returns the number of
    package folders compiled.
    """
    python = python or find_interpreter()
    roots = [
        root
        for name in [*names, *DEPENDENCIES]
        for root in package_roots(name, python)
        if lacks_bytecode(root, python.tag) and os.access(root, os.W_OK)
    ]
    if not roots:
        return 0
    options = ["-q", "-j", "0", "-x", rf"/{TESTS_FOLDER}/"]
    command = [python.path, "-I", "-m", "compileall", *options, *map(str, roots)]
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0  # scripts then start more slowly; nothing else changes
    return len(roots)


def package_roots(name: str, python: Interpreter) -> list[Path]:
    """Return the folders of a distribution's packages; empty if it is not installed."""
    found = distributions(name=name, path=list(python.site_folders))
    files = next((item.files or [] for item in found), [])
    inits = [file for file in files if len(file.parts) == 2 and file.name == "__init__.py"]
    return [Path(str(file.locate())).parent for file in inits]


def lacks_bytecode(root: Path, tag: str) -> bool:
    """Whether some folder below contains modules and no bytecode of interpreters of this tag."""
    suffix = f".{tag}.pyc"
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in (TESTS_FOLDER, "__pycache__")]
        has_modules = any(name.endswith(".py") for name in files)
        cache_names = list_names(Path(folder) / "__pycache__") if has_modules else []
        if has_modules and not any(name.endswith(suffix) for name in cache_names):
            return True
    return False


def list_names(folder: Path) -> list[str]:
    """Return the names in a folder; empty if it cannot be read."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


if __name__ == "__main__":
    compile_packages(find_packages())
