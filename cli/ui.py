"""`gome ui`: the runs of this machine as a page."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from cli.config import configured_runs_dir
from cli.errors import usage_error
from cli.options import RunsDir

DEFAULT_PORT, N_PORTS = 8642, 20


def ui_command(
    runs_dir: RunsDir = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Port; by default the first free one from 8642, 0: any.",
        ),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a page that lists the runs, follows live ones, opens reports and compares.

    It is on 127.0.0.1 only and changes nothing. Ctrl-C ends it.
    """
    from report.overview.server import OverviewServer, open_server
    from run.lock import is_driven

    root = Path(configured_runs_dir(runs_dir)).expanduser().resolve()
    ports = range(DEFAULT_PORT, DEFAULT_PORT + N_PORTS) if port is None else (port,)
    server: OverviewServer | None = None
    for number in ports:
        try:
            server = open_server(root, is_driven, number)
            break
        except OSError:
            continue
    if server is None:
        taken = f"the port {port} is" if port is not None else "the ports from 8642 on are"
        raise usage_error(f"{taken} taken; name another one with --port")
    typer.echo(f"{server.address}  shows the runs below {root}; Ctrl-C ends it")
    if open:
        typer.launch(server.address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        server.server_close()
