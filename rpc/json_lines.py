"""Call functions of a child process, one JSON line each way. Standard library only.

A request is {"id", "call", "arguments"}; its reply is {"id", "value"}, or
{"id", "error", "message", "traceback"} when the function raised. The child runs `serve_calls`; its
owner holds a `ChildProcess`, or an `AsyncChildProcess` within asyncio. A child trusts its owner;
an owner checks every reply and bounds its length.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

MAX_LINE_BYTES = 256 * 2**20
"""Longest reply that an owner reads."""
BUG = "bug"
"""Kind of an error that the child's function did not announce."""
MESSAGE_CHARS = 500
TRACEBACK_CHARS = 4_000
READ_BYTES = 2**20
EXIT_S = 2.0
"""Time for a child that closed its pipe to end by itself, so that its exit code can be reported."""


class CallError(Exception):
    """The called function raised. A child's function may raise it to choose the kind itself."""

    def __init__(self, kind: str, message: str, child_traceback: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.child_traceback = child_traceback


class ChildError(Exception):
    """The child ended, or was killed for a malformed reply (then `exit_code` is None)."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


# -------------------------------------------------------------------------------- the child's side


def serve_calls(
    functions: Mapping[str, Callable[..., Any]],
    *,
    refusals: Mapping[type[Exception], str] | None = None,
    grace_s: float | None = None,
) -> None:
    """Answer requests from stdin until it closes, so that the child ends with its owner.

    Replies go to a copy of stdout; stdout itself becomes stderr, so that stray prints cannot
    corrupt a reply. SIGINT is ignored: Ctrl-C reaches the whole process group, the owner decides.

    Args:
        functions: what may be called, by name; arguments and values are JSON.
        refusals: kinds of the exceptions that are expected; any other is a BUG.
        grace_s: seconds that a call may continue after stdin closed; None for no limit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    with suppress(BrokenPipeError):  # the owner was killed before it read the reply
        for line in source if grace_s is None else _read_ahead(source, grace_s):
            reply = _reply_to(json.loads(line), functions, refusals or {})
            replies.write(json.dumps(reply, default=str).encode() + b"\n")
            replies.flush()


def _reply_to(
    request: dict[str, Any],
    functions: Mapping[str, Callable[..., Any]],
    refusals: Mapping[type[Exception], str],
) -> dict[str, Any]:
    try:
        value = functions[request["call"]](**request["arguments"])
    except CallError as error:
        return {"id": request["id"], "error": error.kind, "message": str(error)}
    except Exception as error:  # noqa: BLE001 - the child outlives a bug in one call; its owner gets the traceback
        kind = next((kind for type_, kind in refusals.items() if isinstance(error, type_)), None)
        if kind is not None:
            return {"id": request["id"], "error": kind, "message": str(error)}
        return {
            "id": request["id"],
            "error": BUG,
            "message": f"{type(error).__name__}: {error}"[:MESSAGE_CHARS],
            "traceback": traceback.format_exc()[-TRACEBACK_CHARS:],
        }
    return {"id": request["id"], "value": value}


def _read_ahead(source: BinaryIO, grace_s: float) -> Iterator[bytes]:
    """Lines of `source`, read in a thread that notices the owner's end while a call is running."""
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in source:
            lines.put(line)
        lines.put(b"")
        timer = threading.Timer(grace_s, os._exit, (0,))
        timer.daemon = True
        timer.start()

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        yield line


# -------------------------------------------------------------------------------- the owner's side


class ChildProcess:
    """A child that runs `serve_calls`, started at once and never restarted.

    Thread-safe: one call at a time. A call that is late or interrupted kills the child, since its
    reply would otherwise be read by the next call.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
        stderr: int | None = None,
        start_new_session: bool = False,
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._mutex = threading.RLock()
        self._n_calls = 0
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=start_new_session,
        )
        assert self._process.stdin
        os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def call(self, name: str, timeout_s: float, /, **arguments: Any) -> Any:
        """Return the function's value.

        Raises CallError, ChildError, or TimeoutError after `timeout_s`.
        """
        with self._mutex:
            self._n_calls += 1
            request = _encode_request(self._n_calls, name, arguments)
            try:
                deadline = time.monotonic() + timeout_s
                self._write(request, deadline)
                reply = _decode_reply(self._read_line(deadline), self._n_calls)
            except BaseException:
                self.kill()
                raise
        return _value_of(reply)

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._process.stdin
        view = memoryview(data)
        try:
            while view:
                _wait_until_ready(self._process.stdin.fileno(), select.POLLOUT, deadline)
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except TimeoutError:  # an OSError, too
            raise
        except (OSError, ValueError):  # a broken pipe, or closed here
            raise self._ending_error() from None

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout
        line = bytearray()
        while not line.endswith(b"\n"):  # a child sends nothing behind its one reply
            if len(line) > self._max_line_bytes:
                raise ChildError(_too_long(self._max_line_bytes))
            try:
                _wait_until_ready(self._process.stdout.fileno(), select.POLLIN, deadline)
                part = os.read(self._process.stdout.fileno(), READ_BYTES)
            except TimeoutError:
                raise
            except (OSError, ValueError):
                part = b""
            if not part:
                raise self._ending_error()
            line += part
        return bytes(line)

    def _ending_error(self) -> ChildError:
        try:
            return _exit_error(self._process.wait(EXIT_S))
        except subprocess.TimeoutExpired:
            return ChildError("closed its pipe")

    def kill(self) -> None:
        """Kill the child; every further call raises ChildError."""
        self._process.kill()
        self._process.wait()

    def close(self, wait_s: float = 10.0) -> None:
        """Let the child finish what it was sent and end; kill it after `wait_s`."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.kill()


def start_module(name: str, *arguments: str) -> ChildProcess:
    """Start `python -m name` as a silent child that outlives Ctrl-C until its pipe closes."""
    # -P: a `queue.py` in the working directory must not shadow a library;
    # a session of its own: Ctrl-C reaches the run alone, which then closes the pipe
    return ChildProcess(
        [sys.executable, "-P", "-m", name, *arguments],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class AsyncChildProcess:
    """A child that runs `serve_calls`, for asyncio; one call at a time.

    The first call starts it; the first call after its end starts another. A call that is late or
    cancelled kills the child, since its reply would otherwise be read by the next call.
    """

    def __init__(self, command: Sequence[str], *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._command = list(command)
        self._max_line_bytes = max_line_bytes
        self._turn = asyncio.Lock()
        self._n_calls = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._process.pid if self._process else None

    async def call(self, name: str, timeout_s: float, /, **arguments: Any) -> Any:
        """Return the function's value.

        Raises CallError, ChildError, or TimeoutError after `timeout_s`.
        """
        async with self._turn:
            process = await self._start()
            self._n_calls += 1
            request = _encode_request(self._n_calls, name, arguments)
            try:
                async with asyncio.timeout(timeout_s):  # wait_for can lose a cancellation
                    line = await self._exchange(process, request)
                reply = _decode_reply(line, self._n_calls)
            except BaseException:
                await self.kill()
                raise
        return _value_of(reply)

    async def _start(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=self._max_line_bytes,
            )
        return self._process

    async def _exchange(self, process: asyncio.subprocess.Process, request: bytes) -> bytes:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(request)
            await process.stdin.drain()
            line = await process.stdout.readline()
        except ConnectionError:
            line = b""
        except ValueError:  # longer than the reader's limit
            raise ChildError(_too_long(self._max_line_bytes)) from None
        if not line.endswith(b"\n"):
            raise _exit_error(await process.wait())
        return line

    async def kill(self) -> None:
        """Kill the child; the next call starts another."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self, wait_s: float = 5.0) -> None:
        """Let the child end; kill it after `wait_s`."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(wait_s):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):  # it may end just now
                process.kill()
            await process.wait()


def _encode_request(number: int, name: str, arguments: Mapping[str, Any]) -> bytes:
    request = {"id": number, "call": name, "arguments": arguments}
    return json.dumps(request).encode() + b"\n"


def _decode_reply(line: bytes, number: int) -> dict[str, Any]:
    """Raises ChildError for what is no reply to request `number`: such a child is killed."""
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        reply = None
    if (
        not isinstance(reply, dict)
        or reply.get("id") != number
        or not reply.keys() & {"value", "error"}
    ):
        raise ChildError("sent a line that is not the reply")
    return reply


def _value_of(reply: dict[str, Any]) -> Any:
    if "error" not in reply:
        return reply["value"]
    kind, message = str(reply["error"]), str(reply.get("message", ""))
    raise CallError(kind, message, str(reply.get("traceback", "")))


def _exit_error(exit_code: int) -> ChildError:
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return ChildError(f"ended with {how}", exit_code)


def _too_long(limit: int) -> str:
    return f"sent a reply longer than {limit} bytes"


def _wait_until_ready(handle: int, event: int, deadline: float) -> None:
    """Raises TimeoutError at the deadline. poll, as select fails at descriptors from 1024 on."""
    poller = select.poll()
    poller.register(handle, event)
    if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError("no reply in time")
