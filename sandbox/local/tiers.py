"""How strongly a script can be isolated here: each tier is tried by running Python in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sandbox.inside import confine
from sandbox.inside.specs import KeeperReport
from sandbox.local import cgroup, plan
from sandbox.local.plan import Placement, TierName
from sandbox.local.users import lease_user
from sandbox.protocol import Job, Limits, SandboxUnavailableError

TIER_ORDER: tuple[TierName, ...] = ("bubblewrap", "userns", "landlock")
ALWAYS_ENFORCED = ["disk (watchdog)", "output", "time"]
ENFORCED_BY_TIER = {
    "bubblewrap": ["files", "network", "sockets", "signals", "process names"],
    "userns": ["files", "network", "abstract sockets", "signals", "process names"],
    "landlock": ["files", "network", "abstract sockets", "signals"],
    "none": [],
}
TIER_SENTENCES = {
    "bubblewrap": "bubblewrap (files, network and processes isolated; {limits})",
    "userns": (
        "namespaces and Landlock (files, network and processes isolated; {limits}). Scripts can "
        "still connect to Unix sockets outside /run that they have rights to. "
        "`apt install bubblewrap` gives the full tier"
    ),
    "landlock": (
        "Landlock only ({limits}). Scripts cannot read your home or private labels nor open IP "
        "sockets, but they can connect to Unix sockets that they have rights to (for example "
        "docker.sock) and see process names. `apt install bubblewrap` (in Docker also "
        "--security-opt seccomp=unconfined), or --sandbox e2b, gives the full tier"
    ),
    "none": (
        "NO isolation ({limits}). Scripts run with your rights, see your keys' files and the "
        "network"
    ),
}
UNSTOPPED_BY_TIER = {
    "bubblewrap": "holes in the kernel itself, which scripts share with you",
    "userns": (
        "Unix sockets by path outside /run that you may use, changed modes of your files, and "
        "holes in the kernel"
    ),
    "landlock": (
        "Unix sockets by path that you may use (docker.sock), changed modes of your files, files "
        "left in /dev/shm, names of processes, and holes in the kernel"
    ),
    "none": "nearly everything: scripts have your rights, your files, your keys and the network",
    "e2b": "files that an earlier script of the run left in /tmp or /dev/shm of a reused VM",
}
UNCOUNTED = (
    "without a memory control group, also memory that no process shows (pages unmapped from a "
    "shared mapping, files in flight through sockets, the kernel's own)"
)
REMEDY = (
    "Scripts would run with your rights, see your keys' files and the network. Install bubblewrap "
    "(`apt install bubblewrap`; in Docker also --security-opt seccomp=unconfined; on Ubuntu 23.10 "
    "and later its AppArmor profile), use --sandbox e2b, or accept the risk with --isolation none"
)


@dataclass(frozen=True)
class Tier:
    """A way to isolate scripts.

    `drops_root`: run by root, scripts run as an ordinary user if it can reach what they need.
    """

    name: TierName
    drops_root: bool = False
    network: bool = False

    @property
    def enforced(self) -> list[str]:
        """Everything that is enforced on a script, in words."""
        names = ENFORCED_BY_TIER[self.name]
        names = [name for name in names if not (self.network and name == "network")]
        return [*names, *self.limits, *ALWAYS_ENFORCED]

    @property
    def limits(self) -> list[str]:
        """The limits among them that depend on the machine."""
        groups = cgroup.find_group_parents()[1]
        memory = "memory (cgroup)" if "memory" in groups else "memory (watchdog)"
        counts_processes = self.drops_root or os.getuid() != 0 or "pids" in groups
        return [memory, *(["number of processes"] if counts_processes else [])]

    @property
    def sentence(self) -> str:
        """What the tier stops and what it does not, for the user."""
        limits = (
            "memory by cgroup"
            if "memory (cgroup)" in self.limits
            else "memory by watchdog, no cgroup"
        )
        limits += (
            "" if "number of processes" in self.limits else "; number of processes NOT limited"
        )
        limits += "; network open by --network" if self.network else ""
        return "Sandbox: " + TIER_SENTENCES[self.name].format(limits=limits) + "."


def describe_unstopped(tier: str, limits: list[str]) -> str:
    """Return one line: what a tier does not stop; `limits` as of `Tier.limits` or a host."""
    line = UNSTOPPED_BY_TIER.get(tier.removeprefix("ray/"), "unknown until a node answers")
    return f"{line}; {UNCOUNTED}" if "memory (watchdog)" in limits and tier != "e2b" else line


def choose_tier(isolation: str, *, network: bool = False, python: str = "") -> Tier:
    """Return the strongest tier that starts here (`auto`), or the one named.

    `python`: path of the scripts' own interpreter, if they have one.

    Raises:
        SandboxUnavailableError: none of them starts; the message has the reasons and the remedy.
    """
    if isolation == "none":
        return Tier("none", network=network)
    wanted = (
        TIER_ORDER
        if isolation == "auto"
        else tuple(name for name in TIER_ORDER if name == isolation)
    )
    reasons = []
    for name in wanted:
        tier, why = probe_tier(name, network, python)
        if tier is not None:
            return tier
        reasons.append(f"{name}: {why}")
    if python and any(probe_tier(name, network)[0] for name in wanted):
        raise SandboxUnavailableError(
            f"{python} does not start in the sandbox ({'; '.join(reasons)}), where Gome's own "
            "Python does; use another Python: `gome env create NAME` makes an environment"
        )
    raise SandboxUnavailableError(f"no isolation available ({'; '.join(reasons)}). {REMEDY}")


@lru_cache(maxsize=16)
def probe_tier(name: TierName, network: bool = False, python: str = "") -> tuple[Tier | None, str]:
    """Return the tier if it starts here, else None and the reason why it does not."""
    if name == "bubblewrap" and shutil.which("bwrap") is None:
        return None, "bubblewrap is not installed"
    if name != "bubblewrap" and confine.landlock_abi() < 1:
        return None, "this kernel has no Landlock (Linux 5.13 or later with lsm=landlock)"
    if name != "bubblewrap" and not confine.is_seccomp_supported():
        return None, "no seccomp filter for this processor"
    tier, why = Tier(name, network=network), "no free user id"
    if os.getuid() == 0 and (leased := lease_user()):
        uid, lease = leased
        try:
            why = try_tier(tier, uid, python)
        finally:
            lease.release()
        if not why:
            return replace(tier, drops_root=True), ""
    why = try_tier(tier, None, python)
    return (None, why) if why else (tier, "")


def try_tier(tier: Tier, uid: int | None, python: str = "") -> str:
    """Run Python in the tier with the real flags; return why it fails, or an empty string."""
    report_in, report_out = os.pipe()
    with (
        tempfile.TemporaryDirectory(prefix="gome-probe-") as folder,
        os.fdopen(report_in) as report,
    ):
        workspace = Path(folder)
        workspace.chmod(0o755)
        job = Job(id="probe", script="", workspace=workspace, limits=Limits(network=tier.network))
        plan.lay_out_workspace(job, tier.name, uid)
        place = Placement(uid=uid, report=report_out, python=python)
        command = [python or sys.executable, "-I", "-S", "-c", "print('ok')"]
        launch = plan.make_plan(tier.name, job, place, command)
        try:
            probe = subprocess.run(
                launch.command,
                env=launch.environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                stdin=subprocess.DEVNULL,
                pass_fds=(report_out,),
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"does not start ({error})"
        finally:
            os.close(report_out)
        if probe.returncode == 0 and probe.stdout.strip() == "ok":
            return ""
        return failure_reason(report.readline(), probe.stderr) or f"exit code {probe.returncode}"


def failure_reason(report: str, stderr: str) -> str:
    """Return the error in the keeper's report, else the last line of stderr."""
    value: KeeperReport = json.loads(report) if report else {}
    return str(value.get("error") or (stderr.strip().splitlines() or [""])[-1])[:200]
