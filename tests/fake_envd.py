"""A fake of what runs inside an E2B sandbox (envd): real files below one folder, real processes.

As in the real one, because our backend must cope with it: killing a command, its deadline and the
end of its connection reach only the process that was started, never its children; after a reconnect
only later output is seen; paths follow links.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import stat
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from fake_http import Answer, Request

CODES = {"not_found": 404, "invalid_argument": 400, "deadline_exceeded": 504, "already_exists": 409}


class RpcError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def json(self) -> dict[str, str]:
        return {"code": self.code, "message": str(self)}


class Process:
    """A command and everyone who listens to it."""

    def __init__(self, child: asyncio.subprocess.Process, config: dict[str, Any]) -> None:
        self.child, self.config = child, config
        self.listeners: list[asyncio.Queue[dict[str, Any]]] = []
        self.over: dict[str, Any] | None = None

    def tell(self, event: dict[str, Any]) -> None:
        for queue in self.listeners:
            queue.put_nowait(event)

    async def follow(self) -> None:
        assert self.child.stdout and self.child.stderr
        await asyncio.gather(
            self._pump(self.child.stdout, "stdout"), self._pump(self.child.stderr, "stderr")
        )
        code = await self.child.wait()
        status = (
            f"exit status {code}"
            if code >= 0
            else f"signal: {signal.Signals(-code).name[3:].lower()}"
        )
        self.over = {"exitCode": max(code, -1), "exited": code >= 0, "status": status} | (
            {} if code == 0 else {"error": status}
        )
        self.tell({"end": self.over})

    async def _pump(self, stream: asyncio.StreamReader, name: str) -> None:
        while data := await stream.read(32 * 1024):
            self.tell({"data": {name: base64.b64encode(data).decode()}})


class Machine:
    """One fake micro-VM."""

    def __init__(self, folder: Path, programs: str) -> None:
        self.folder = folder
        for name in ("home", "gome", "tmp"):
            (folder / name).mkdir(parents=True)
        (folder / "home" / ".bash_profile").write_text(f"export PATH={programs}:/usr/bin:/bin\n")
        self.processes: dict[int, Process] = {}
        self.streams: set[Answer] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def path(self, name: str) -> Path:
        """Only below our folder: the fake has no file system of its own."""
        place = self.folder / "home" / name
        if not place.resolve().is_relative_to(self.folder.resolve()):
            raise RpcError("invalid_argument", f"{name} is outside the fake sandbox")
        return place

    async def handle(self, request: Request, answer: Answer) -> None:
        service, _, verb = request.path.strip("/").partition("/")
        try:
            if request.path == "/health":
                await answer.whole(204)
            elif request.path == "/files":
                await (self.upload if request.method == "POST" else self.download)(request, answer)
            elif (service, verb) in (("process.Process", "Start"), ("process.Process", "Connect")):
                await self.stream(verb, request, answer)
            else:
                await answer.json(
                    200,
                    getattr(self, f"{service.partition('.')[0]}_{verb.lower()}")(request.json()),
                )
        except RpcError as error:
            await answer.json(CODES[error.code], error.json())

    # files

    async def upload(self, request: Request, answer: Answer) -> None:
        kind = request.headers.get("content-type", "")
        parts = (
            multipart(request.body, kind) if kind.startswith("multipart/") else [("", request.body)]
        )
        written = []
        for name, data in parts:
            path = self.path(request.query.get("path") or name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append({"path": str(path), "name": path.name, "type": "file"})
        await answer.json(200, written)

    async def download(self, request: Request, answer: Answer) -> None:
        path = self.path(request.query["path"])
        if not path.is_file():
            await answer.json(404, {"code": 404, "message": f"path {path} does not exist"})
            return
        await answer.whole(200, path.read_bytes(), "application/octet-stream")

    def filesystem_stat(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entry": entry(self.existing(given["path"]))}

    def filesystem_listdir(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entries": [entry(path) for path in sorted(self.existing(given["path"]).iterdir())]}

    def filesystem_makedir(self, given: dict[str, Any]) -> dict[str, Any]:
        path = self.path(given["path"])
        if path.exists():
            raise RpcError("already_exists", f"{path} exists")
        path.mkdir(parents=True)
        return {"entry": entry(path)}

    def filesystem_remove(self, given: dict[str, Any]) -> dict[str, Any]:
        path = self.path(given["path"])
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(
            missing_ok=True
        )
        return {}

    def filesystem_move(self, given: dict[str, Any]) -> dict[str, Any]:
        target = self.path(given["destination"])
        target.parent.mkdir(parents=True, exist_ok=True)
        self.existing(given["source"]).rename(target)
        return {"entry": entry(target)}

    def existing(self, name: str) -> Path:
        path = self.path(name)
        if not os.path.lexists(path):
            raise RpcError("not_found", f"path {path} does not exist")
        return path

    # processes

    async def stream(self, verb: str, request: Request, answer: Answer) -> None:
        """A Connect server stream: JSON messages in 5-byte envelopes, the last one with flag 2."""
        message = json.loads(request.body[5 : 5 + struct.unpack(">I", request.body[1:5])[0]])
        await answer.open("application/connect+json")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.streams.add(answer)
        try:
            process = await self.start(message) if verb == "Start" else self.process(message)
            process.listeners.append(queue)
            await answer.send(envelope({"event": {"start": {"pid": process.child.pid}}}))
            if process.over:
                queue.put_nowait({"end": process.over})
            await self.relay(
                queue, answer, process, float(request.headers.get("connect-timeout-ms", 0)) / 1000
            )
            await answer.send(envelope({}, flags=2))
        except RpcError as error:
            await answer.send(envelope({"error": error.json()}, flags=2))
        finally:
            self.streams.discard(answer)
        await answer.end()

    async def relay(
        self, queue: asyncio.Queue[dict[str, Any]], answer: Answer, process: Process, limit_s: float
    ) -> None:
        deadline = time.monotonic() + limit_s if limit_s else None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                event = await asyncio.wait_for(queue.get(), left)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.child.kill()
                raise RpcError("deadline_exceeded", "the command's time is over") from None
            await answer.send(envelope({"event": event}))
            if "end" in event:
                return

    async def start(self, message: dict[str, Any]) -> Process:
        config = message["process"]
        own = {
            "HOME": str(self.folder / "home"),
            "GOME_HOME": str(self.folder / "gome"),
            "TMPDIR": str(self.folder / "tmp"),
        }
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            config["cmd"], *config.get("args", []), cwd=config.get("cwd") or own["HOME"],
            env={"PATH": "/usr/bin:/bin"} | own | config.get("envs", {}),
            stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True,
        )  # fmt: skip
        process = self.processes[child.pid] = Process(child, config)
        task = asyncio.create_task(process.follow())
        self.tasks.add(task)
        return process

    def process(self, message: dict[str, Any]) -> Process:
        pid = int(message["process"]["pid"])
        if pid not in self.processes or self.processes[pid].over:
            raise RpcError("not_found", f"process with pid {pid} not found")
        return self.processes[pid]

    def process_list(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "processes": [
                {"pid": pid, "config": process.config}
                for pid, process in self.processes.items()
                if not process.over
            ]
        }

    def process_sendsignal(self, given: dict[str, Any]) -> dict[str, Any]:
        self.process(given).child.send_signal(
            signal.Signals[given["signal"].removeprefix("SIGNAL_")]
        )
        return {}

    def cut_streams(self) -> int:
        """Break the connections of running commands; the commands continue."""
        streams = list(self.streams)
        for answer in streams:
            answer.cut()
        return len(streams)

    async def die(self) -> None:
        """Remove the machine with everything that runs in it."""
        while pids := self.alive():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)
        self.cut_streams()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self) -> list[int]:
        """Return every process of this machine: commands, their children, those in its folder."""
        found = set()
        for process in psutil.process_iter(["pid", "cwd", "status"]):
            if process.info["status"] != psutil.STATUS_ZOMBIE and str(
                process.info["cwd"] or ""
            ).startswith(str(self.folder)):
                found.add(process.info["pid"])
        for pid, known in self.processes.items():
            with suppress(psutil.Error):
                if not known.over and known.child.returncode is None:
                    found |= {
                        pid,
                        *(child.pid for child in psutil.Process(pid).children(recursive=True)),
                    }
        return sorted(found)


def envelope(message: dict[str, Any], flags: int = 0) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack(">BI", flags, len(data)) + data


def entry(path: Path) -> dict[str, Any]:
    info = path.lstat()
    kind = "DIRECTORY" if path.is_dir() else "FILE"
    modified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.st_mtime))
    shown = {
        "name": path.name,
        "path": str(path),
        "type": f"FILE_TYPE_{kind}",
        "size": str(info.st_size),
        "modifiedTime": modified,
    }
    return shown | {
        "mode": stat.S_IMODE(info.st_mode),
        "permissions": stat.filemode(info.st_mode),
        "owner": "root",
        "group": "root",
    }


def multipart(body: bytes, kind: str) -> list[tuple[str, bytes]]:
    """(file name, content) of every part."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    parts = []
    for part in body.split(boundary)[1:-1]:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = head.decode().partition('filename="')[2].partition('"')[0]
        parts.append((name, data.removesuffix(b"\r\n")))
    return parts
