"""`gome doctor`: what this machine and the endpoint can do, what is wrong, and how to fix it."""

from __future__ import annotations

import asyncio
import json as jsonlib
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.config import make_settings
from cli.doctor_python import check_environments, check_task_fit
from cli.findings import Finding, Level
from cli.options import SetPairs, setting_options
from report.formatting import format_plural
from settings.field import AUTO
from settings.remedies import install_command

if TYPE_CHECKING:
    from graph.settings import Settings
    from sandbox.protocol import Sandbox

MARKS: dict[Level, str] = {"ok": "✓", "note": "!", "bad": "✗"}
REQUIRED_PACKAGES = {"numpy": "numpy", "pandas": "pandas", "scikit-learn": "sklearn"}
OPTIONAL_PACKAGES = {
    "scipy": "scipy",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "catboost": "catboost",
    "torch": "torch",
    "statsmodels": "statsmodels",
}
PACKAGE_PROBE = """import importlib, json, sys
found, broken = {}, {}
for name in json.loads(%r):
    try:
        found[name] = str(getattr(importlib.import_module(name), "__version__", "?"))
    except ModuleNotFoundError:
        pass
    except Exception as error:
        broken[name] = f"{type(error).__name__}: {error}"[:200]
print("PROBED", json.dumps([found, broken]))
"""
MIN_DISK_BYTES, ENOUGH_DISK_BYTES = 2 * 2**30, 10 * 2**30


@setting_options("model", "base_url", "fallback", "sandbox", "python", "isolation", "runs_dir")
def doctor_command(
    given: dict[str, Any],
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="Task folder, to see whether scripts find what it wants."
        ),
    ] = "",
    pairs: SetPairs = None,
    json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
) -> None:
    """Check endpoint, isolation, packages, environments, GPUs, disk and memory.

    Exit code 0: everything that a run needs is available; 2: something is missing.
    """
    findings = asyncio.run(examine_machine(make_settings(given, pairs or [], task), task))
    is_healthy = all(finding.level != "bad" for finding in findings)
    if json:
        rows = [asdict(finding) for finding in findings]
        typer.echo(jsonlib.dumps({"ok": is_healthy, "findings": rows}, indent=1))
    else:
        print_findings(findings)
        typer.echo(
            "\nEverything that a run needs is available."
            if is_healthy
            else "\nSomething is missing; fix the items marked ✗ before running."
        )
    raise typer.Exit(0 if is_healthy else 2)


def print_findings(findings: list[Finding]) -> None:
    """Print a line per finding, its remedy below it."""
    for finding in findings:
        typer.echo(f"{MARKS[finding.level]} {finding.name:<10} {finding.text}")
        if finding.remedy:
            typer.echo(f"  {'':<10} → {finding.remedy}")


async def examine_machine(settings: Settings, task: str = "") -> list[Finding]:
    """Run all checks."""
    with tempfile.TemporaryDirectory(prefix="gome-doctor-") as folder:
        return [
            *await check_endpoint(settings),
            *await check_isolation(settings, Path(folder)),
            *await check_environments(settings, Path(folder)),
            *(await check_task_fit(settings, task, Path(folder)) if task else []),
            check_gpus(),
            check_disk(settings),
            check_memory(settings),
        ]


async def check_endpoint(settings: Settings) -> list[Finding]:
    """Ask every model one tiny structured question."""
    from reasoner.protocol import ReasonerUnavailableError
    from run.services import reasoner_for

    if not settings.model:
        text = "no model is set: runs use the embedded expert, which needs none"
        return [
            Finding(
                "endpoint", "ok", text, "to check one: gome doctor --model NAME [--base-url URL]"
            )
        ]
    notes: list[str] = []
    try:
        chat: Any = reasoner_for(settings, notes.append)
    except ReasonerUnavailableError as error:
        return [Finding("endpoint", "bad", str(error), "docs/models.md lists settings by endpoint")]
    try:
        usage = await chat.check()
    except ReasonerUnavailableError as error:
        return [
            Finding("endpoint", "bad", str(error), "docs/models.md lists messages and remedies")
        ]
    finally:
        await chat.close()
    tokens = usage.input_tokens + usage.output_tokens
    good = Finding(
        "endpoint",
        "ok",
        f"{chat.name}: structured answers by {', '.join(chat.forms())}; this took {tokens} tokens",
    )
    return [good, *(Finding("endpoint", "note", note) for note in notes), *check_prices(chat)]


def check_prices(chat: Any) -> list[Finding]:
    """Name the models without a price."""
    unknown = [name for name, asker in chat.askers.items() if asker.endpoint.price is None]
    if not unknown:
        return []
    return [
        Finding(
            "prices",
            "note",
            f"none known for {', '.join(unknown)}: tokens alone are counted",
            "set prices=FILE (docs/models.md)",
        )
    ]


