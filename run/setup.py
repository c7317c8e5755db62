"""setup.json: facts that the profile node gathers once, before the first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from reasoner.protocol import TaskBrief
from run.artifacts import read_regular, write_atomic
from run.folder import read_run_meta, reroot_paths
from run.lock import RunError
from sandbox.env.registry import environment_of, read_lock
from task.types import Prepared


class Setup(BaseModel):
    """The prepared task, its profile, and what scripts can import and use."""

    model_config = ConfigDict(frozen=True)
    root: str | None = None  # the run folder when it was written
    prepared: Prepared
    profile: dict[str, Any]  # task.types.Profile
    rehearsal: dict[str, Any] = {}  # task.grade.rehearse.RehearsalJson
    preview: str = ""
    brief: TaskBrief
    interpreter: str = ""  # path of the Python that runs scripts
    python: str = ""  # its version
    packages: dict[str, str]  # that scripts are told of: name -> version
    installed: dict[str, str] = {}  # all that it has
    modules: dict[str, str] = {}  # first name of an import -> package that brings it
    cpus: int
    memory_bytes: int | None = None  # of one script, where the settings say `auto`
    gpus: list[str] = []
    tier: str
    enforced: list[str] = []
    notice: str | None = None

    def environment(self) -> dict[str, Any]:
        """Return the scripts' Python and its exact packages, for run.json."""
        made = environment_of(self.interpreter)
        lock = read_lock(Path(self.interpreter).parents[1]) if made else []
        return {
            "interpreter": self.interpreter,
            "python": self.python,
            "name": made.name if made else None,
            "lock": lock or [f"{name}=={version}" for name, version in self.installed.items()],
        }

    def what_was_read(self) -> dict[str, Any]:
        """Return how the tables were read, for run.json and the report."""
        form = self.prepared.form
        return {
            "columns": self.prepared.read,
            "repairs": self.prepared.repairs,
            "decided": self.prepared.task.decided,
            "classes": form.labels if form else [],
            "positive": form.positive if form else "",
            "meaning": form.meaning() if form else {},
            "rehearsal": self.rehearsal,
        }


def read_setup(folder: Path) -> Setup:
    """Read setup.json; paths follow a run folder that was moved.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "setup.json"
    if not path.exists() and read_run_meta(folder).get("imported"):
        raise RunError(
            f"{folder} is a read-only import, without data: `gome show` and `gome report` work; to "
            "resume it or predict, export the original again, without --read-only"
        )
    try:
        value = json.loads(read_regular(path))
        root = value.get("root")
        if root not in (None, str(folder)):
            value = reroot_paths(value, {root: str(folder)})
        return Setup.model_validate(value)
    except (
        OSError,
        ValueError,
        ValidationError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(f"{path} cannot be read ({first}); start a new run") from error


def write_setup(folder: Path, setup: Setup) -> None:
    """Write setup.json atomically."""
    write_atomic(folder / "setup.json", json.dumps(setup.model_dump(mode="json")))
