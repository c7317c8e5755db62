"""The attacks of tests/attacks.py in every tier that starts here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from attacks import ATTACKS, Attack, Bait, Outcome, make_foreign_python, play

from sandbox.local import cgroup
from sandbox.local.backend import LocalSandbox
from sandbox.local.interpreter import find_interpreter
from sandbox.local.tiers import choose_tier, probe_tier
from sandbox.protocol import Job, Limits

TIERS = ("bubblewrap", "userns", "landlock")


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with tempfile.TemporaryDirectory(
        prefix="gome-attacks-", dir="/var/tmp", ignore_cleanup_errors=True
    ) as folder:
        os.chmod(folder, 0o755)  # open to all: isolation must not rest on file modes
        with Bait(Path(folder)) as bait:
            yield bait


async def outcome(attack: Attack, tier: str, bait: Bait) -> Outcome:
    chosen, why = probe_tier(tier)
    if chosen is None:
        pytest.skip(f"{tier} does not start here: {why}")
    return await play(attack, LocalSandbox(chosen, None), bait)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if not attack.slow], ids=lambda attack: attack.name
)
async def test_bubblewrap_stops_it(attack: Attack, bait: Bait) -> None:
    assert (await outcome(attack, "bubblewrap", bait)).detail == ""


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_every_tier_stops_the_attacks_it_promises_to_stop(
    attack: Attack, tier: str, bait: Bait
) -> None:
    found = await outcome(attack, tier, bait)
    assert found.verdict == ("reached" if tier in attack.open_in else "stopped"), found.detail


@pytest.fixture(scope="module")
def foreign() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="gome-foreign-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield make_foreign_python(Path(folder, "env"))


async def outcome_by(python: str, attack: Attack, tier: str, bait: Bait) -> Outcome:
    path = find_interpreter(python).path
    chosen, why = probe_tier(tier, False, path)
    if chosen is None:
        pytest.skip(f"{tier} does not start here: {why}")
    return await play(attack, LocalSandbox(chosen, None, None, path), bait)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", ["files", "home-venv", "home-link", "write", "proc"])
async def test_a_foreign_python_opens_no_files(
    name: str, tier: str, bait: Bait, foreign: str
) -> None:
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert (await outcome_by(foreign, attack, tier, bait)).detail == ""


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if not attack.slow], ids=lambda attack: attack.name
)
async def test_a_foreign_python_stops_what_the_tier_promises(
    attack: Attack, tier: str, bait: Bait, foreign: str
) -> None:
    found = await outcome_by(foreign, attack, tier, bait)
    assert found.verdict == ("reached" if tier in attack.open_in else "stopped"), found.detail


@pytest.mark.parametrize("name", ["memfd", "hidden-memfd", "memory-files", "sockets"])
@pytest.mark.parametrize("tier", TIERS)
async def test_memory_outside_processes_is_counted_without_a_control_group(
    name: str, tier: str, bait: Bait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "make_group", lambda *_: None)
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert (await outcome(attack, tier, bait)).detail == ""


SHARED = """
import mmap, os, time
held = []
for handle in (os.memfd_create("x"), os.open("/dev/shm/SHARED.x", os.O_CREAT | os.O_RDWR)):
    os.ftruncate(handle, 110 << 20)
    held.append(mmap.mmap(handle, 110 << 20))
for part in held:
    for i in range(0, len(part), 4096): part[i] = 1
children = []
for _ in range(3):
    if os.fork() == 0:
        print(sum(part[i] for part in held for i in range(0, len(part), 4096)))
        time.sleep(2)
        os._exit(0)
