"""Runs the attack list of tests/attacks.py in every tier that starts here and writes the table of docs/sandbox.md.

    python -m evals.studies.attacks [--tiers bubblewrap,userns] [--only files,tcp] [--quick] [--write]

As root the list is also played by an ordinary user (20001), on a copy that this user can read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
USER = 20001
NEEDED = (
    "pydantic",
    "pydantic_core",
    "psutil",
    "annotated_types",
    "typing_extensions.py",
    "typing_inspection",
)
TIERS = ("bubblewrap", "userns", "landlock", "none")
BEGIN, END = (
    "<!-- attacks: begin (python -m evals.studies.attacks --write) -->",
    "<!-- attacks: end -->",
)

Results = dict[str, dict[str, dict[str, Any]]]  # tier -> attack -> outcome


async def play_all(tiers: list[str], only: list[str], quick: bool) -> Results:
    from attacks import ATTACKS, Bait, play

    from sandbox.local.backend import make_local
    from sandbox.protocol import SandboxUnavailable

    found: Results = {}
    for tier in tiers:
        try:
            sandbox = make_local(isolation=tier)
        except SandboxUnavailable as error:
            print(f"{tier}: {error}", file=sys.stderr)
            continue
        print(sandbox.chosen.sentence, file=sys.stderr)
        with tempfile.TemporaryDirectory(
            prefix="gome-attacks-", dir="/var/tmp", ignore_cleanup_errors=True
        ) as folder:
            os.chmod(folder, 0o755)
            with Bait(Path(folder)) as bait:
                found[tier] = {}
                for attack in ATTACKS:
                    if (only and attack.name not in only) or (quick and attack.slow):
                        continue
                    outcome = await play(attack, sandbox, bait)
                    found[tier][attack.name] = asdict(outcome)
                    print(
                        f"{tier:<11} {outcome.verdict:<8} {outcome.seconds:6.2f} s  {attack.name}  {outcome.detail}",
                        file=sys.stderr,
                    )
    return found


def play_as_user(arguments: list[str]) -> Results:
    """The same by an ordinary user. Empty where no interpreter can be reached by one."""
    python = f"/usr/bin/python3.{sys.version_info.minor}"
    if not os.path.exists(python):
        print(f"no {python}: the list is not played as an ordinary user", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory(prefix="gome-attacks-copy-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        copy(Path(folder))
        command = [python, "-m", "evals.studies.attacks", "--json", *arguments]
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{folder}:{folder}/packages",
            "HOME": "/nonexistent",
        }
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            user=USER,
            group=USER,
            extra_groups=[],
            stdout=subprocess.PIPE,
            check=True,
        )
    found: Results = json.loads(done.stdout)
    return found


def copy(folder: Path) -> None:
    for name in ("sandbox", "evals"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests/attacks.py", folder / "tests")
    import pydantic

    packages = Path(pydantic.__file__).parents[1]
    for name in NEEDED:
        place = packages / name
        target = folder / "packages" / name
        if place.is_dir():
            shutil.copytree(place, target)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(place, target)
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)


def table(columns: dict[str, dict[str, dict[str, Any]]], before: dict[str, dict[str, str]]) -> str:
    """Rows: attacks; columns: tier and user. What was not played now keeps the outcome that stands there."""
    from attacks import ATTACKS

    names = sorted(
        {*columns, *(name for row in before.values() for name in row)},
        key=lambda name: TIERS.index(name.split(",")[0]),
    )
    lines = ["| attack | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for attack in ATTACKS:
        kept = before.get(attack.title, {})
        played = {
            name: outcomes[attack.name]["verdict"]
            for name, outcomes in columns.items()
            if attack.name in outcomes
        }
        lines.append(
            f"| {attack.title} | "
            + " | ".join(played.get(name) or kept.get(name) or "not played" for name in names)
            + " |"
        )
    return "\n".join(lines)


def standing() -> dict[str, dict[str, str]]:
    """The table of the page: title -> column -> outcome."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/sandbox.md")
        .read_text()
        .partition(BEGIN)[2]
        .partition(END)[0]
        .splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}


def write(text: str) -> None:
    page = ROOT / "docs/sandbox.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiers", default=",".join(TIERS))
    parser.add_argument("--only", default="", help="names of attacks, separated by commas")
    parser.add_argument("--quick", action="store_true", help="leave out what takes longer")
    parser.add_argument("--json", action="store_true", help="outcomes of this user alone, as JSON")
    parser.add_argument("--write", action="store_true", help="put the table into docs/sandbox.md")
    options = parser.parse_args()
    own = asyncio.run(
        play_all(
            options.tiers.split(","),
            [name for name in options.only.split(",") if name],
            options.quick,
        )
    )
    if options.json:
        print(json.dumps(own))
        return
    who = "root" if os.getuid() == 0 else "user"
    columns = {f"{tier}, {who}": outcomes for tier, outcomes in own.items()}
    if os.getuid() == 0:
        given = [
            "--tiers",
            options.tiers,
            "--only",
            options.only,
            *(["--quick"] if options.quick else []),
        ]
        columns |= {f"{tier}, user": outcomes for tier, outcomes in play_as_user(given).items()}
    print(table(columns, {}))
    if options.write:
        write(table(columns, standing()))


if __name__ == "__main__":
    main()
