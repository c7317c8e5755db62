"""A Python that runs scripts: which one it is, and what it needs of the disk, and no more.

The interpreter is asked: it names itself, its prefixes and its standard library, and shows which
shared libraries it loads. Links on the way to it are passed on as links, never as the folders that
hold them: `~/bin/python3` does not make the home readable.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.protocol import SandboxUnavailableError

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
HOMES = "/home"
PRIVATE_NAMES = (  # below a home; an environment may be inside some of them, but not around one
    ".ssh",
    ".config",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".mozilla",
    ".password-store",
    ".local/share/keyrings",
)
KEPT_NAMES = (".ssh", ".gnupg", ".aws", ".kube", ".password-store", "keyrings")  # never bound
MAX_LINKS = 40
LIMIT_S = 60
OLDEST = (3, 9)  # Python that scripts, and the programs of ours that ask it, are written for
QUESTION = """
import json, sys, sysconfig
for name in ("ssl", "ctypes", "sqlite3", "lzma", "bz2", "zlib", "hashlib", "readline", "uuid"):
    try:
        __import__(name)
    except ImportError:
        pass
places = sysconfig.get_paths()
site_folders = [places["purelib"], places["platlib"]]
library = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
prefixes = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
folders = prefixes + [places[name] for name in ("stdlib", "platstdlib")] + site_folders
try:
    lines = [line.split(maxsplit=5) for line in open("/proc/self/maps", errors="replace")]
except OSError:
    lines = []
