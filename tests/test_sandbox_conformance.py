"""One suite for every backend: local in the tier that starts here, E2B (fake or real), Ray.

GOME_TEST_E2B=real runs the E2B cases against the service of E2B_API_KEY (E2B_DOMAIN, E2B_API_URL,
E2B_SANDBOX_URL); GOME_TEST_E2B_TEMPLATE names the template. A real service costs money: about 40
sandbox starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from e2b_kit import TEMPLATE, service
from fake_e2b import FakeE2B
from ray_kit import cluster, wait_for, workers_of
from sandbox_suite import CASES, Case, Play, player

from sandbox.factory import create_sandbox
from sandbox.protocol import Sandbox, SandboxUnavailableError


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeE2B | None]:
    with service(tmp_path_factory.mktemp("e2b")) as fake:
        yield fake


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Sandbox]:
    try:
        sandbox = create_sandbox("local", run_dir=tmp_path / "run")
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def e2b(tmp_path: Path, cloud: FakeE2B | None) -> AsyncIterator[Sandbox]:
    sandbox = create_sandbox("e2b", run_dir=tmp_path, e2b_template=TEMPLATE)
    yield sandbox
    await sandbox.close()
    if cloud:
        assert cloud.rented == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_local(case: Case, local: Sandbox, tmp_path: Path) -> None:
    await case(fresh(local, tmp_path), tmp_path)
    await nothing_lives_in(tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_e2b(case: Case, e2b: Sandbox, cloud: FakeE2B | None, tmp_path: Path) -> None:
    await case(fresh(e2b, tmp_path), tmp_path)
    if cloud:
        assert cloud.alive() == []


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    with cluster() as made:
        yield made.address


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_ray(case: Case, ray_address: str, tmp_path: Path) -> None:
    sandbox = create_sandbox("ray", ray_address=ray_address)
    await case(fresh(sandbox, tmp_path), tmp_path)
    await sandbox.close()
    assert await asyncio.to_thread(wait_for, lambda: not workers_of("solution.py"))


def fresh(sandbox: Sandbox, tmp_path: Path) -> Play:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return player(sandbox, folder)


def home_of(process: psutil.Process) -> str:
    """The process's working folder; another test's may be too deep to be named."""
    try:
        return process.cwd()
    except (OSError, psutil.Error):
        return ""


async def nothing_lives_in(folder: Path) -> None:
    """No process has its home below the folder; killed ones take a moment to disappear."""
    for _ in range(50):
        left = [p.pid for p in psutil.process_iter() if home_of(p).startswith(str(folder))]
        if not left:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still alive: {left}")
