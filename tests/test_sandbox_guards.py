"""Guards of the local sandbox that stand behind others: each is tried with the other one open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS, Bait, play

from sandbox.inside import confine, keeper
from sandbox.local import bwrap, cgroup
from sandbox.local.backend import LocalSandbox
from sandbox.local.interpreter import find_interpreter_needs
from sandbox.local.leases import lease_folder
from sandbox.local.plan import TierName, write_new_file
from sandbox.local.tiers import Tier, probe_tier, try_tier
from sandbox.protocol import Execution, Job, Limits, SandboxUnavailableError

MIB = 2**20
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can play both users")


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with tempfile.TemporaryDirectory(
        prefix="gome-guards-", dir="/var/tmp", ignore_cleanup_errors=True
    ) as folder:
        os.chmod(folder, 0o755)
        with Bait(Path(folder)) as bait:
            yield bait


def opened(name: TierName) -> Tier:
    tier, why = probe_tier(name)
    if tier is None:
        pytest.skip(f"{name} does not start here: {why}")
    return tier


async def ran(script: str, tier: Tier, folder: Path, **limits: Any) -> Execution:
    (folder / "job").mkdir()
    job = Job(
        id="job",
        script=script,
        workspace=folder / "job",
        limits=Limits.model_validate({"wall_s": 60, **limits}),
    )
    return await LocalSandbox(tier, None).run(job)


async def outcome(name: str, tier: Tier, bait: Bait) -> str:
    attack = next(attack for attack in ATTACKS if attack.name == name)
    return (await play(attack, LocalSandbox(tier, None), bait)).detail


# scripts that stay root, because their data are closed to others: no file mode protects anything


@as_root
@pytest.mark.parametrize(
    "name",
    ["kernel-files", "write", "files", "shadow", "rights", "device", "proc", "forge", "calls"],
)
async def test_bubblewrap_stops_a_script_that_stays_root(name: str, bait: Bait) -> None:
    tier = Tier("bubblewrap")
    if why := try_tier(tier, None):
        pytest.skip(f"bubblewrap does not start here without another user: {why}")
    assert await outcome(name, tier, bait) == ""


LOOK = """
import os
ALLOWED = {allowed!r}
def look(folder):
    if folder == "/etc" and not os.access(folder, os.R_OK):
        return
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if path in ALLOWED:
            continue
        if any(one.startswith(path + "/") for one in ALLOWED) and not os.path.islink(path):
            look(path)
        elif not os.path.islink(path):
            print("UNEXPECTED", path)
look("/")
print("SEEN")
"""


async def test_bubblewrap_mounts_the_allow_list_and_no_more(tmp_path: Path) -> None:
    python = find_interpreter_needs().paths
    system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/dev", "/proc"]
    etc = [f"/etc/{name}" for name in bwrap.ETC_NAMES]
    allowed = [*system, *etc, "/job", "/tmp", bwrap.TOOLS, *python]
    done = await ran(LOOK.format(allowed=allowed), opened("bubblewrap"), tmp_path)
    assert done.output == "SEEN\n", done.output


@pytest.mark.parametrize("name", ["bubblewrap", "userns"])
async def test_a_script_has_namespaces_of_its_own(name: TierName, tmp_path: Path) -> None:
    script = (
        "import os\nfor name in ('ipc', 'mnt', 'net', 'pid', 'uts'):\n"
        "    print(os.readlink(f'/proc/self/ns/{name}'))"
    )
    done = await ran(script, opened(name), tmp_path)
    ours = [os.readlink(f"/proc/self/ns/{each}") for each in ("ipc", "mnt", "net", "pid", "uts")]
    assert len(done.output.split()) == 5 and not set(ours) & set(done.output.split())


# without a control group the watchdog and the resource limits are alone


@pytest.mark.parametrize("name", ["shared-hog", "tree-hog", "fork-cap"])
async def test_limits_hold_without_a_control_group(
    name: str, bait: Bait, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = opened("bubblewrap")
    if name == "fork-cap" and os.getuid() == 0 and not tier.drops_root:
        pytest.skip("the number of processes of root is not limited without a control group")
    monkeypatch.setattr(cgroup, "make_group", lambda *_: None)
    assert await outcome(name, tier, bait) == ""


async def test_too_much_memory_is_an_error_that_a_script_can_catch(tmp_path: Path) -> None:
    script = "try:\n    bytearray(2 << 30)\nexcept MemoryError:\n    print('caught')"
    done = await ran(script, opened("bubblewrap"), tmp_path, memory_bytes=256 * MIB)
    assert (done.ok, done.output) == (True, "caught\n")


async def test_one_large_file_is_an_error_before_the_watchdog_looks(tmp_path: Path) -> None:
    script = (
        "try:\n    with open('big', 'wb') as file:\n        file.truncate(65 << 20)\n"
        "except OSError as error:\n    print(error.errno)"
    )
    done = await ran(script, opened("bubblewrap"), tmp_path, disk_bytes=64 * MIB)
    assert done.output == "27\n"  # EFBIG


def test_script_and_inputs_are_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    for name in ("outside", "link", "dangling"):
        with pytest.raises(FileExistsError):
            write_new_file(tmp_path / name, "theirs")
    assert (tmp_path / "outside").read_text() == "mine" and not (tmp_path / "new").exists()


@as_root
def test_a_folder_of_leases_that_somebody_else_owns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leases").mkdir()
    os.chown(tmp_path / "leases", 64099, 64099)
    monkeypatch.setenv("GOME_LEASES", str(tmp_path / "leases"))
    with pytest.raises(SandboxUnavailableError, match="belongs to another user"):
        lease_folder()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("GOME_LEASES", str(tmp_path / "link"))
    with pytest.raises(SandboxUnavailableError, match="belongs to another user"):
        lease_folder()


def test_no_filter_means_no_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    probe_tier.cache_clear()
    monkeypatch.setattr(confine, "is_seccomp_supported", lambda: False)
    try:
        assert probe_tier("landlock")[0] is None and probe_tier("userns")[0] is None
    finally:
        probe_tier.cache_clear()


def test_a_keeper_without_a_pid_namespace_signals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(keeper, "send_signal", lambda pid, number: sent.append(pid))
    inode = os.stat("/proc/self/ns/pid").st_ino
    spec: Any = {"sweep": False, "agent_namespace": inode}
    with pytest.raises(OSError, match="no PID namespace of its own"):
        keeper.check_namespace(spec)
    keeper.check_namespace(spec | {"sweep": True})
    keeper.check_namespace(spec | {"agent_namespace": inode + 1})
    assert sent == []


async def test_a_job_that_cannot_be_planned_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = opened("bubblewrap")
    assert (await ran("print(1)", tier, tmp_path)).exit_code == 0  # opens what is opened once
    made: list[Any] = []
    real = cgroup.make_group

    def make_group(*given: Any) -> Any:
        made.append(real(*given))
        return made[-1]

    def refuse(*_: object) -> None:
        raise OSError("no plan")

    monkeypatch.setattr(cgroup, "make_group", make_group)
    monkeypatch.setattr("sandbox.local.plan.make_plan", refuse)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(OSError, match="no plan"):
            await ran("print(1)", tier, tmp_path / str(number))
    assert len(os.listdir("/proc/self/fd")) == before
    folders = [folder for group in made if group for folder in group.folders.values()]
    assert len(made) == 3 and not any(folder.exists() for folder in folders)
