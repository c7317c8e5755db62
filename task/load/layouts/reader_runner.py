"""Runs a reader in the sandbox and passes on the files that it wrote, one JSON line each way.

This text is what runs there, alone: it imports nothing of ours. The reader finds the task folder's
files below input/ and writes into the current folder.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

READER = Path("input/data/read.py")
WRITTEN = ("labels.csv", "rows.csv")
BLOCK_BYTES = 24 * 2**20


def run_reader() -> dict[str, int]:
    """Run the reader; return the sizes of the files that it wrote, -1 for one that is missing."""
    code = compile(READER.read_bytes(), "read.py", "exec", dont_inherit=True)
    exec(code, {"__name__": "__main__", "__file__": "read.py"})
    sizes = {}
    for name in WRITTEN:
        path = Path(name)
        sizes[name] = path.stat().st_size if path.is_file() else -1
    return sizes


def fetch_block(file: str, offset: int) -> str:
    """Return a part of a written file."""
    with Path(file).open("rb") as written:
        written.seek(offset)
        return base64.b64encode(written.read(BLOCK_BYTES)).decode()


def describe_error(error: BaseException) -> str:
    """Name an error and the reader's line that raised it."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == "read.py"
    ]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"[:1000]


def main() -> None:
    """Answer until stdin closes; what the reader prints goes nowhere near the replies."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            if request["call"] == "run":
                reply["value"] = run_reader()
            else:
                reply["value"] = fetch_block(**request["arguments"])
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's code raises is told
            reply["error"] = describe_error(error)
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
