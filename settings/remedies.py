"""Commands that a message names as its remedy."""

from __future__ import annotations

import importlib.util
import shlex
import sys


def install_command(*packages: str, python: str | None = None) -> str:
    """Return the command that installs packages for `python`, by default beside Gome.

    An environment made by uv has no pip of its own, and the `pip` on the path is then that of
    another Python.
    """
    names = " ".join(map(shlex.quote, packages))
    ours = shlex.quote(sys.executable)
    if python is not None:
        return f"{ours} -m uv pip install --python {shlex.quote(python)} {names}"
    tool = "pip" if importlib.util.find_spec("pip") else "uv pip"
    return f"{ours} -m {tool} install {names}"
