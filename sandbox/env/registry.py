"""The environments of `gome env` below ~/.gome/envs, and the Python that a setting names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.inside.walk import measure_folder
from sandbox.protocol import SandboxUnavailableError

ENVIRONMENTS = "~/.gome/envs"
RECORD_FILE, LOCK_FILE = "gome-env.json", "gome-env.lock"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Hardware = Literal["cpu", "cuda"]


class Environment(BaseModel):
    """An environment as it was made: gome-env.json, which is written last."""

    model_config = ConfigDict(frozen=True)
    name: str
    created: str
    version: str  # of Python
    presets: list[str]
    wanted: list[str]  # packages named beside the presets
    hardware: Hardware


def environments_folder() -> Path:
    """Return the folder of all environments."""
    return Path(ENVIRONMENTS).expanduser()


def environment_path(name: str) -> Path:
    """Return the folder of an environment, which need not exist.

    Raises:
        SandboxUnavailableError: nothing can have this name.
    """
    if not NAME.fullmatch(name):
        raise SandboxUnavailableError(
            f"{name!r} cannot be the name of an environment: use letters, digits, '-', '_' and '.'"
        )
    return environments_folder() / name


def making_file(folder: Path) -> Path:
    """Return the file that is locked while an environment is made, and stays where that was killed.

    A folder without it, and without a record, was made by somebody else.
    """
    return folder.with_name(f".{folder.name}.making")


def is_unfinished(folder: Path) -> bool:
    """Whether the environment is being made, or its making was killed."""
    return making_file(folder).exists() and read_environment(folder) is None


def list_environments() -> list[Environment]:
    """Return every environment whose making was completed, by name."""
    folders = sorted(environments_folder().glob("*/")) if environments_folder().is_dir() else []
    return [found for folder in folders if (found := read_environment(folder))]


def missing_environment(name: str) -> SandboxUnavailableError:
    """Return the error of an environment that is not there, with those that are."""
    names = ", ".join(found.name for found in list_environments()) or "none"
    return SandboxUnavailableError(f"there is no environment {name}; there are: {names}")


def environment_bytes(folder: Path) -> int:
    """Return the size of an environment."""
    return measure_folder(folder, max_files=10**7).n_bytes


def read_environment(folder: Path) -> Environment | None:
    """Return what is recorded of an environment; None if its making was not completed."""
    try:
        return Environment.model_validate_json((folder / RECORD_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def read_lock(folder: Path) -> list[str]:
    """Return an environment's packages as `name==version`."""
    try:
        lines = (folder / LOCK_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def environment_of(python: str) -> Environment | None:
    """Return the environment of `gome env` that an interpreter belongs to."""
    folder = Path(python).parent.parent
    is_ours = folder.parent == environments_folder()
    return read_environment(folder) if python and is_ours else None


def resolve_python(value: str) -> str:
    """Return the path of the interpreter that the setting `python` names.

    Args:
        value: path of an interpreter or of an environment's folder, name of an environment, or a
            command on PATH.

    Raises:
        SandboxUnavailableError: there is none.
    """
    if "/" not in value:
        folder = environments_folder() / value
        made = folder / "bin" / "python"
        if NAME.fullmatch(value) and is_unfinished(folder):
            raise SandboxUnavailableError(
                f"--python {value}: the environment is not complete; if nothing is making it now, "
                f"make it again with `gome env create {value}`"
            )
        if NAME.fullmatch(value) and made.exists():
            return str(made)
        if command := shutil.which(value):
            return command
        names = ", ".join(found.name for found in list_environments()) or "none"
        raise SandboxUnavailableError(
            f"--python {value}: neither an environment of `gome env` (there are: {names}) nor a "
            "command on PATH; give the path of an interpreter or of an environment's folder"
        )
    path = Path(value).expanduser()
    if path.is_dir():
        found = next((p for p in (path / "bin/python", path / "bin/python3") if p.exists()), None)
        if found is None:
            raise SandboxUnavailableError(
                f"--python {value}: the folder has no bin/python, so it is no environment"
            )
        return str(found.absolute())
    if not path.is_file():
        raise SandboxUnavailableError(
            f"--python {value}: there is no such file; name an interpreter such as "
            "/path/to/env/bin/python"
        )
    return str(path.absolute())
