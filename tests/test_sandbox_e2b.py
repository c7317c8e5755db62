"""The E2B backend against the fake: dropped connections, lost machines, a busy service."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_e2b import FakeE2B
from sandbox_suite import player, text

from sandbox.e2b import box as e2b_box
from sandbox.e2b import errors as e2b_errors
from sandbox.e2b.backend import E2BSandbox, create_e2b_sandbox
from sandbox.protocol import SandboxLostError, SandboxUnavailableError

SLOW = """import time
print('begun', flush=True)
for i in range(30):
    time.sleep(0.1)
open('oof.csv', 'w').write('done')
print('ended')"""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeE2B]:
    monkeypatch.setattr(e2b_errors, "PAUSES_S", (0.05,) * 7)
    monkeypatch.setattr(e2b_box, "PAUSES_S", (0.05,) * 7)
    with FakeE2B(tmp_path / "e2b") as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
async def sandbox(cloud: FakeE2B, tmp_path: Path) -> AsyncIterator[E2BSandbox]:
    made = make(tmp_path)
    yield made
    await made.close()
    assert cloud.rented == {} and cloud.alive() == []


def make(tmp_path: Path, **changes: Any) -> E2BSandbox:
    (tmp_path / "jobs").mkdir(exist_ok=True)
    return create_e2b_sandbox(
        **(
            {"run_dir": tmp_path / "run-1", "template": None, "usd_per_hour": 3.6, "life_s": 3600}
            | changes
        )
    )


async def until(condition: Any) -> None:
    for _ in range(600):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


async def test_a_dropped_stream_loses_neither_script_nor_output(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    going = asyncio.ensure_future(player(sandbox, tmp_path / "jobs")(SLOW))
    await until(lambda: cloud.calls["POST /process.Process/Start"] >= 3)
    cuts = 0
    while not going.done() and cuts < 3:
        await asyncio.sleep(0.6)
        cuts += await asyncio.to_thread(cloud.cut_streams)
    done = await going
    assert done.ok and done.output == "begun\nended\n" and text(done, "oof.csv") == "done"
    assert cuts >= 1 and cloud.calls["POST /process.Process/Connect"] >= 1
    assert len(cloud.created) == 1


async def test_a_script_that_ended_while_the_stream_was_down_is_found(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    cloud.fault("Process/Connect", times=5, status=502)
    going = asyncio.ensure_future(
        player(sandbox, tmp_path / "jobs")("import time; time.sleep(1); print('ended')")
    )
    await until(lambda: cloud.calls["POST /process.Process/Start"] >= 3)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(cloud.cut_streams)
    done = await going
    assert done.ok and done.output == "ended\n"


async def test_a_lost_sandbox_is_not_the_scripts_failure_and_the_next_script_gets_another(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    play = player(sandbox, tmp_path / "jobs")
    going = asyncio.ensure_future(play(SLOW))
    await until(lambda: cloud.calls["POST /process.Process/Start"] >= 3)
    await asyncio.to_thread(cloud.lose, cloud.created[0].id)
    with pytest.raises(SandboxLostError, match="E2B sandbox"):
        await going
    assert (await play("print('again')")).ok
    assert len(cloud.created) == 2


async def test_a_dead_supervisor_is_a_lost_sandbox(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    going = asyncio.ensure_future(player(sandbox, tmp_path / "jobs")(SLOW))
    await until(lambda: cloud.calls["POST /process.Process/Start"] >= 3 and cloud.alive())
    await asyncio.sleep(0.5)
    machine = cloud.created[0].machine
    supervisor = next(process for process in machine.processes.values() if not process.over)
    supervisor.child.kill()
    with pytest.raises(SandboxLostError, match="ended without a result"):
        await going
    assert cloud.rented == {} and cloud.alive() == []


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("POST /v2/sandboxes", {"status": 429, "times": 5}),
        ("POST /v2/sandboxes", {"status": 503, "times": 5}),
        ("POST /v2/sandboxes", {"status": 500, "times": 2}),
        ("GET /v2/sandboxes", {"status": 502, "times": 2}),
        ("POST /files", {"status": 502, "times": 2}),
        ("POST /files", {"cut": True, "times": 2}),
        ("GET /files", {"cut": True, "times": 2}),
        ("GET /files", {"status": 500, "times": 2}),
        ("Filesystem/Stat", {"status": 503, "times": 2}),
        ("Filesystem/Move", {"cut": True, "times": 1}),
        ("POST /files", {"delay_s": 1, "times": 2}),
    ],
)
async def test_transient_errors_are_survived(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path, route: str, fault: dict[str, Any]
) -> None:
    cloud.fault(route, **fault)
    (tmp_path / "data").write_text("5")
    play = player(sandbox, tmp_path / "jobs")
    done = await play(
        "print(open('input/data').read())\nopen('oof.csv', 'w').write('x')",
        inputs={"data": str(tmp_path / "data")},
    )
    assert done.ok and done.output == "5\n" and text(done, "oof.csv") == "x"
    assert not [fault for fault in cloud.faults if fault.times]


@pytest.mark.parametrize(
    ("route", "status", "error"),
    [
        ("POST /v2/sandboxes", 429, SandboxUnavailableError),
        ("POST /files", 507, SandboxUnavailableError),
    ],
)
async def test_a_lasting_error_ends_in_one_sentence(
    cloud: FakeE2B,
    sandbox: E2BSandbox,
    tmp_path: Path,
    route: str,
    status: int,
    error: type[Exception],
) -> None:
    cloud.fault(route, times=100, status=status)
    with pytest.raises(error) as caught:
        await player(sandbox, tmp_path / "jobs")("print(1)")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


async def test_a_refused_key_and_an_unknown_template_are_reported_with_the_remedy(
    cloud: FakeE2B, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SandboxUnavailableError, match="e2b_template"):
        await make(tmp_path, template="nonesuch").probe()
    monkeypatch.setenv("E2B_API_KEY", "e2b_wrong")
    with pytest.raises(SandboxUnavailableError, match="E2B_API_KEY"):
        await make(tmp_path).probe()


@pytest.mark.slow
async def test_a_service_that_is_not_there_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(e2b_errors, "PAUSES_S", (0.01,) * 7)
    for name in ("E2B_API_URL", "E2B_SANDBOX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("E2B_API_KEY", "e2b_x")
    with pytest.raises(SandboxUnavailableError, match="not reachable|cannot be listed"):
        await make(tmp_path).probe()


def test_without_a_key_the_command_ends_with_exit_code_2_and_spends_nothing(tmp_path: Path) -> None:
    from kit import write_task

    environment = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    command = [
        sys.executable,
        "-m",
        "gome",
        "run",
        str(write_task(tmp_path / "task")),
        "--sandbox",
        "e2b",
        "--runs-dir",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2 and "E2B_API_KEY" in done.stderr and "Traceback" not in done.stderr
    assert list((tmp_path / "runs").glob("*/events.jsonl")) == []


async def test_the_lease_is_renewed_while_a_script_runs(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(e2b_box, "LEASE_S", 3)
    done = await player(sandbox, tmp_path / "jobs")("import time; time.sleep(6); print('alive')")
    assert done.output == "alive\n"
    assert len(cloud.timeouts) >= 3 and max(cloud.timeouts) <= 3


@pytest.mark.slow
async def test_an_orphaned_sandbox_ends_by_itself(
    cloud: FakeE2B, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(e2b_box, "LEASE_S", 6)  # set-up and survey fit into it, also under load
    left = make(tmp_path)
    await left.probe()
    assert len(cloud.rented) == 1
    await until(lambda: not cloud.rented)
    assert (await player(left, tmp_path / "jobs")("print('new')")).output == "new\n"
    await left.close()


async def test_leftovers_of_this_run_are_reaped_at_its_start_and_others_are_left_alone(
    cloud: FakeE2B, tmp_path: Path
) -> None:
    other, killed = make(tmp_path, run_dir=tmp_path / "run-2"), make(tmp_path)
    await other.probe()
    await killed.probe()
    again = make(tmp_path)
    await again.probe()
    assert [rented.metadata["gome-run"] for rented in cloud.rented.values()] == ["run-2", "run-1"]
    assert cloud.created[1].id not in cloud.rented and cloud.created[0].id in cloud.rented
    await asyncio.gather(again.close(), other.close())
    assert cloud.rented == {}


async def test_a_script_longer_than_a_sandboxs_life_is_refused_before_anything_is_rented(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    with pytest.raises(SandboxUnavailableError, match="e2b_life_s"):
        await player(sandbox, tmp_path / "jobs")("print(1)", wall_s=4000)
    with pytest.raises(SandboxUnavailableError, match="no GPUs"):
        await player(sandbox, tmp_path / "jobs")("print(1)", gpus=1)
    assert cloud.created == []


async def test_a_sandbox_too_old_for_the_next_script_is_replaced(
    cloud: FakeE2B, tmp_path: Path
) -> None:
    sandbox = make(tmp_path)
    await sandbox.probe()
    sandbox.idle[0].began -= 3500
    assert (await player(sandbox, tmp_path / "jobs")("print(1)", wall_s=60)).ok
    assert len(cloud.created) == 2 and cloud.created[0].id not in cloud.rented
    await sandbox.close()


async def test_every_second_of_a_sandbox_is_charged_once(cloud: FakeE2B, tmp_path: Path) -> None:
    sandbox = make(tmp_path)
    await sandbox.probe()
    box, began = sandbox.idle[0], sandbox.idle[0].began
    await asyncio.sleep(0.5)
    done = await player(sandbox, tmp_path / "jobs")("import time; time.sleep(1)")
    assert done.usd == pytest.approx((box.charged - began) * 0.001, rel=1e-6) and done.usd >= 0.0015
    await sandbox.close()


async def test_data_goes_up_once_per_sandbox(cloud: FakeE2B, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a" * 1000)
    (tmp_path / "b.csv").write_text("a" * 1000)
    sandbox = make(tmp_path)
    await sandbox.probe()
    box = sandbox.idle[0]
    shipped = await asyncio.to_thread(
        sandbox.parcel_cache.pack,
        {"a.csv": str(tmp_path / "a.csv"), "b.csv": str(tmp_path / "b.csv")},
    )
    for parcel in shipped:
        await box.files.send(parcel, f"{box.home}/data")
    assert cloud.calls["POST /filesystem.Filesystem/Move"] == 1, (
        "the same content under two names travels once"
    )
    box.files.present.clear()  # as after a template that holds the data already
    await box.files.send(shipped[0], f"{box.home}/data")
    assert cloud.calls["POST /filesystem.Filesystem/Move"] == 1
    await sandbox.close()


async def test_network_is_asked_for_only_when_the_job_may_use_it(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path
) -> None:
    play = player(sandbox, tmp_path / "jobs")
    await play("print(1)")
    await play("print(1)", network=True)
    assert [rented.internet for rented in cloud.created] == [False, True]


async def test_damaged_results_are_refused(
    cloud: FakeE2B, sandbox: E2BSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def short(path: Path) -> bytes:
        return read(path)[:-1] if path.name == "oof.csv" else read(path)

    monkeypatch.setattr(Path, "read_bytes", short)
    with pytest.raises(SandboxLostError, match="damaged"):
        await player(sandbox, tmp_path / "jobs")("open('oof.csv', 'w').write('whole')")


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/usr/bin/python3"),
    reason="needs root and a system Python, as in a real sandbox",
)
async def test_as_root_the_script_gets_an_ordinary_uid_and_the_sandbox_is_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with FakeE2B(folder / "e2b") as cloud:
            cloud.programs = "/usr/bin"
            for key, value in cloud.environment.items():
                monkeypatch.setenv(key, value)
            sandbox = make(folder)
            play = player(sandbox, folder / "jobs")
            (folder / "data").write_text("kept")
            inputs = {"data": str(folder / "data")}
            done = await play(
                "import os\nprint(os.getuid(), os.getgroups())\nopen('oof.csv', 'w').write('x')",
                inputs=inputs,
            )
            assert (
                done.output == "65534 []\n"
                and "unprivileged user" in done.enforced
                and text(done, "oof.csv") == "x"
            )
            for attack in (
                "open('input/data', 'w').write('spoilt')",
                "import os\nos.remove('input/data')",
                "open('../spec.json', 'w')",
            ):
                assert "PermissionError" in (await play(attack, inputs=inputs)).output
            assert (
                await play("print(open('input/data').read())", inputs=inputs)
            ).output == "kept\n"
            assert len(cloud.created) == 1 and cloud.calls["POST /filesystem.Filesystem/Move"] == 1
            await sandbox.close()


def test_importing_the_factory_loads_neither_e2b_nor_ray() -> None:
    code = (
        "import sandbox.factory, sandbox.e2b.backend, sys;"
        "heavy = ('e2b', 'e2b_code_interpreter', 'ray', 'httpx');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