libraries = sorted({line[5].strip() for line in lines if len(line) > 5 and ".so" in line[5]})
libraries += ["/".join(library)] if all(library) else []
files = [getattr(sys, "_base_executable", None) or sys.executable] + libraries
print(json.dumps({
    "path": sys.executable,
    "version": list(sys.version_info[:3]),
    "tag": sys.implementation.cache_tag or "",
    "site_folders": site_folders,
    "folders": folders,
    "files": files,
}))
"""


class InterpreterAnswer(BaseModel):
    """What a Python says of itself: the answer to `QUESTION`."""

    model_config = ConfigDict(frozen=True)
    path: str
    version: list[int]
    tag: str  # of its bytecode files
    site_folders: list[str]  # of installed packages
    folders: list[str]
    files: list[str]


@dataclass(frozen=True)
class InterpreterNeeds:
    """Real folders and files outside the system's, and the links that lead to them."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # path, target

    @property
    def paths(self) -> list[str]:
        """Folders and files: what must be readable."""
        return [*self.folders, *self.files]


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs scripts."""

    path: str
    version: str
    tag: str  # of its bytecode files
    site_folders: tuple[str, ...]  # of installed packages
    needs: InterpreterNeeds


def find_interpreter_needs(*pythons: str) -> InterpreterNeeds:
    """Return what Pythons need together; an empty path, or none, is the one that runs now.

    Raises:
        SandboxUnavailableError: one does not run, or one of its folders holds private files.
    """
    return _merge_needs(*(find_interpreter(python).needs for python in pythons or ("",)))


def find_interpreter(python: str = "") -> Interpreter:
    """Ask a Python by its path; without one, describe the Python that runs now.

    A launcher (of pyenv, for example) leads to the interpreter that it starts.

    Raises:
        SandboxUnavailableError: it does not run, or one of its folders holds private files.
    """
    if not python:
        return _examine_interpreter(os.path.abspath(sys.executable), True)  # noqa: PTH100 (links)
    return _examine_interpreter(os.path.abspath(python), False)  # noqa: PTH100


@lru_cache(maxsize=16)
def _examine_interpreter(python: str, is_own: bool) -> Interpreter:
    answer = ask_interpreter(python)
    named = answer.path
    is_usable = Path(named).is_absolute() and Path(named).is_file()
    path = named if is_usable and not is_own else python
    if tuple(answer.version) < OLDEST:
        raise SandboxUnavailableError(
            f"{python} is Python {_version_text(answer)}; scripts need "
            f"{'.'.join(map(str, OLDEST))} or later"
        )
    return Interpreter(
        path,
        _version_text(answer),
        answer.tag,
        tuple(dict.fromkeys(answer.site_folders)),
        _collect_needs(path, answer),
    )


def _version_text(answer: InterpreterAnswer) -> str:
    return ".".join(map(str, answer.version))


def _collect_needs(python: str, answer: InterpreterAnswer) -> InterpreterNeeds:
    links: dict[str, str] = {}
    folders: list[str] = []
    for named in dict.fromkeys(answer.folders):
        real = resolve_links(named, links)
        if Path(real).is_dir() and not is_inside(real, [*SYSTEM_FOLDERS, *folders]):
            check_not_private(real, python)
            folders = [one for one in folders if not is_inside(one, [real])] + [real]
    files = []
    for named in dict.fromkeys([python, *answer.files]):
        real = resolve_links(named, links)
        if is_inside(real, [*SYSTEM_FOLDERS, *folders]) or not _is_program(real):
            continue
        check_file_not_private(real, python)
        files.append(real)
    return _merge_needs(InterpreterNeeds(tuple(folders), tuple(files), tuple(links.items())))


def _is_program(path: str) -> bool:
    """Whether a file is a program or a shared library; nothing else is given to scripts alone."""
    with suppress(OSError):
        if Path(path).is_file():  # no pipe, which would be waited for
            with Path(path).open("rb") as file:
                return file.read(4) == b"\x7fELF"
    return False


def _merge_needs(*needs: InterpreterNeeds) -> InterpreterNeeds:
    """Return the needs together, without what one of the folders holds anyway."""
    named = dict.fromkeys(folder for need in needs for folder in need.folders)
    folders = [
        one for one in named if not is_inside(one, [other for other in named if other != one])
    ]
    files = dict.fromkeys(file for need in needs for file in need.files)
    links = {path: target for need in needs for path, target in need.links}
    return InterpreterNeeds(
        tuple(folders),
        tuple(file for file in files if not is_inside(file, folders)),
        tuple(sorted(item for item in links.items() if not is_inside(item[0], folders))),
    )


def ask_interpreter(python: str) -> InterpreterAnswer:
    """Return what a Python says of itself.

    Raises:
        SandboxUnavailableError: it does not answer.
    """
    words = ""
    try:
        done = subprocess.run(
            [python, "-I", "-c", QUESTION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        words = " ".join(done.stderr.split())[:200]
        return InterpreterAnswer.model_validate_json(done.stdout.strip().splitlines()[-1])
    except (OSError, ValidationError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError(
            f"{python} does not say where it is installed ({words or type(error).__name__}); "
            "run it by hand to see why, or use another Python"
        ) from error


def resolve_links(path: str, links: dict[str, str]) -> str:
    """Return the real path; every link on the way, outside the system, is added to `links`."""
    left, real, n_links = list(Path(path).parts[1:]), "/", 0
    while left:
        part = left.pop(0)
        if part == "..":
            real = str(Path(real).parent)
            continue
        here = str(Path(real) / part)
        if not Path(here).is_symlink() or n_links == MAX_LINKS:
            real = here
            continue
        n_links += 1
        target = str(Path(here).readlink())
        if not is_inside(here, SYSTEM_FOLDERS):
            links[here] = target
        if target.startswith("/"):
            real = "/"
        left = [name for name in target.split("/") if name not in ("", ".")] + left
    return real


def is_inside(path: str, folders: list[str] | tuple[str, ...]) -> bool:
    """Whether a path is one of the folders, or below one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def check_not_private(folder: str, python: str) -> None:
    """Raise SandboxUnavailableError if scripts that may read the folder could read a home."""
    reason = ""
    if folder == "/" or is_inside(HOMES, [folder]):
        reason = "every home is in it"
    for home in private_homes():
        if is_inside(home, [folder]):
            reason = f"the home {home} is in it"
        for name in PRIVATE_NAMES:
            if is_inside(f"{home}/{name}", [folder]):
                reason = reason or f"{home}/{name} belongs there"
    found = next((name for name in KEPT_NAMES if os.path.lexists(f"{folder}/{name}")), "")
    reason = reason or (f"{found} is in it" if found else "")
    if reason:
        raise SandboxUnavailableError(
            f"scripts would have to read all of {folder}, where {python} is installed, and "
            f"{reason}; make an environment in a folder of its own, e.g. python -m venv "
            "~/gome-env, from a Python installed in a folder of its own"
        )


def check_file_not_private(file: str, python: str) -> None:
    """Raise SandboxUnavailableError if a single file lies where a home keeps private ones."""
    places = [f"{home}/{name}" for home in private_homes() for name in PRIVATE_NAMES]
    if is_inside(file, places) or set(Path(file).parts) & set(KEPT_NAMES):
        raise SandboxUnavailableError(
            f"scripts would have to read {file}, which {python} loads, and private files are kept "
            "there; use a Python that is installed in a folder of its own"
        )


@lru_cache(maxsize=1)
def private_homes() -> tuple[str, ...]:
    """Return the homes of people and of root on this machine, as real paths."""
    return tuple(dict.fromkeys(_find_homes()))


def _find_homes() -> Iterator[str]:
    names = [os.environ.get("HOME", "")]
    for user in pwd.getpwall():
        if user.pw_uid in (0, os.getuid()) or 1000 <= user.pw_uid < 65534:
            names.append(user.pw_dir)
    for name in names:
        with suppress(OSError):
            real = os.path.realpath(name) if name else "/"
            if real != "/" and not is_inside(real, SYSTEM_FOLDERS):
                yield real
