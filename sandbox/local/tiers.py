"""How strongly a script can be isolated here: each tier is tried by really running the interpreter in it with the real flags."""

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
from typing import Any

from sandbox.inside import confine
from sandbox.local import cgroup, plan
from sandbox.local.plan import Place, TierName
from sandbox.local.users import lease_user
from sandbox.protocol import Job, Limits, SandboxUnavailable

ORDER: tuple[TierName, ...] = ("bubblewrap", "userns", "landlock")
ALWAYS = ["disk (watchdog)", "output", "time"]
ENFORCED = {
    "bubblewrap": ["files", "network", "sockets", "signals", "process names"],
    "userns": ["files", "network", "abstract sockets", "signals", "process names"],
    "landlock": ["files", "network", "abstract sockets", "signals"],
    "none": [],
}
SENTENCE = {
    "bubblewrap": "bubblewrap (files, network and processes isolated; {limits})",
    "userns": "namespaces and Landlock (files, network and processes isolated; {limits}). Scripts can still connect to Unix sockets outside "
    "/run that they have rights to. `apt install bubblewrap` gives the full tier",
    "landlock": "Landlock only ({limits}). Scripts cannot read your home or private labels nor open IP sockets, but they can connect to Unix "
    "sockets that they have rights to (docker.sock, say) and see process names. `apt install bubblewrap` (in Docker also "
    "--security-opt seccomp=unconfined), or --sandbox e2b, gives the full tier",
    "none": "NO isolation ({limits}). Scripts run with your rights, see your keys' files and the network",
}
REMEDY = (
    "Scripts would run with your rights, see your keys' files and the network. Install bubblewrap (`apt install bubblewrap`; in Docker "
    "also --security-opt seccomp=unconfined; on Ubuntu 23.10 and later its AppArmor profile), use --sandbox e2b, or accept the risk with "
    "--isolation none"
)


@dataclass(frozen=True)
class Tier:
    """What isolates the scripts. `drops`: run by root, scripts run as an ordinary user where they can reach what they need."""

    name: TierName
    drops: bool = False
    network: bool = False

    @property
    def enforced(self) -> list[str]:
        found = [name for name in ENFORCED[self.name] if not (self.network and name == "network")]
        return [*found, *self.limits, *ALWAYS]

    @property
    def limits(self) -> list[str]:
        groups = cgroup.places()[1]
        memory = "memory (cgroup)" if "memory" in groups else "memory (watchdog)"
        held = self.drops or os.getuid() != 0 or "pids" in groups
        return [memory, *(["number of processes"] if held else [])]

    @property
    def sentence(self) -> str:
        limits = (
            "memory by cgroup"
            if "memory (cgroup)" in self.limits
            else "memory by watchdog, no cgroup"
        )
        limits += (
            "" if "number of processes" in self.limits else "; number of processes NOT limited"
        )
        limits += "; network open by --network" if self.network else ""
        return "Sandbox: " + SENTENCE[self.name].format(limits=limits) + "."


def choose(isolation: str, *, network: bool = False) -> Tier:
    """The strongest tier that starts here, or the one asked for. Raises SandboxUnavailable with the remedy."""
    if isolation == "none":
        return Tier("none", network=network)
    wanted = ORDER if isolation == "auto" else tuple(name for name in ORDER if name == isolation)
    reasons = []
    for name in wanted:
        tier, why = probe(name, network)
        if tier is not None:
            return tier
        reasons.append(f"{name}: {why}")
    raise SandboxUnavailable(f"no isolation available ({'; '.join(reasons)}). {REMEDY}")


@lru_cache(maxsize=16)
def probe(name: TierName, network: bool = False) -> tuple[Tier | None, str]:
    """The tier when it starts here, else why it does not."""
    if name == "bubblewrap" and shutil.which("bwrap") is None:
        return None, "bubblewrap is not installed"
    if name != "bubblewrap" and confine.landlock_abi() < 1:
        return None, "this kernel has no Landlock (Linux 5.13 or later with lsm=landlock)"
    if name != "bubblewrap" and not confine.seccomp_known():
        return None, "no seccomp filter for this processor"
    tier, why = Tier(name, network=network), "no free user id"
    if os.getuid() == 0 and (leased := lease_user()):
        uid, lease = leased
        try:
            why = start(tier, uid)
        finally:
            lease.free()
        if not why:
            return replace(tier, drops=True), ""
    why = start(tier, None)
    return (None, why) if why else (tier, "")


def start(tier: Tier, uid: int | None) -> str:
    """Runs the interpreter in the tier; empty when it came up, else what it said."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="gome-probe-") as folder, os.fdopen(reading) as report:
        os.chmod(folder, 0o755)
        job = Job(
            id="probe", script="", workspace=Path(folder), limits=Limits(network=tier.network)
        )
        plan.lay_out(job, tier.name, uid)
        place = Place(uid=uid, report=writing)
        made = plan.make(tier.name, job, place, [sys.executable, "-I", "-S", "-c", "print('ok')"])
        try:
            done = subprocess.run(
                made.command,
                env=made.environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                stdin=subprocess.DEVNULL,
                pass_fds=(writing,),
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"does not start ({error})"
        finally:
            os.close(writing)
        if done.returncode == 0 and done.stdout.strip() == "ok":
            return ""
        return said(report.readline(), done.stderr) or f"exit code {done.returncode}"


def said(report: str, stderr: str) -> str:
    """The keeper's error, else the last line of stderr."""
    value: dict[str, Any] = json.loads(report) if report else {}
    return str(value.get("error") or (stderr.strip().splitlines() or [""])[-1])[:200]
