"""Assumptions of the E2B backend about the service, checked with the vendor's own SDK.

Against the fake by default. Against a real service: GOME_TEST_E2B=real with E2B_API_KEY (and
E2B_DOMAIN, E2B_API_URL, E2B_SANDBOX_URL where it is not e2b.app); GOME_TEST_E2B_TEMPLATE names a
template. Against a single envd on this machine: GOME_TEST_E2B=real E2B_DEBUG=true; checks of the
control plane are then left out. So a difference between fake and service shows here first.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import e2b_kit
import pytest
from fake_e2b import FakeE2B

DEBUG = os.environ.get("E2B_DEBUG") == "true"
control_plane = pytest.mark.skipif(
    e2b_kit.REAL and DEBUG, reason="a single envd has no control plane"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeE2B | None]:
    with e2b_kit.service(tmp_path_factory.mktemp("e2b")) as fake:
        yield fake


@pytest.fixture
async def vm(service: FakeE2B | None) -> AsyncIterator[Any]:
    from e2b_code_interpreter import AsyncSandbox

    made = await AsyncSandbox.create(
        template=e2b_kit.TEMPLATE,
        timeout=120,
        metadata={"gome-run": "contract"},
        allow_internet_access=False,
    )
    yield made
    await made.kill()


async def folder_of(vm: Any) -> str:
    """A folder of our own that both commands and files reach."""
    done = await vm.commands.run('printf %s "${GOME_HOME:-/opt/gome}"', user="root")
    return f"{done.stdout}/contract-{uuid.uuid4().hex[:8]}"


async def test_files_go_up_and_come_back_byte_for_byte(vm: Any) -> None:
    from e2b.exceptions import NotFoundException

    folder, data = await folder_of(vm), bytes(range(256)) * 5000
    await vm.files.write_files(
        [{"path": f"{folder}/a/ü.bin", "data": data}, {"path": f"{folder}/b", "data": b""}],
        user="root",
    )
    assert bytes(await vm.files.read(f"{folder}/a/ü.bin", format="bytes", user="root")) == data
    assert int((await vm.files.get_info(f"{folder}/a/ü.bin", user="root")).size) == len(data)
    chunks = [
        chunk
        async for chunk in await vm.files.read(f"{folder}/a/ü.bin", format="stream", user="root")
    ]
    assert b"".join(chunks) == data
    assert (await vm.files.read(f"{folder}/b", format="text", user="root")) == ""
    with pytest.raises(NotFoundException):
        await vm.files.read(f"{folder}/none", format="bytes", user="root")
    with pytest.raises(NotFoundException):
        await vm.files.get_info(f"{folder}/none", user="root")


async def test_an_open_file_is_streamed_up_then_renamed_and_removed(
    vm: Any, tmp_path: Path
) -> None:
    from e2b.exceptions import NotFoundException

    folder, source = await folder_of(vm), tmp_path / "source"
    source.write_bytes(os.urandom(2**20) * 3)
    with source.open("rb") as file:
        await vm.files.write(f"{folder}/part", file, user="root")
    await vm.files.rename(f"{folder}/part", f"{folder}/whole", user="root")
    assert (
        bytes(await vm.files.read(f"{folder}/whole", format="bytes", user="root"))
        == source.read_bytes()
    )
    with pytest.raises(NotFoundException):
        await vm.files.rename(f"{folder}/part", f"{folder}/whole", user="root")
    await vm.files.remove(folder, user="root")
    assert not await vm.files.exists(f"{folder}/whole", user="root")


async def test_a_command_returns_output_and_exit_code(vm: Any) -> None:
    from e2b import CommandExitException

    done = await vm.commands.run("echo out; echo err >&2", user="root", timeout=30)
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 0)
    with pytest.raises(CommandExitException) as caught:
        await vm.commands.run("echo so; exit 3", user="root", timeout=30)
    assert caught.value.exit_code == 3 and caught.value.stdout == "so\n"


async def test_a_command_outlives_its_connection_and_can_be_joined_again(vm: Any) -> None:
    from e2b.exceptions import NotFoundException

    handle = await vm.commands.run("sleep 2; echo late", background=True, user="root", timeout=30)
    await handle.disconnect()
    again = await vm.commands.connect(handle.pid, timeout=30)
    assert (await again.wait()).stdout == "late\n"
    await asyncio.sleep(0.5)
    with pytest.raises(NotFoundException):
        await vm.commands.connect(handle.pid, timeout=30)


async def test_killing_a_command_spares_its_children_so_a_supervisor_of_our_own_is_needed(
    vm: Any,
) -> None:
    folder = await folder_of(vm)
    code = f"mkdir -p {folder}; (trap '' HUP; sleep 2; echo alive > {folder}/child) & sleep 60"
    handle = await vm.commands.run(code, background=True, user="root", timeout=60)
    await asyncio.sleep(0.5)
    assert await vm.commands.kill(handle.pid)
    for _ in range(100):
        if await vm.files.exists(f"{folder}/child", user="root"):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(
        "the child died with its parent: the service has become stricter, which would be good news"
    )


async def test_a_commands_deadline_raises_timeout(vm: Any) -> None:
    from e2b.exceptions import TimeoutException

    with pytest.raises(TimeoutException):
        await vm.commands.run("sleep 60", user="root", timeout=1)


@control_plane
async def test_sandboxes_are_found_by_metadata(vm: Any) -> None:
    from e2b.sandbox.sandbox_api import SandboxQuery
    from e2b_code_interpreter import AsyncSandbox

    async def ids(run: str) -> set[str]:
        pages, found = AsyncSandbox.list(query=SandboxQuery(metadata={"gome-run": run})), set()
        while pages.has_next:
            found |= {item.sandbox_id for item in await pages.next_items()}
        return found

    assert vm.sandbox_id in await ids("contract") and await ids(f"no-{uuid.uuid4().hex}") == set()


@control_plane
async def test_the_same_idempotency_key_makes_one_sandbox() -> None:
    from e2b_code_interpreter import AsyncSandbox

    key = uuid.uuid4().hex
    one, two = [
        await AsyncSandbox.create(template=e2b_kit.TEMPLATE, timeout=60, idempotency_key=key)
        for _ in range(2)
    ]
    await one.kill()
    assert one.sandbox_id == two.sandbox_id


@control_plane
async def test_a_sandbox_is_gone_after_its_timeout_and_reports_it(service: FakeE2B | None) -> None:
    from e2b.exceptions import SandboxNotFoundException, SandboxNotRunningException
    from e2b_code_interpreter import AsyncSandbox

    made = await AsyncSandbox.create(template=e2b_kit.TEMPLATE, timeout=60)
    await made.set_timeout(1)
    await asyncio.sleep(4)
    with pytest.raises(SandboxNotRunningException):
        await made.commands.run("true", user="root", timeout=10)
    with pytest.raises(SandboxNotFoundException):
        await made.set_timeout(60)
    assert await made.kill() is False


@control_plane
async def test_a_wrong_key_is_refused(service: FakeE2B | None) -> None:
    from e2b.exceptions import AuthenticationException
    from e2b_code_interpreter import AsyncSandbox

    with pytest.raises(AuthenticationException):
        await AsyncSandbox.create(template=e2b_kit.TEMPLATE, timeout=60, api_key="e2b_" + "1" * 40)


def test_the_page_lists_every_endpoint_that_was_used(service: FakeE2B | None) -> None:
    """Runs after the others of this file."""
    if service is None:
        pytest.skip("only the fake counts its calls")
    text = (Path(__file__).parents[1] / "docs" / "sandbox-backends.md").read_text()
    missing = [call for call in service.calls if f"`{call}`" not in text]
    assert not missing
