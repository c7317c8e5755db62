"""GPU leases, with a fake nvidia-smi and fake device nodes, and with a real GPU if there is one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attacks import make_foreign_python

from sandbox.local import gpus
from sandbox.local.backend import LocalSandbox
from sandbox.local.leases import try_lease
from sandbox.local.tiers import choose_tier
from sandbox.protocol import Execution, Job, Limits, SandboxUnavailableError

SMI = """#!/bin/sh
echo "0, GPU-aaaa, NVIDIA Fake One, 24576, 00000000:01:00.0"
echo "1, GPU-bbbb, NVIDIA Fake Two, 81920, 00000000:02:00.0"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs whose nodes are numbered the other way round, as the driver may do."""
    tools, dev, driver = tmp_path / "bin", tmp_path / "dev", tmp_path / "driver"
    for folder in (tools, dev):
        folder.mkdir()
    (tools / "nvidia-smi").write_text(SMI)
    (tools / "nvidia-smi").chmod(0o755)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (dev / name).write_text(name)
    for bus, minor in (("0000:01:00.0", 1), ("0000:02:00.0", 0)):
        place = driver / "gpus" / bus
        place.mkdir(parents=True)
        (place / "information").write_text(f"Model: \t Fake\nDevice Minor: \t {minor}\n")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("GOME_LEASES", str(tmp_path / "leases"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DEV", dev)
    monkeypatch.setattr(gpus, "DRIVER", driver)
    monkeypatch.setattr(gpus, "query_nvml", lambda: None)
    return tmp_path


def test_detection_by_nvidia_smi(machine: Path) -> None:
    found = gpus.select_gpus()
    assert [(gpu.uuid, gpu.minor, gpu.title) for gpu in found] == [
        ("GPU-aaaa", 1, "NVIDIA Fake One (24 GiB)"), ("GPU-bbbb", 0, "NVIDIA Fake Two (80 GiB)"),
    ]  # fmt: skip
    assert [Path(node).name for node in gpus.device_files(found[:1])] == [
        "nvidia1",
        "nvidiactl",
        "nvidia-uvm",
    ]


def test_choice(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.select_gpus("none") == []
    assert [gpu.uuid for gpu in gpus.select_gpus("1")] == ["GPU-bbbb"]
    with pytest.raises(
        SandboxUnavailableError, match=r"--gpus 1,7: no GPU 7 here \(visible: 0, 1\)"
    ):
        gpus.select_gpus("1,7")
    with pytest.raises(
        SandboxUnavailableError, match="--gpus all: expected auto, none, or indices"
    ):
        gpus.select_gpus("all")
    for setting, uuids in (
        ("1", ["GPU-bbbb"]),
        ("GPU-bb,0", ["GPU-bbbb", "GPU-aaaa"]),
        ("", []),
        ("-1", []),
        ("0,9,1", ["GPU-aaaa"]),
    ):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
        assert [gpu.uuid for gpu in gpus.select_gpus()] == uuids


def test_no_driver_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.query_nvidia_smi() == []


def test_only_scripts_that_mention_a_gpu_wait_for_one() -> None:
    assert (
        gpus.needs_gpu("import torch\n")
        and gpus.needs_gpu('LGBMClassifier(device="gpu")')
        and gpus.needs_gpu("device='cuda:0'")
    )
    assert not gpus.needs_gpu("import lightgbm\nmodel = lightgbm.LGBMClassifier()\n")


LOOK = """
import json, os, time
nodes = os.listdir(DEV) if os.path.isdir(DEV) else []
nodes = [n for n in nodes if n.startswith("nvidia")]
open("seen", "w").write(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], nodes]))
time.sleep(0.4)
"""


async def play(
    box: LocalSandbox, machine: Path, name: str, n: int = 1
) -> tuple[Execution, float, float]:
    workspace = machine / name
    workspace.mkdir()
    script = f"DEV = {str(machine / 'dev')!r}\n" + LOOK
    job = Job(
        id=name,
        script=script,
        workspace=workspace,
        limits=Limits(gpus=n, wall_s=100),
        collect=["seen"],
    )
    began = time.monotonic()
    done = await box.run(job)
    return done, began, time.monotonic()


async def test_jobs_share_out_the_gpus(machine: Path) -> None:
    box = LocalSandbox(choose_tier("auto"), None, gpus.select_gpus())
    done = [
        one
        for one, *_ in await asyncio.gather(
            *(play(box, machine, f"j{index}") for index in range(5))
        )
    ]
    assert all(one.ok for one in done), done[0].output
    seen = [Path(one.files["seen"]).read_text() for one in done]
    assert all(
        len(one.gpu_ids) == 1 and one.gpu_ids[0] in text
        for one, text in zip(done, seen, strict=True)
    )
    assert {one.gpu_ids[0] for one in done} == {"GPU-aaaa", "GPU-bbbb"}
    if (
        box.tier == "bubblewrap"
    ):  # its own device and what every CUDA process needs; not the other's
        for one, text in zip(done, seen, strict=True):
            assert ("nvidia1" in text, "nvidia0" in text) == (
                one.gpu_ids == ["GPU-aaaa"],
                one.gpu_ids == ["GPU-bbbb"],
            )


async def test_a_python_of_the_scripts_own_gets_the_leased_gpu(machine: Path) -> None:
    python = make_foreign_python(machine / "env")
    box = LocalSandbox(choose_tier("auto", python=python), None, gpus.select_gpus(), python)
    assert (await box.probe()).gpus == ["NVIDIA Fake One (24 GiB)", "NVIDIA Fake Two (80 GiB)"]
    done, *_ = await play(box, machine, "leased")
    assert done.ok and done.gpu_ids[0] in Path(done.files["seen"]).read_text()
    if box.tier == "bubblewrap":
        assert Path(done.files["seen"]).read_text().count("nvidia0") <= 1


async def test_no_gpu_without_a_lease(machine: Path) -> None:
    box = LocalSandbox(choose_tier("auto"), None, gpus.select_gpus())
    done, *_ = await play(box, machine, "cpu", n=0)
    assert done.ok and done.gpu_ids == [] and '[""' in Path(done.files["seen"]).read_text()


HOLD = """
import asyncio, sys, time
from pathlib import Path
from sandbox.local import gpus
found = [gpus.Gpu(0, "GPU-aaaa", "x", 1, 0)]
async def main():
    async with gpus.lease_gpus(found, 1):
        now = time.monotonic()
        print(now, flush=True)
        await asyncio.sleep({hold})
    print(time.monotonic(), flush=True)
