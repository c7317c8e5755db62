"""A small HTTP/1.1 server for fakes: keep-alive, chunked bodies, connections cut on demand."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    507: "Insufficient Storage",
}


class CutError(Exception):
    """Close the connection without an answer."""


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body or b"{}"))


class Answer:
    """Writes one response; `send` may be called many times once a chunked one is open."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def whole(self, status: int, body: bytes = b"", kind: str = "application/json") -> None:
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: {kind}\r\n"
        head += "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)
        await self.writer.drain()

    async def json(self, status: int, value: Any) -> None:
        await self.whole(status, json.dumps(value).encode())

    async def open(self, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.writer.write(head.encode())

    async def send(self, data: bytes) -> None:
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def cut(self) -> None:
        self.writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    line = (await reader.readline()).decode("latin1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := (await reader.readline()).decode("latin1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
    url = urllib.parse.urlsplit(line[1])
    body = await read_body(reader, headers)
    return Request(
        line[0],
        urllib.parse.unquote(url.path),
        dict(urllib.parse.parse_qsl(url.query)),
        headers,
        body,
    )


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


class Server:
    """Serves `handle` on a loopback port, in a thread with its own event loop."""

    def __init__(self, handle: Callable[[Request, Answer], Awaitable[None]]) -> None:
        self.handle = handle
        self.loop = asyncio.new_event_loop()
        self.connections: set[asyncio.Task[Any]] = set()
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.ready, self.port = threading.Event(), 0

    def __enter__(self) -> Server:
        self.thread.start()
        self.ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, going: Coroutine[Any, Any, Any]) -> Any:
        """From another thread: runs a coroutine in the server's loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(going, self.loop).result(60)

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._begin())
        self.loop.run_forever()

    async def _begin(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        self.port = self.server.sockets[0].getsockname()[1]
        self.ready.set()

    async def _end(self) -> None:
        self.server.close()
        tasks = list(self.connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.connections.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while request := await read_request(reader):
                    try:
                        await self.handle(request, Answer(writer))
                    except CutError:
                        writer.transport.abort()
                        return
        finally:
            self.connections.discard(task)
            writer.close()
