"""gome doctor: what this machine and the endpoint can do, what is wrong, and how to mend it."""

from __future__ import annotations

import asyncio
import json as jsonlib
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.config import make_settings

if TYPE_CHECKING:
    from graph.settings import Settings
    from sandbox.protocol import Sandbox

Level = Literal["ok", "note", "bad"]
MARKS: dict[Level, str] = {"ok": "✓", "note": "!", "bad": "✗"}
NEEDED = {"numpy": "numpy", "pandas": "pandas", "scikit-learn": "sklearn"}
USUAL = {
    "scipy": "scipy",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "catboost": "catboost",
    "torch": "torch",
    "statsmodels": "statsmodels",
}
PROBE = """import importlib, json, sys
found = {}
for name in json.loads(%r):
    try:
        found[name] = str(getattr(importlib.import_module(name), "__version__", "?"))
    except Exception as error:
        found[name] = None
print("PROBED", json.dumps(found))
"""
LEAST_DISK, GOOD_DISK = 2 * 2**30, 10 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is what to do about it."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def doctor(
    model: Annotated[
        list[str] | None, typer.Option(help="Model to check, or verb=model, as for `gome run`.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint; else OPENAI_BASE_URL.")] = None,
    fallback: Annotated[str | None, typer.Option(help="Fallback model to check.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="local | e2b | ray. [default: local]")] = None,
    isolation: Annotated[str | None, typer.Option(help="Tier of the local sandbox.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting as name=value.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Findings as JSON on stdout.")] = False,
) -> None:
    """Check endpoint, isolation, packages, GPUs, disk and memory. Exit code 0: all a run needs is there; 2: something is missing."""
    given = {
        "model": model,
        "base_url": base_url,
        "fallback": fallback,
        "sandbox": sandbox,
        "isolation": isolation,
    }
    chosen = make_settings(
        {name: value for name, value in given.items() if value is not None}, settings or []
    )
    findings = asyncio.run(examine(chosen))
    healthy = all(finding.level != "bad" for finding in findings)
    if json:
        typer.echo(
            jsonlib.dumps(
                {"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=1
            )
        )
    else:
        for finding in findings:
            typer.echo(f"{MARKS[finding.level]} {finding.name:<10} {finding.text}")
            if finding.remedy:
                typer.echo(f"  {'':<10} → {finding.remedy}")
        typer.echo(
            "\nAll that a run needs is there."
            if healthy
            else "\nSomething is missing; what is marked ✗ must be mended before a run."
        )
    raise typer.Exit(0 if healthy else 2)


async def examine(settings: Settings) -> list[Finding]:
    with tempfile.TemporaryDirectory(prefix="gome-doctor-") as folder:
        return [
            *await endpoint(settings),
            *await isolation(settings, Path(folder)),
            gpus(),
            disk(settings),
            memory(settings),
        ]


async def endpoint(settings: Settings) -> list[Finding]:
    """One tiny structured question to every model."""
    from reasoner.protocol import ReasonerUnavailable
    from run.services import reasoner_for

    if not settings.model:
        text = "no model is named: runs use the embedded expert, which needs none"
        return [
            Finding(
                "endpoint", "ok", text, "to check one: gome doctor --model NAME [--base-url URL]"
            )
        ]
    notes: list[str] = []
    try:
        chat: Any = reasoner_for(settings, notes.append)
    except ReasonerUnavailable as error:
        return [Finding("endpoint", "bad", str(error), "docs/models.md lists settings by endpoint")]
    try:
        usage = await chat.check()
    except ReasonerUnavailable as error:
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
    return [good, *(Finding("endpoint", "note", note) for note in notes), *priced(chat)]


def priced(chat: Any) -> list[Finding]:
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


async def isolation(settings: Settings, folder: Path) -> list[Finding]:
    """Starts the sandbox and looks from inside."""
    from run.services import sandbox_for
    from sandbox.protocol import SandboxLost, SandboxUnavailable

    try:
        sandbox = sandbox_for(settings, folder)
    except SandboxUnavailable as error:
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
        return [tier, *await packages(sandbox, folder)]
    except (SandboxUnavailable, SandboxLost) as error:
        return [Finding("isolation", "bad", str(error))]
    finally:
        await sandbox.close()


async def packages(sandbox: Sandbox, folder: Path) -> list[Finding]:
    """What a script can really import there."""
    from sandbox.protocol import Job, Limits

    names = NEEDED | USUAL
    workspace = folder / "work"
    workspace.mkdir()
    script = PROBE % jsonlib.dumps(list(names.values()))
    execution = await sandbox.run(
        Job(id="doctor", script=script, workspace=workspace, limits=Limits(wall_s=180))
    )
    line = next((text for text in execution.output.splitlines() if text.startswith("PROBED ")), "")
    if not line:
        tail = execution.output.strip().splitlines()[-1:] or ["no output"]
        return [
            Finding(
                "packages",
                "bad",
                f"the first script in the sandbox failed ({execution.end}: {tail[0][:200]})",
            )
        ]
    found = jsonlib.loads(line.removeprefix("PROBED "))
    have = ", ".join(
        f"{name} {found[module]}" for name, module in names.items() if found.get(module)
    )
    if missing := [name for name, module in NEEDED.items() if not found.get(module)]:
        return [
            Finding(
                "packages",
                "bad",
                f"scripts cannot import {', '.join(missing)}",
                f"install into Gome's environment: pip install {' '.join(missing)}",
            )
        ]
    return [Finding("packages", "ok", have)]


def gpus() -> Finding:
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
        said = (done.stdout + done.stderr).strip().splitlines()[:1] or ["nothing"]
        return Finding(
            "gpus",
            "note",
            f"nvidia-smi fails ({said[0][:200]})",
            "check the driver; or run with --set gpus=none",
        )
    return Finding("gpus", "ok", f"{len(lines)}: {'; '.join(lines[:8])}")


def disk(settings: Settings) -> Finding:
    place = Path(settings.runs_dir).expanduser().resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
    if free < LEAST_DISK:
        return Finding(
            "disk",
            "bad",
            text,
            f"free {LEAST_DISK >> 30} GiB, or choose another place with --runs-dir",
        )
    return Finding(
        "disk",
        "ok" if free >= GOOD_DISK else "note",
        text,
        "" if free >= GOOD_DISK else "long runs may need more",
    )


def memory(settings: Settings) -> Finding:
    import psutil

    from run.services import count_slots

    free = psutil.virtual_memory().available
    wanted = settings.run_memory_bytes * count_slots(settings)
    text = f"{free / 2**30:.1f} GiB available; {count_slots(settings)} script(s) at a time may use {wanted / 2**30:.1f} GiB"
    if free >= wanted or settings.sandbox != "local":
        return Finding("memory", "ok", text)
    return Finding(
        "memory",
        "note",
        text,
        f"lower one of them: --set slots=1, --set run_memory_bytes={max(2**28, free // count_slots(settings)):d}",
    )
