"""Scripts on a real Ray cluster: spread, lost workers and nodes, cancelling, data once per node."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from attacks import make_foreign_python
from ray_kit import cluster, node_of, wait_for, workers_of
from sandbox_suite import TREE, Play, player, text

from sandbox.protocol import Execution, SandboxUnavailableError
from sandbox.ray import backend as backend
from sandbox.ray import node as ray_node

slow = [
    pytest.mark.slow,
    pytest.mark.enable_socket,  # Ray asks for this host's address
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


def marked(test: Any) -> Any:
    for mark in slow:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def made() -> Iterator[Any]:
    with cluster() as running:
        yield running


@pytest.fixture
async def sandbox(made: Any) -> AsyncIterator[backend.RaySandbox]:
    joined = backend.create_ray_sandbox(address=made.address, isolation="auto")
    yield joined
    await joined.close()


@pytest.fixture
def play(sandbox: backend.RaySandbox, tmp_path: Path) -> Play:
    (tmp_path / "jobs").mkdir()
    return player(sandbox, tmp_path / "jobs")


async def started(
    play: Play, script: str, **what: Any
) -> tuple[asyncio.Future[Execution], psutil.Process]:
    """A job that runs now, and the Ray worker that runs it."""
    before = {worker.pid for worker in await asyncio.to_thread(workers_of, "solution.py")}
    going = asyncio.ensure_future(play(script, **what))

    def fresh() -> list[psutil.Process]:
        return [worker for worker in workers_of("solution.py") if worker.pid not in before]

    return going, (await asyncio.to_thread(wait_for, fresh))[0]


@marked
async def test_scripts_spread_over_the_nodes(play: Play) -> None:
    done = await asyncio.gather(*(play("import time; time.sleep(3)") for _ in range(4)))
    assert all(item.ok and item.tier.startswith("ray/") for item in done)
    assert len({item.where for item in done}) == 2


@marked
async def test_available_resources_are_reported(sandbox: backend.RaySandbox) -> None:
    host = await sandbox.probe()
    assert "scikit-learn" in host.packages and (host.cpus, host.total_cpus) == (2, 4)
    assert sandbox.tier.startswith("ray/")


@marked
async def test_nodes_run_scripts_by_a_python_of_their_own(made: Any, tmp_path: Path) -> None:
    python = make_foreign_python(tmp_path / "env")
    joined = backend.create_ray_sandbox(address=made.address, isolation="auto", python=python)
    host = await joined.probe()
    assert (host.interpreter, host.packages) == (python, {})
    (tmp_path / "jobs").mkdir()
    done = await player(joined, tmp_path / "jobs")("import sys\nprint(sys.prefix)")
    assert done.ok and done.output.strip() == str(tmp_path / "env")
    await joined.close()
    gone = backend.create_ray_sandbox(address=made.address, isolation="auto", python="/no/python")
    with pytest.raises(SandboxUnavailableError, match="node .*--python /no/python: there is no"):
        await gone.probe()
    await gone.close()


@marked
async def test_a_killed_worker_is_no_failure_of_the_script(play: Play) -> None:
    going, worker = await started(play, "import time; time.sleep(4); print('whole')")
    worker.kill()
    done = await going
    assert done.ok and done.output == "whole\n"


@marked
async def test_cancelling_leaves_nothing(play: Play) -> None:
    going, worker = await started(play, TREE + "print('up'); time.sleep(600)", wall_s=600)
    await asyncio.sleep(2)
    below = worker.children(recursive=True)
    assert len(below) >= 3
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await asyncio.to_thread(
        wait_for,
        lambda: (
            not [
                child
                for child in below
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
            ]
        ),
    )


@marked
async def test_without_isolation_cancelling_leaves_nothing_either(
    made: Any, tmp_path: Path
) -> None:
    sandbox = backend.create_ray_sandbox(address=made.address, isolation="none")
    (tmp_path / "jobs").mkdir()
    going, worker = await started(
        player(sandbox, tmp_path / "jobs"), TREE + "print('up'); time.sleep(600)", wall_s=600
    )
    await asyncio.sleep(2)
    below = worker.children(recursive=True)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await asyncio.to_thread(
        wait_for,
        lambda: (
            not [
                child
                for child in below
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
            ]
        ),
    )
    await sandbox.close()


@marked
async def test_a_scripts_own_failure_is_not_retried(play: Play, tmp_path: Path) -> None:
    done = await play("import sys; print('once'); sys.exit(9)")
    assert (done.exit_code, done.output) == (9, "once\n")


@marked
async def test_data_reaches_a_node_once(
    sandbox: backend.RaySandbox, play: Play, tmp_path: Path
) -> None:
    data = tmp_path / "data.bin"
    data.write_bytes(os.urandom(3 * 2**20))
    script = "import os; print(os.stat('input/data').st_ino, os.stat('input/data').st_size)"
    first = await play(script, inputs={"data": str(data)})
    again = await play(script, inputs={"data": str(data), "other": str(data)})
    assert first.ok and first.output == again.output and first.output.endswith(f"{3 * 2**20}\n")
    assert len(sandbox.parts) == 1


@marked
async def test_a_parcel_in_parts_is_reassembled(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "CHUNK_BYTES", 100)
    (tmp_path / "text").write_text("".join(f"{number}\n" for number in range(1000)))
    done = await play(
        "print(sum(map(int, open('input/text'))))", inputs={"text": str(tmp_path / "text")}
    )
    assert done.output == "499500\n"


@marked
async def test_a_job_that_no_node_can_hold_is_refused(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "LOOK_S", 1)
    monkeypatch.setattr(backend, "PATIENCE_S", 2)
    with pytest.raises(SandboxUnavailableError, match="64 cores"):
        await play("print(1)", cpus=64)


@marked
async def test_nodes_with_other_code_are_refused(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "code_version", lambda: "other")
    with pytest.raises(SandboxUnavailableError, match="same one on every node"):
        await play("print(1)")


@marked
async def test_a_removed_node_is_no_failure_of_the_script(made: Any, play: Play) -> None:
    going, worker = await started(
        play, "import time; time.sleep(8); open('oof.csv', 'w').write('x'); print('whole')"
    )
    node = node_of(made, worker)
    await asyncio.to_thread(made.remove_node, node, False)
    done = await going
    assert done.ok and done.output == "whole\n" and text(done, "oof.csv") == "x"
    assert node.unique_id not in done.where
    made.add_node(num_cpus=2)


@marked
async def test_a_missing_cluster_is_reported_with_the_remedy() -> None:
    code = (
        "import asyncio\nfrom sandbox.ray.backend import create_ray_sandbox\n"
        "from sandbox.protocol import SandboxUnavailableError\ntry:\n"
        "    asyncio.run(create_ray_sandbox(address='127.0.0.1:9', isolation='auto').probe())\n"
        "except SandboxUnavailableError as error:\n    print('told:', error)"
    )
    import subprocess
    import sys

    environment = os.environ | {
        "RAY_gcs_server_request_timeout_seconds": "5",
        "RAY_NUM_REDIS_GET_RETRIES": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert (
        "told: no Ray cluster answers at 127.0.0.1:9" in done.stdout
        and "ray start --head" in done.stdout
    )


def test_without_the_extra_the_remedy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SandboxUnavailableError, match="needs Ray: .* install 'ray"):
        backend.create_ray_sandbox(address=None, isolation="auto")


def test_the_nodes_data_folder_must_belong_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    root = ray_node.node_folder()
    root.chmod(0o777)
    with pytest.raises(SandboxUnavailableError, match="belongs to someone else"):
        ray_node.node_folder()