for _ in range(3): os.wait()
os.unlink("/dev/shm/SHARED.x")
print("DONE")
"""


@pytest.mark.parametrize("tier", TIERS)
async def test_shared_memory_of_an_honest_script_counts_once(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, why = probe_tier(tier)
    if chosen is None:
        pytest.skip(f"{tier} does not start here: {why}")
    monkeypatch.setattr(cgroup, "make_group", lambda *_: None)
    script = SHARED.replace("SHARED", f"gome-{os.urandom(6).hex()}")
    limits = Limits(memory_bytes=400 * 2**20, wall_s=100)  # 220 MiB; counted twice: 440
    (tmp_path / "w").mkdir()
    job = Job(id="shared", script=script, workspace=tmp_path / "w", limits=limits)
    done = await LocalSandbox(chosen, None).run(job)
    assert done.ok and "DONE" in done.output, done


@pytest.mark.parametrize("tier", TIERS[1:])
@pytest.mark.parametrize(
    "name",
    ["proc", "files", "home-venv", "home-link", "tcp", "signal", "calls", "tree-hog", "forks-exit"]
    + ["keeper", "memfd", "deleted-files", "deep-files", "set-id"],
)
async def test_weaker_tiers_stop_the_worst_attacks(name: str, tier: str, bait: Bait) -> None:
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert (await outcome(attack, tier, bait)).detail == ""


@pytest.mark.parametrize(
    "name",
    ["files", "home-venv", "home-link", "tcp", "unix", "abstract", "signal", "hard-link", "set-id"],
)
async def test_the_attacks_are_real(name: str, bait: Bait) -> None:
    """Without isolation they get through, so no row is stopped by its own faults."""
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert (await play(attack, LocalSandbox(choose_tier("none"), None), bait)).verdict == "reached"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can play as another user")
@pytest.mark.parametrize("more", [[], ["--foreign", "--quick"]], ids=["own", "foreign"])
def test_an_ordinary_user_is_as_safe(more: list[str]) -> None:
    from evals.studies.attacks import play_as_user

    found = play_as_user(["--tiers", ",".join(TIERS), "--repeat", "1", *more])
    if not found:
        pytest.skip("no interpreter that an ordinary user could reach")
    known = {attack.name: attack.open_in for attack in ATTACKS}
    wrong = [
        f"{tier} {name}: {outcome['detail']}"
        for tier, outcomes in found.items()
        for name, outcome in outcomes.items()
        if outcome["verdict"] != ("reached" if tier in known[name] else "stopped")
    ]
    assert found["bubblewrap"] and wrong == []


AGENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from sandbox.local.backend import create_local_sandbox
from sandbox.protocol import Job, Limits
SCRIPT = '''
import os, signal, time
for _ in range({children}):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv("/bin/sleep", [{mark!r}, "300"])
time.sleep(300)
'''
async def main():
    box = create_local_sandbox(isolation={tier!r}, run_dir=Path({folder!r}))
    jobs = []
    for name in ("t0s0", "t1s0"):
        (Path({folder!r}) / name).mkdir()
        place, limits = Path({folder!r}) / name, Limits(wall_s=200)
        jobs.append(box.run(Job(id=name, script=SCRIPT, workspace=place, limits=limits)))
    await asyncio.gather(*jobs)
asyncio.run(main())
"""


def with_mark(mark: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0] == mark
    ]


def kill_agent(tier: str, children: int) -> int:
    """How many of the processes of two jobs live on, 2 s after their agent was killed."""
    chosen, why = probe_tier(tier)
    if tier != "none" and chosen is None:
        pytest.skip(f"{tier} does not start here: {why}")
    mark = f"gome-left-{os.urandom(6).hex()}"
    with tempfile.TemporaryDirectory(prefix="gome-killed-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        code = AGENT.format(
            tests=str(Path(__file__).parent), folder=folder, tier=tier, mark=mark, children=children
        )
        agent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
        deadline = time.monotonic() + 120
        while len(with_mark(mark)) < 2 * children:
            assert time.monotonic() < deadline and agent.poll() is None
            time.sleep(0.1)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        time.sleep(2)
        left = with_mark(mark)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return len(left)


@pytest.mark.parametrize("tier", [*TIERS, "none"])
def test_nothing_outlives_an_agent_killed_with_9(tier: str) -> None:
    assert kill_agent(tier, children=20) == 0


@pytest.mark.slow
@pytest.mark.parametrize("tier", [*TIERS, "none"])
def test_two_traces_of_200_children_die_with_the_agent(tier: str) -> None:
    assert kill_agent(tier, children=200) == 0


def test_the_page_has_a_row_for_every_attack() -> None:
    page = (Path(__file__).parents[1] / "docs/sandbox.md").read_text()
    assert [attack.title for attack in ATTACKS if f"| {attack.title} |" not in page] == []


ORPHANS = """
import os, signal, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", [os.environ["MARK"], "300"])
        os._exit(0)
open("begun", "w").close()
time.sleep(300)
"""


async def test_a_resumed_run_ends_leftovers_of_a_killed_one(tmp_path: Path) -> None:
    """Without a PID namespace around the tree, and with agent and keeper killed at once."""
    mark = f"gome-left-{os.urandom(6).hex()}"
    code = AGENT.replace("SCRIPT = ", "UNUSED = ").format(
        tests="", folder=str(tmp_path), tier="none", mark=mark, children=0
    )
    code = code.replace("script=SCRIPT", f"env={{'MARK': {mark!r}}}, script={ORPHANS!r}")
    agent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    while len(with_mark(mark)) < 10:
        assert agent.poll() is None
        time.sleep(0.1)
    for keeper in psutil.Process(agent.pid).children():
        keeper.kill()
        agent.send_signal(signal.SIGKILL)
    agent.wait()  # another sandbox of this machine may end some of them before ours does
    LocalSandbox(choose_tier("none"), tmp_path)
    time.sleep(0.3)
    assert with_mark(mark) == [] and list((tmp_path / "pids").iterdir()) == []
