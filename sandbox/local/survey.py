"""The survey of the scripts' Python, made by itself in the sandbox: version, packages, imports."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import ValidationError

from sandbox.env.registry import environment_of
from sandbox.inside import probe
from sandbox.local.interpreter import Interpreter
from sandbox.protocol import Execution, Job, Limits, Sandbox, SandboxUnavailableError, Survey

LIMIT_S = 120
MAX_BYTES = 8 * 2**20
_known: dict[tuple[str, str, tuple[int, ...]], Survey] = {}


async def survey_interpreter(sandbox: Sandbox, python: Interpreter) -> Survey:
    """Return the survey; made once in this process while the installed packages stay the same.

    Raises:
        SandboxUnavailableError: the interpreter fails in the sandbox.
    """
    state = tuple(_modified_ns(folder) for folder in python.site_folders)
    key = (python.path, sandbox.tier, state)
    if key not in _known:
        _known[key] = await _run_survey(sandbox, python)
    return _known[key]


def _modified_ns(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


async def _run_survey(sandbox: Sandbox, python: Interpreter) -> Survey:
    with tempfile.TemporaryDirectory(prefix="gome-survey-") as folder:
        Path(folder).chmod(0o755)  # the script may be another user
        workspace = Path(folder, "work")
        workspace.mkdir(mode=0o755)
        execution = await sandbox.run(
            Job(
                id="survey",
                script=Path(probe.__file__).read_text(encoding="utf-8"),
                workspace=workspace,
                limits=Limits(wall_s=LIMIT_S),
                collect=[probe.SURVEY_FILE],
            )
        )
        survey = _read_survey(execution)
    if survey is None:
        lines = execution.output.strip().splitlines() or ["no output"]
        raise SandboxUnavailableError(
            f"{python.path} fails in the sandbox ({execution.end}: {lines[-1][:200]}); run it by "
            "hand to see why, or use another Python: `gome env create NAME` makes an environment"
        )
    wanted = environment_of(python.path)
    named = [name.lower() for name in wanted.wanted] if wanted else []
    more = {name: survey.installed[name] for name in named if name in survey.installed}
    return survey.model_copy(update={"packages": survey.packages | more})


def _read_survey(execution: Execution) -> Survey | None:
    """Return what the script wrote, if it is a survey."""
    path = Path(execution.files.get(probe.SURVEY_FILE, ""))
    if not execution.ok or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return None
    try:
        return Survey.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