asyncio.run(main())
"""


def holder(machine: Path, hold: float) -> subprocess.Popen[str]:
    environment = os.environ | {"GOME_LEASES": str(machine / "leases")}
    code = HOLD.format(hold=hold)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_never_hold_one_gpu_together(machine: Path) -> None:
    spans = [
        [float(line) for line in process.communicate()[0].split()]
        for process in [holder(machine, 0.2) for _ in range(5)]
    ]
    spans.sort()
    assert all(len(span) == 2 for span in spans)
    assert all(
        before[1] <= after[0] + 0.05 for before, after in zip(spans, spans[1:], strict=False)
    )


def test_a_dead_holder_frees_its_gpu(machine: Path) -> None:
    process = holder(machine, 600)
    assert process.stdout and process.stdout.readline()
    assert try_lease(machine / "leases", "GPU-aaaa") is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lease = try_lease(machine / "leases", "GPU-aaaa")
    assert lease is not None
    lease.release()


async def test_first_come_first_served(machine: Path) -> None:
    """Also when one that waits is killed."""
    found = [gpus.Gpu(0, "GPU-aaaa", "x", 1, 0)]
    order: list[int] = []

    async def wait_turn(number: int) -> None:
        async with gpus.lease_gpus(found, 1):
            order.append(number)

    async with gpus.lease_gpus(found, 1):
        waiters = []
        for number in range(3):
            waiters.append(asyncio.create_task(wait_turn(number)))
            await asyncio.sleep(0.05)
        (machine / "leases/queue/00000000000000000000-1").write_text(
            ""
        )  # a ticket whose holder died
        waiters[1].cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert order == [0, 2]


@pytest.mark.slow
async def test_torch_trains_on_a_real_gpu(tmp_path: Path) -> None:
    """In the real tier, with the leased device alone."""
    found = gpus.detect_gpus()
    pytest.importorskip("torch")
    if not found:
        pytest.skip("no GPU here")
    box = LocalSandbox(choose_tier("auto"), None, found)
    script = (
        "import torch\nprint(torch.cuda.device_count(), torch.cuda.get_device_name(0))\n"
        "model = torch.nn.Linear(512, 1).cuda()\nx = torch.randn(4096, 512).cuda()\n"
        "y = x.sum(1, keepdim=True)\n"
        "optimiser = torch.optim.Adam(model.parameters(), 0.05)\n"
        "for _ in range(300):\n    loss = ((model(x) - y) ** 2).mean()\n"
        "    optimiser.zero_grad(); loss.backward(); optimiser.step()\n"
        "assert loss.item() < 1, loss.item()\n"
    )
    workspace = tmp_path / "w"
    workspace.mkdir()
    done = await box.run(
        Job(
            id="gpu",
            script=script,
            workspace=workspace,
            limits=Limits(gpus=1, memory_bytes=16 * 2**30),
        )
    )
    assert done.ok, done.output
    assert done.output.startswith("1 ")
