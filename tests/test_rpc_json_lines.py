"""Calls to a real child process: values, errors, and a child that dies, hangs or sends nonsense."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rpc.json_lines import BUG, AsyncChildProcess, CallError, ChildError, ChildProcess

CHILD = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
replies = os.dup(1)
from rpc.json_lines import CallError, serve_calls

def echo(value):
    print("a stray print")
    return value

def refuse():
    raise CallError("owned", "another process owns it")

def look_up(key):
    return {}[key]

def parse(text):
    return int(text)

def sleep(duration_s):
    time.sleep(duration_s)

def leave(code):
    os._exit(code)

def write_raw(text):
    os.write(replies, text.encode())
    time.sleep(60)

functions = [echo, refuse, look_up, parse, sleep, leave, write_raw]
serve_calls(
    {function.__name__: function for function in functions},
    refusals={LookupError: "lookup"},
    grace_s=float(sys.argv[2]) if sys.argv[2:] else None,
)
"""
COMMAND = [sys.executable, "-P", "-c", CHILD, str(Path(__file__).parents[1])]
LIMIT = 100_000


class Blocking:
    """The asyncio client with the interface of the synchronous one: both pass the same tests."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.child = AsyncChildProcess(COMMAND, max_line_bytes=LIMIT)

    @property
    def pid(self) -> int | None:
        return self.child.pid

    def call(self, name: str, timeout_s: float, /, **arguments: object) -> object:
        return self.runner.run(self.child.call(name, timeout_s, **arguments))

    def close(self) -> None:
        self.runner.run(self.child.close())
        self.runner.close()


@pytest.fixture(params=["sync", "async"])
def child(request: pytest.FixtureRequest) -> Iterator[ChildProcess | Blocking]:
    if request.param == "sync":
        opened: ChildProcess | Blocking = ChildProcess(COMMAND, max_line_bytes=LIMIT)
    else:
        opened = Blocking()
    yield opened
    opened.close()


def is_alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("value", [None, 1.5, "ü\n\u2028", ["x" * 90_000], {"a": [True]}])
def test_a_value_comes_back_as_it_was_sent_whatever_the_child_prints(
    child: ChildProcess | Blocking, value: object
) -> None:
    assert child.call("echo", 30, value=value) == value


def test_a_request_larger_than_a_pipe_is_sent_whole(child: ChildProcess | Blocking) -> None:
    assert child.call("echo", 30, value=None) is None
    with pytest.raises(CallError, match="unexpected keyword argument"):
        child.call("echo", 30, value="", more="x" * 5_000_000)


def test_errors_carry_their_kind_and_the_child_outlives_them(
    child: ChildProcess | Blocking,
) -> None:
    errors = {}
    for name, arguments in (("refuse", {}), ("look_up", {"key": "k"}), ("parse", {"text": "x"})):
        with pytest.raises(CallError) as caught:
            child.call(name, 30, **arguments)
        errors[name] = caught.value
    assert (errors["refuse"].kind, str(errors["refuse"])) == ("owned", "another process owns it")
    assert (errors["look_up"].kind, errors["look_up"].child_traceback) == ("lookup", "")
    assert errors["parse"].kind == BUG and str(errors["parse"]).startswith("ValueError: invalid")
    assert "in parse" in errors["parse"].child_traceback
    assert child.call("echo", 30, value=1) == 1


def test_an_unknown_function_is_an_error_of_the_call(child: ChildProcess | Blocking) -> None:
    with pytest.raises(CallError):
        child.call("nothing", 30)
    assert child.call("echo", 30, value=1) == 1


def test_a_child_that_ends_is_named_with_its_exit_code(child: ChildProcess | Blocking) -> None:
    with pytest.raises(ChildError, match="ended with exit code 3") as caught:
        child.call("leave", 30, code=3)
    assert caught.value.exit_code == 3


def test_a_late_call_kills_the_child(child: ChildProcess | Blocking) -> None:
    child.call("echo", 30, value=1)
    pid = child.pid
    with pytest.raises(TimeoutError):
        child.call("sleep", 0.2, duration_s=60)
    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json\n", "not the reply"),
        ("[" * 50_000 + "\n", "not the reply"),
        ('{"id": 99, "value": 1}\n', "not the reply"),
        ('{"id": 1}\n', "not the reply"),
        ("x" * 2 * LIMIT, f"longer than {LIMIT} bytes"),
    ],
)
def test_an_invalid_reply_kills_the_child(
    child: ChildProcess | Blocking, text: str, message: str
) -> None:
    with pytest.raises(ChildError, match=message):
        child.call("write_raw", 30, text=text)
    assert not is_alive(child.pid)


def test_a_killed_child_is_an_error_of_this_call_and_of_the_next() -> None:
    child = ChildProcess(COMMAND)
    child.call("echo", 30, value=1)
    os.kill(child.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(ChildError, match="ended with signal 9"):
            child.call("echo", 30, value=1)
    child.close()


async def test_the_asyncio_client_starts_another_child_after_one_died() -> None:
    child = AsyncChildProcess(COMMAND)
    with pytest.raises(ChildError):
        await child.call("leave", 30, code=1)
    assert await child.call("echo", 30, value=1) == 1
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await asyncio.sleep(0.3)
    assert await child.call("echo", 30, value=2) == 2 and child.pid != first
    await child.close()


def test_threads_share_a_child() -> None:
    child = ChildProcess(COMMAND)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: child.call("echo", 60, value=i), range(50))) == list(
            range(50)
        )
    child.close()
    with pytest.raises(ChildError):
        child.call("echo", 30, value=1)


async def test_a_cancelled_call_leaves_no_reply_to_the_next() -> None:
    child = AsyncChildProcess(COMMAND)
    await child.call("echo", 30, value=1)
    first = child.pid
    late = asyncio.create_task(child.call("sleep", 30, duration_s=1))
    await asyncio.sleep(0.1)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    assert await child.call("echo", 30, value=2) == 2 and child.pid != first
    await child.close()


def test_a_call_that_hangs_ends_soon_after_its_owner() -> None:
    process = subprocess.Popen(
        [*COMMAND, "0.2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin and process.stdout
    process.stdin.write(b'{"id": 1, "call": "echo", "arguments": {"value": 1}}\n')
    process.stdout.readline()
    process.stdin.write(b'{"id": 2, "call": "sleep", "arguments": {"duration_s": 60}}\n')
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


@pytest.mark.parametrize("grace", [[], ["5"]])
def test_a_child_ends_with_its_owner_and_ignores_an_interrupt(grace: list[str]) -> None:
    child = ChildProcess([*COMMAND, *grace])
    child.call("echo", 30, value=1)
    os.kill(child.pid, signal.SIGINT)
    assert child.call("echo", 30, value=2) == 2
    start = time.monotonic()
    child.close()
    assert time.monotonic() - start < 4


async def test_a_child_that_ends_as_its_time_runs_out_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = AsyncChildProcess(COMMAND)
    await process.call("echo", 20, value=1)

    async def wait_too_long(work: Awaitable[int], wait_s: float) -> int:
        await asyncio.ensure_future(work)
        await asyncio.sleep(0.1)
        raise TimeoutError(wait_s)

    monkeypatch.setattr(asyncio, "wait_for", wait_too_long)
    await process.close()
    assert process.pid is None


async def test_a_cancellation_that_meets_the_reply_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = AsyncChildProcess(COMMAND)
    exchange = child._exchange

    async def call_and_go_on() -> str:
        await child.call("echo", 30, value=1)
        await asyncio.sleep(30)
        return "went on"

    async def exchange_and_cancel(process: asyncio.subprocess.Process, request: bytes) -> bytes:
        line = await exchange(process, request)
        going.cancel()
        return line

    monkeypatch.setattr(child, "_exchange", exchange_and_cancel)
    going = asyncio.create_task(call_and_go_on())
    try:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(going), 20)
    finally:
        await child.kill()
