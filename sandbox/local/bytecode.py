"""Bytecode of the packages that scripts import.

Packages are read-only in the sandbox, so what nobody has compiled is compiled anew by every script: with pandas, scikit-learn and
LightGBM that is 3 of the 4 seconds of its start. pip compiles what it installs; uv, and containers that set PYTHONDONTWRITEBYTECODE, do not.

    python -m sandbox.local.bytecode        compiles what lacks, once
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sandbox.inside.probe import packages

BESIDE = [
    "python-dateutil",
    "threadpoolctl",
    "patsy",
    "narwhals",
]  # imported by those that scripts name
TESTS = "tests"  # of a package: never imported by a script
LIMIT_S = 600


def compile_packages(names: Iterable[str]) -> int:
    """Compiles those of the named packages, and of what they import, that lack bytecode; how many were."""
    roots = [
        root
        for name in [*names, *BESIDE]
        for root in roots_of(name)
        if lacks(root) and os.access(root, os.W_OK)
    ]
    if not roots:
        return 0
    command = [
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-x",
        rf"/{TESTS}/",
        *map(str, roots),
    ]
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
        return 0  # scripts start more slowly; nothing else is lost
    return len(roots)


def roots_of(name: str) -> list[Path]:
    """Folders of a distribution's packages."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []
    inits = [file for file in files if len(file.parts) == 2 and file.name == "__init__.py"]
    return [Path(str(file.locate())).parent for file in inits]


def lacks(root: Path) -> bool:
    """Whether some folder below holds modules and no bytecode of this interpreter."""
    tag = f".{sys.implementation.cache_tag}.pyc"
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if name not in (TESTS, "__pycache__")]
        if any(name.endswith(".py") for name in files) and not any(
            name.endswith(tag) for name in listed(Path(folder) / "__pycache__")
        ):
            return True
    return False


def listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


if __name__ == "__main__":
    compile_packages(packages())
