"""gome studio: the LangGraph server with Gome's graph in it, for LangGraph Studio and for clients over HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.common import RunsDir, complain, find_run

STUDIO = "https://smith.langchain.com"
START_S = 120.0


def studio(
    name: Annotated[
        str,
        typer.Argument(
            help="A run to open there: its history, its state, to fork or to go on; empty: none."
        ),
    ] = "",
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 2024,
    place: Annotated[
        Path, typer.Option(help="Where the server and the runs that it starts keep their files.")
    ] = Path("~/.gome/studio"),
    jobs: Annotated[int, typer.Option(help="Runs at one time.")] = 4,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Another web page that may call the server (its origin)."),
    ] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Open LangGraph Studio on this machine's runs. It listens on 127.0.0.1 alone; Ctrl-C stops it, runs go on at the next start."""
    folder = find_run(name, runs_dir) if name else None
    if importlib.util.find_spec("langgraph_api") is None:
        raise typer.Exit(complain("Studio needs the extra `studio`: pip install 'gome[studio]'"))
    place = place.expanduser().resolve()
    place.mkdir(parents=True, exist_ok=True)
    config = write_config(place, [STUDIO, *(origin or [])])
    if folder is not None:
        seat(folder)
    raise typer.Exit(serve(config, port, jobs, folder))


def write_config(place: Path, origins: list[str]) -> Path:
    """langgraph.json of this server: module paths, so that no file is run a second time under another name."""
    path = place / "langgraph.json"
    path.write_text(json.dumps(server_config(origins), indent=2))
    return path


def server_config(origins: list[str]) -> dict[str, Any]:
    from graph.build import DESCRIPTION

    return {
        "python_version": "3.11",
        "dependencies": ["."],
        "graphs": {"gome": {"path": "graph.build:graph", "description": DESCRIPTION}},
        "checkpointer": {"path": "run.checkpoints.studio.make_checkpointer"},
        "http": {
            "cors": {"allow_origins": origins, "allow_methods": ["*"], "allow_headers": ["*"]}
        },
        "env": {
            "LANGSMITH_TRACING": os.environ.get("LANGSMITH_TRACING", "false"),
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "BG_JOB_TIMEOUT_SECS": "604800",
        },
    }


def seat(folder: Path) -> None:
    """The run's thread as `gome resume` would find it, also after its folder was moved or its checkpoints were lost."""
    from cli.common import guarded
    from session.session import prepare_thread as place

    asyncio.run(guarded(place(folder)))


def serve(config: Path, port: int, jobs: int, folder: Path | None) -> int:
    from run.checkpoints.studio import WHERE

    environment = {**os.environ, "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    if folder is not None:
        environment[WHERE] = str(folder / "checkpoints.sqlite")
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
    server = subprocess.Popen(command, cwd=config.parent, env=environment)
    try:
        if asyncio.run(ready(server, port, folder)):
            typer.echo(where(port, folder))
        return server.wait()
    except KeyboardInterrupt:
        server.wait()
        return 130
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


async def ready(server: subprocess.Popen[bytes], port: int, folder: Path | None) -> bool:
    """Waits for the server, then tells it of the run's thread."""
    import httpx
    from langgraph_sdk import get_client

    client = get_client(url=f"http://127.0.0.1:{port}")
    end = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            if folder is not None:
                await adopt(client, folder)
            else:
                await client.assistants.search()
        except (httpx.HTTPError, OSError):
            await asyncio.sleep(0.3)
        else:
            return True
    return False


async def adopt(client: Any, folder: Path) -> None:
    from run.checkpoints.open import thread_id

    await client.threads.create(
        thread_id=thread_id(folder.name),
        graph_id="gome",
        if_exists="do_nothing",
        metadata={"run": folder.name},
    )


def where(port: int, folder: Path | None) -> str:
    from run.checkpoints.open import thread_id

    lines = [
        f"\nStudio: {STUDIO}/studio/?baseUrl=http://127.0.0.1:{port} (Chrome or Firefox; docs/studio.md for others)"
    ]
    if folder is not None:
        lines.append(f"Run {folder.name} is thread {thread_id(folder.name)}")
    return "\n".join(lines)
