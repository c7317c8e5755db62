"""Tiers are probed: one that does not start gives way to the next, and without any Gome refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.inside import confine
from sandbox.local import tiers
from sandbox.local.backend import LocalSandbox
from sandbox.local.cores import lease_cores
from sandbox.local.users import others_can_reach, others_can_read
from sandbox.protocol import Job, Limits, SandboxUnavailableError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forget the tiers that were probed, before the test and after it."""
    tiers.probe_tier.cache_clear()
    yield monkeypatch
    tiers.probe_tier.cache_clear()


def test_without_bubblewrap_the_next_tier_is_taken(
    unprobed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if confine.landlock_abi() < 1:
        pytest.skip("no Landlock here")
    unprobed.setenv("PATH", str(tmp_path))
    chosen = tiers.choose_tier("auto")
    assert chosen.name in ("userns", "landlock")
    assert "apt install bubblewrap" in chosen.sentence and "files" in chosen.enforced


def test_where_no_tier_starts_gome_refuses_with_the_remedy(
    unprobed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unprobed.setenv("PATH", str(tmp_path))
    unprobed.setattr(confine, "landlock_abi", lambda: 0)
    with pytest.raises(SandboxUnavailableError) as refusal:
        tiers.choose_tier("auto")
    for words in (
        "bubblewrap is not installed",
        "no Landlock",
        "--security-opt seccomp=unconfined",
        "--sandbox e2b",
        "--isolation none",
    ):
        assert words in str(refusal.value)
    assert tiers.choose_tier("none").sentence.startswith("Sandbox: NO isolation")


RESTRICTED = """
from sandbox.inside import confine
from sandbox.local.tiers import probe_tier
# as in a container: no namespaces, no mounts, while a process may still set its dumpable flag
confine.PRCTL = (0x3FFFFFFF, 0x3FFFFFFF)
confine.apply_seccomp([confine.UNIX, confine.INET, confine.INET6, confine.NETLINK])
for name in ("bubblewrap", "userns", "landlock"):
    tier, why = probe_tier(name)
    print(name, bool(tier), why)
"""


@pytest.mark.skipif(
    confine.landlock_abi() < 1 or not confine.is_seccomp_supported(),
    reason="no Landlock or no filter for this processor",
)
def test_where_namespaces_are_refused_landlock_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESTRICTED], cwd=ROOT, capture_output=True, text=True, timeout=150
    )
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["bubblewrap", "False"],
        ["userns", "False"],
        ["landlock", "True"],
    ], done.stdout + done.stderr
    assert len(lines[1].split()) > 2  # says why


def test_an_unknown_tier_for_this_machine_is_named(
    unprobed: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unprobed.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SandboxUnavailableError,
        match=r"no isolation available \(bubblewrap: bubblewrap is not installed\)",
    ):
        tiers.choose_tier("bubblewrap")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can drop to another user")
async def test_two_jobs_of_root_are_two_ordinary_users(tmp_path: Path) -> None:
    tier, why = tiers.probe_tier("bubblewrap")
    if tier is None or not tier.drops_root:
        pytest.skip(why or "stays root here")
    box = LocalSandbox(tier, None)
    jobs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        script = "import os, time\nprint(os.getuid())\ntime.sleep(1)"
        jobs.append(
            Job(id=name, script=script, workspace=tmp_path / name, limits=Limits(wall_s=100))
        )
    numbers = {int(done.output) for done in await asyncio.gather(*map(box.run, jobs))}
    assert len(numbers) == 2 and min(numbers) >= 64100


def test_cores_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOME_LEASES", str(tmp_path))
    there = sorted(os.sched_getaffinity(0))
    with lease_cores(1) as first, lease_cores(1) as second:
        assert len(first) == 1 and first != second and set(first + second) <= set(there)
        with lease_cores(len(there)) as none:
            assert none == []
    with lease_cores(len(there)) as whole:
        assert whole == there


def test_reachability_for_other_users_is_detected(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    file = folder / "train.csv"
    file.write_text("a")
    assert others_can_read(folder)
    file.chmod(0o600)
    assert not others_can_read(folder) and not others_can_read(file)
    file.chmod(0o644)
    folder.chmod(0o700)
    assert others_can_read(file) and not others_can_reach(file)


async def test_every_execution_records_its_isolation(tmp_path: Path) -> None:
    box = LocalSandbox(tiers.choose_tier("auto"), None)
    (tmp_path / "w").mkdir()
    done = await box.run(Job(id="w", script="print(1)", workspace=tmp_path / "w"))
    host = await box.probe()
    assert done.tier == box.tier and done.enforced == host.enforced and "files" in done.enforced
    assert host.notice.startswith("Sandbox: ")
