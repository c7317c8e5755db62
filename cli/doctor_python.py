"""The doctor's view of the Python that scripts run by: environments, torch and its GPUs, fit."""

from __future__ import annotations

import asyncio
import json as jsonlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.findings import Finding

if TYPE_CHECKING:
    from graph.settings import Settings
    from sandbox.env.registry import Environment
    from sandbox.protocol import Host

TORCH_PROBE = """import json, torch
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print("TORCH", json.dumps({"version": torch.__version__, "cuda": torch.version.cuda,
      "gpus": names if torch.cuda.is_available() else []}))
"""
WANTED = {  # modality -> packages of which its scripts want most
    "tabular": ("lightgbm", "xgboost", "catboost"),
    "text": ("torch", "transformers", "sentencepiece"),
    "vision": ("torch", "torchvision", "timm"),
    "audio": ("torch", "torchaudio", "librosa"),
}
ALIASES = {"xgboost": "xgboost-cpu"}
TORCH_LIMIT_S = 180


async def check_environments(settings: Settings, folder: Path) -> list[Finding]:
    """Describe every environment of `gome env`, with the GPUs that torch sees in it."""
    from sandbox.env.registry import list_environments

    found = list_environments()
    if not found:
        text = "none: scripts run by Gome's own Python"
        return [Finding("envs", "ok", text, "gome env create tab --preset tabular makes one")]
    return [await check_environment(settings, made, folder) for made in found]


async def check_environment(settings: Settings, made: Environment, folder: Path) -> Finding:
    """Describe one environment."""
    from cli.env import describe_environment
    from sandbox.env.registry import environment_path, read_lock

    lock = dict(line.split("==", 1) for line in read_lock(environment_path(made.name)))
    text = f"{made.name}: {describe_environment(made)}"
    if settings.sandbox != "local" or "torch" not in lock:
        return Finding("env", "ok", text)
    if not shutil.which("nvidia-smi"):
        return Finding("env", "ok", f"{text}; torch {lock['torch']}, no GPU here")
    return await check_torch(settings, made.name, text, folder)


async def check_torch(settings: Settings, name: str, text: str, folder: Path) -> Finding:
    """Ask torch in the sandbox, with every GPU leased, which of them it sees."""
    from run.services import sandbox_for
    from sandbox.protocol import Job, Limits, SandboxLostError, SandboxUnavailableError

    workspace = folder / f"torch-{name}"
    workspace.mkdir()
    try:
        sandbox = sandbox_for(settings.model_copy(update={"python": name}), folder)
        gpus = (await sandbox.probe()).gpus
        limits = Limits(wall_s=TORCH_LIMIT_S, gpus=len(gpus))
        execution = await sandbox.run(
            Job(id=f"torch-{name}", script=TORCH_PROBE, workspace=workspace, limits=limits)
        )
        await sandbox.close()
    except (SandboxUnavailableError, SandboxLostError) as error:
        return Finding("env", "bad", f"{name}: {error}")
    answer = read_answer(execution.output, "TORCH ")
    if answer is None:
        last = (execution.output.strip().splitlines() or ["no output"])[-1]
        return Finding("env", "bad", f"{text}; torch cannot be imported ({last[:200]})")
    seen = [str(gpu) for gpu in answer["gpus"]]
    said = f"{text}; torch {answer['version']} sees {', '.join(seen) or 'no GPU'}"
    if seen or not gpus:
        return Finding("env", "ok", said)
    remedy = f"its builds are not for this driver: gome env rm {name}, then create it with --cuda"
    return Finding("env", "note", said, remedy)


def read_answer(output: str, mark: str) -> dict[str, Any] | None:
    """Return the JSON object of the line that begins with the mark."""
    line = next((text for text in output.splitlines() if text.startswith(mark)), "")
    try:
        value = jsonlib.loads(line.removeprefix(mark)) if line else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


async def check_task_fit(settings: Settings, task: str, folder: Path) -> list[Finding]:
    """Compare what scripts can import with what the task's kind of data wants."""
    from run.services import sandbox_for
    from sandbox.protocol import SandboxLostError, SandboxUnavailableError
    from task.client import TaskWorker

    worker = TaskWorker()
    try:
        guess = await worker.guess_modality(task)
        sandbox = sandbox_for(settings, folder)
        host = await sandbox.probe()
        await sandbox.close()
    except (SandboxUnavailableError, SandboxLostError):
        return []  # the isolation's own line says why
    finally:
        await worker.close()
    return [await asyncio.to_thread(judge_fit, guess["modality"], guess["why"], host)]


def judge_fit(modality: str, why: str, host: Host) -> Finding:
    """Say what the scripts' Python has, and lacks, for a kind of data."""
    from sandbox.env.registry import list_environments

    wanted = WANTED[modality]
    missing = [
        name
        for name in wanted
        if name not in host.installed and ALIASES.get(name) not in host.installed
    ]
    text = f"{modality} ({why}): "
    if not missing:
        return Finding("task", "ok", f"{text}scripts can import {', '.join(wanted)}")
    fitting = [made.name for made in list_environments() if {modality, "all"} & set(made.presets)]
    remedy = (
        f"use the environment that you have: --python {fitting[0]}"
        if fitting
        else f"gome env create {modality} --preset {modality}, then --python {modality}"
    )
    return Finding("task", "note", f"{text}scripts would want {', '.join(missing)}", remedy)
