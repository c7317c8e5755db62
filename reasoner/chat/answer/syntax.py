"""Whether a text is Python to the interpreter that will run it, which may be newer or older."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from reasoner.protocol import Resources

COMPILE_ERRORS = (ValueError, RecursionError, MemoryError, OverflowError)
LIMIT_S = 20
QUESTION = """
import json, sys
found = {}
try:
    compile(sys.stdin.buffer.read().decode("utf-8"), "solution.py", "exec", dont_inherit=True)
except SyntaxError as error:
    found = {"message": str(error.msg), "line": error.lineno or 1}
except (ValueError, RecursionError, MemoryError, OverflowError) as error:
    found = {"message": f"{type(error).__name__}: {error}"[:200]}
print(json.dumps(found))
"""


class Fault(BaseModel):
    """Why a text does not compile; `line` is None where that is not in one line."""

    model_config = ConfigDict(frozen=True)
    message: str = ""
    line: int | None = None


class ScriptPython(NamedTuple):
    """The Python that runs scripts."""

    minor: tuple[int, ...] = ()  # version, two numbers; empty: Gome's own
    path: str = ""  # on this machine; empty: it is on another

    @property
    def is_own(self) -> bool:
        """Whether it compiles what Gome's own Python compiles."""
        return self.minor in ((), sys.version_info[:2])


OWN = ScriptPython()


def script_python(resources: Resources) -> ScriptPython:
    """Return the Python that a brief's resources name."""
    parts = resources.python.split(".")[:2]
    is_version = len(parts) == 2 and all(part.isdecimal() for part in parts)
    return ScriptPython(tuple(map(int, parts)) if is_version else (), resources.interpreter)


def find_fault(text: str, python: ScriptPython = OWN) -> Fault | None:
    """Compile a text without running it; return why the scripts' Python refuses it, or None.

    Another version that is on this machine is asked itself. Of one elsewhere, what is known of its
    grammar is tried: a newer one may take what ours refuses, so nothing is refused for it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Fault(message=f"it is no text: {error.reason}")
    if python.is_own:
        return _compile_here(text)
    if python.path and Path(python.path).is_file():
        return _ask_python(python.path, text)
    if python.minor > sys.version_info[:2]:
        return None
    return _compile_here(text, python.minor)


def _compile_here(text: str, minor: tuple[int, ...] = ()) -> Fault | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "solution.py", "exec", dont_inherit=True)
            if minor:
                ast.parse(text, "solution.py", feature_version=(minor[0], minor[1]))
    except SyntaxError as error:
        return Fault(message=error.msg, line=error.lineno or 1)
    except COMPILE_ERRORS as error:
        return Fault(message=f"{type(error).__name__}: {error}"[:200])
    return None


@lru_cache(maxsize=64)
def _ask_python(path: str, text: str) -> Fault | None:
    """Return what another Python says; None too where it does not answer: the run will tell."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-W", "ignore", "-c", QUESTION],
            input=text.encode(),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode < 0:
            return Fault(message="it ends the compiler, so it is nested too deeply")
        fault = Fault.model_validate(json.loads(done.stdout))
    except (OSError, ValueError, ValidationError, subprocess.TimeoutExpired):
        return None
    return fault if fault.message else None