async def check_isolation(settings: Settings, folder: Path) -> list[Finding]:
    """Start the sandbox and look around inside it."""
    from run.services import sandbox_for
    from sandbox.local.backend import LocalSandbox
    from sandbox.local.tiers import describe_unstopped
    from sandbox.protocol import SandboxLostError, SandboxUnavailableError

    try:
        sandbox = sandbox_for(settings, folder)
    except SandboxUnavailableError as error:
        return [Finding("isolation", "bad", str(error))]
    try:
        tier = Finding("isolation", "ok", f"{settings.sandbox} sandbox, {sandbox.tier}")
        if sandbox.tier == "none":
            tier = Finding(
                "isolation",
                "note",
                "none: scripts run with your rights",
                "install bubblewrap: apt install bubblewrap",
            )
        if isinstance(sandbox, LocalSandbox):
            limits = sandbox.isolation.limits
        else:
            limits = (await sandbox.probe()).enforced
        unstopped = Finding("not stopped", "note", describe_unstopped(sandbox.tier, limits))
        return [tier, unstopped, *await check_packages(sandbox, folder, settings.python)]
    except (SandboxUnavailableError, SandboxLostError) as error:
        return [Finding("isolation", "bad", str(error))]
    finally:
        await sandbox.close()


async def check_packages(
    sandbox: Sandbox, folder: Path, python: str | None = None
) -> list[Finding]:
    """Run a script in the sandbox that imports the usual packages."""
    from sandbox.protocol import Job, Limits

    names = REQUIRED_PACKAGES | OPTIONAL_PACKAGES
    workspace = folder / "work"
    workspace.mkdir()
    script = PACKAGE_PROBE % jsonlib.dumps(list(names.values()))
    execution = await sandbox.run(
        Job(id="doctor", script=script, workspace=workspace, limits=Limits(wall_s=180))
    )
    line = next((text for text in execution.output.splitlines() if text.startswith("PROBED ")), "")
    if not line:
        tail = execution.output.strip().splitlines()[-1:] or ["no output"]
        text = f"the first script in the sandbox failed ({execution.end}: {tail[0][:200]})"
        return [Finding("packages", "bad", text)]
    versions, broken = jsonlib.loads(line.removeprefix("PROBED "))
    return [judge_packages(versions, broken, python)]


def judge_packages(
    versions: dict[str, str], broken: dict[str, str], python: str | None = None
) -> Finding:
    """Say which packages scripts can import; `broken` are installed but fail to load."""
    names = REQUIRED_PACKAGES | OPTIONAL_PACKAGES
    installed = [
        f"{name} {versions[module]}" for name, module in names.items() if versions.get(module)
    ]
    if missing := [name for name, module in REQUIRED_PACKAGES.items() if not versions.get(module)]:
        return Finding(
            "packages",
            "bad",
            f"scripts cannot import {', '.join(missing)}",
            f"{install_command(*missing, python=python)}; or make an environment: gome env"
            " create tab --preset tabular, and use it with --python tab",
        )
    if broken:
        name, reason = next(iter(broken.items()))
        is_library = "libgomp" in reason
        is_needed = name == "lightgbm" and not python  # Gome's own checks of scores use it, too
        return Finding(
            "packages",
            "bad" if is_needed else "note",
            f"{name} is installed but cannot be loaded ({reason})",
            "apt install libgomp1" if is_library else f"install {name} again",
        )
    return Finding("packages", "ok", ", ".join(installed))


def check_gpus() -> Finding:
    """Ask nvidia-smi for the GPUs."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Finding("gpus", "ok", "none found: scripts train on the CPU")
    try:
        query = [command, "--query-gpu=name,memory.total,memory.used", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            "gpus",
            "note",
            f"nvidia-smi does not answer ({error})",
            "check the driver; or run with --set gpus=none",
        )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        reply = (done.stdout + done.stderr).strip().splitlines()[:1] or ["nothing"]
        return Finding(
            "gpus",
            "note",
            f"nvidia-smi fails ({reply[0][:200]})",
            "check the driver; or run with --set gpus=none",
        )
    return Finding("gpus", "ok", f"{len(lines)}: {'; '.join(lines[:8])}")


def check_disk(settings: Settings) -> Finding:
    """Compare the free space at the folder of runs with what runs need."""
    place = Path(settings.runs_dir).expanduser().resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
    if free < MIN_DISK_BYTES:
        return Finding(
            "disk",
            "bad",
            text,
            f"free {MIN_DISK_BYTES >> 30} GiB, or choose another place with --runs-dir",
        )
    return Finding(
        "disk",
        "ok" if free >= ENOUGH_DISK_BYTES else "note",
        text,
        "" if free >= ENOUGH_DISK_BYTES else "long runs may need more",
    )


def check_memory(settings: Settings) -> Finding:
    """Compare the available memory with what parallel scripts may use."""
    import psutil

    from run.services import count_slots

    n_scripts = count_slots(settings)
    free = psutil.virtual_memory().available
    if settings.run_memory_bytes == AUTO:
        share = free / n_scripts / 2**30
        return Finding(
            "memory",
            "ok",
            f"{free / 2**30:.1f} GiB available; {format_plural(n_scripts, 'script')} at a time,"
            f" with about {share:.1f} GiB each",
        )
    needed = settings.run_memory_bytes * n_scripts
    text = (
        f"{free / 2**30:.1f} GiB available;"
        f" {format_plural(n_scripts, 'script')} at a time may use {needed / 2**30:.1f} GiB"
    )
    if free >= needed or settings.sandbox != "local":
        return Finding("memory", "ok", text)
    limit = max(2**28, free // n_scripts)
    remedy = f"lower one of them: --set slots=1, --set run_memory_bytes={limit:d}"
    return Finding("memory", "note", text, remedy)
