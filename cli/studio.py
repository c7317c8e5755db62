"""`gome studio`: a LangGraph server with Gome's graph, for LangGraph Studio and HTTP clients."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import exit_on_failure, usage_error
from cli.options import RunsDir
from cli.run_folders import find_run
from settings.remedies import install_command
from settings.search import PRESETS

STUDIO_URL = "https://smith.langchain.com"
MAX_START_S = 120.0
GRAPH = "gome"
LOG_FILE = "langgraph.log"
ASSISTANTS = uuid.UUID("5d6a2c0e-4f0f-4d5c-9a55-6f6d65000000")  # name space of the presets' ids


def studio_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run to open there, to inspect, fork or resume it; empty: none."
        ),
    ] = "",
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on 127.0.0.1.")] = 2024,
    place: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the files of the server and of the runs that it starts.",
        ),
    ] = Path("~/.gome/studio"),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Runs at the same time.")] = 4,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Origin of another web page that may call the server."),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Open LangGraph Studio on this machine's runs.

    The server listens only on 127.0.0.1. Ctrl-C stops it; its runs continue at the next start.
    """
    folder = find_run(name, runs_dir) if name else None
    if importlib.util.find_spec("langgraph_api") is None:
        raise usage_error(
            "Studio needs its server: `make studio` in the checkout, or"
            f" `{install_command('langgraph-cli[inmem]')}`"
        )
    place = place.expanduser().resolve()
    place.mkdir(parents=True, exist_ok=True)
    config = write_config(place, [STUDIO_URL, *(origin or [])])
    if folder is not None:
        restore_thread(folder)
    raise typer.Exit(serve_studio(config, port, jobs, folder))


def write_config(place: Path, origins: list[str]) -> Path:
    """Write the server's langgraph.json and return its path."""
    path = place / "langgraph.json"
    path.write_text(json.dumps(server_config(origins), indent=2))
    return path


def server_config(origins: list[str]) -> dict[str, Any]:
    """Return the server's configuration; `origins` are the web pages that may call it.

    The graph is named by module, because a path would run its file a second time.
    """
    from graph.build import DESCRIPTION, TRACE_DESCRIPTION

    return {
        "$schema": "https://langgra.ph/schema.json",
        "python_version": "3.11",
        "dependencies": ["."],
        "graphs": {
            GRAPH: {"path": "graph.build:graph", "description": DESCRIPTION},
            "trace": {"path": "graph.build:trace_graph", "description": TRACE_DESCRIPTION},
        },
        "checkpointer": {"path": "run.checkpoints.studio.make_checkpointer"},
        "store": {"path": "memory.langgraph_store.make_store"},
        "http": {
            "cors": {"allow_origins": origins, "allow_methods": ["*"], "allow_headers": ["*"]},
            # both protocols talk in messages; a task folder is none
            "disable_mcp": True,
            "disable_a2a": True,
        },
        "env": {
            "LANGSMITH_TRACING": os.environ.get("LANGSMITH_TRACING", "false"),
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "BG_JOB_TIMEOUT_SECS": "604800",
        },
    }


def restore_thread(folder: Path) -> None:
    """Prepare the run's thread as `gome resume` does, also if its folder moved."""
    from session import session

    asyncio.run(exit_on_failure(session.prepare_thread(folder)))


def serve_studio(config: Path, port: int, jobs: int, folder: Path | None) -> int:
    """Run the server until Ctrl-C and return its exit code."""
    from run.checkpoints.studio import CHECKPOINTS_ENV

    environment = {**os.environ, "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    if folder is not None:
        environment[CHECKPOINTS_ENV] = str(folder / "checkpoints.sqlite")
    options = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-browser",
        "--no-reload",
        "--allow-blocking",
        "--n-jobs-per-worker",
        str(jobs),
    ]
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--config", str(config), *options]
    log_path = config.parent / LOG_FILE
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            command, cwd=config.parent, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        if asyncio.run(wait_until_ready(server, port, folder)):
            typer.echo(f"{studio_address(port, folder)}\nLog: {log_path}   Ctrl-C stops the server")
        code = server.wait()
        if code:
            typer.echo(explain_end(code, log_path), err=True)
        return code
    except KeyboardInterrupt:
        server.wait()
        return 130
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


async def wait_until_ready(server: subprocess.Popen[bytes], port: int, folder: Path | None) -> bool:
    """Wait for the server and register the run's thread; return whether it came up."""
    import httpx
    from langgraph_sdk import get_client

    client = get_client(url=f"http://127.0.0.1:{port}")
    end = time.monotonic() + MAX_START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            if folder is not None:
                await register_thread(client, folder)
            await create_assistants(client)
        except (httpx.HTTPError, OSError):
            await asyncio.sleep(0.3)
        else:
            return True
    return False


def explain_end(code: int, log_path: Path) -> str:
    """Say that the server ended, with the last line of its log."""
    lines = log_path.read_text(errors="replace").strip().splitlines()
    last = lines[-1].strip()[:300] if lines else "its log is empty"
    return f"gome: the server ended with code {code}: {last} ({log_path})"


async def create_assistants(client: Any) -> None:
    """Create one assistant per preset, so that Studio offers them by name."""
    for preset in PRESETS:
        await client.assistants.create(
            graph_id=GRAPH,
            context={"preset": preset},
            assistant_id=str(uuid.uuid5(ASSISTANTS, preset)),
            if_exists="do_nothing",
            name=f"Gome, preset {preset}",
        )


async def register_thread(client: Any, folder: Path) -> None:
    """Create the run's thread on the server."""
    from run.checkpoints.open import thread_id

    await client.threads.create(
        thread_id=thread_id(folder.name),
        graph_id=GRAPH,
        if_exists="do_nothing",
        metadata={"run": folder.name},
    )


def studio_address(port: int, folder: Path | None) -> str:
    """Return what is printed once the server is up."""
    from run.checkpoints.open import thread_id

    lines = [
        f"\nStudio: {STUDIO_URL}/studio/?baseUrl=http://127.0.0.1:{port}"
        " (Chrome or Firefox; docs/studio.md for others)"
    ]
    if folder is not None:
        lines.append(f"Run {folder.name} is thread {thread_id(folder.name)}")
    return "\n".join(lines)
