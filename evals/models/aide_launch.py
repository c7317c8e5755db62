"""Runs inside the sandbox, by AIDE's own Python: AIDE's command, and a way to its model.

There is no network in the sandbox. A child process passes what comes to a port of the loopback on
to the socket of the relay, which knows the key. After each script of AIDE's its submission is
copied, since the next one overwrites it. Standard library and AIDE only.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.time()
KEPT = Path("kept")
ORDERS = json.loads(os.environ["AIDE_ORDERS"])


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection."""
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(listener: socket.socket, path: str) -> None:
    """Pass every connection on to the relay's socket."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, forth), pass_on(back, writer))

    server = await asyncio.start_server(connect, sock=listener)
    await server.serve_forever()


def start_bridge(path: str) -> int:
    """Start the child process; return its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        try:
            asyncio.run(serve(listener, path))
        finally:
            os._exit(1)
    port = int(listener.getsockname()[1])
    listener.close()
    return port


def keep_submissions(interpreter: Any) -> None:
    """Copy the submission after each script, with the times."""
    run, count = interpreter.run, [0]

    def run_and_keep(self: Any, *args: Any, **kwargs: Any) -> Any:
        started = time.time()
        result = run(self, *args, **kwargs)
        made = Path(self.working_dir) / "working" / "submission.csv"
        number, count[0] = count[0], count[0] + 1
        is_new = made.is_file() and made.stat().st_mtime >= started - 1
        if is_new:
            shutil.copyfile(made, KEPT / f"{number:03}.csv")
        line = {"n": number, "script_s": result.exec_time, "seconds": time.time() - BEGAN}
        with (KEPT / "index.jsonl").open("a") as file:
            file.write(json.dumps({**line, "submission": is_new}) + "\n")
        return result

    interpreter.run = run_and_keep


def main() -> None:
    KEPT.mkdir()
    port = start_bridge(str(Path("input/relay.sock").absolute()))
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
    os.environ["OPENAI_API_KEY"] = "none"
    sys.argv = ["aide", *ORDERS]
    from aide.interpreter import Interpreter
    from aide.run import run

    keep_submissions(Interpreter)
    run()


if __name__ == "__main__":
    main()
