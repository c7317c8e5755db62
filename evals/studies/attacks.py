"""Run the attack list of tests/attacks.py in every tier that starts here.

    python -m evals.studies.attacks [--tiers bubblewrap,userns] [--only files,tcp] [--quick]
                                    [--repeat 5] [--foreign | --python PATH] [--write]

Every attack is repeated: a race that is won once in five is not stopped. A cell of the table says
in how many repetitions the outcome was seen. --write puts the table into docs/sandbox.md. As root
the list is also run as an ordinary user (20001), on a copy that this user can read, by an
interpreter behind a link in that user's home. With --python scripts run by another interpreter, of
`gome env` for example, which that user must be able to reach; the page then gets a line per tier.
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

from evals.harness.pages import table_head, table_row

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
FRESH = "fresh"
TIERS = ("bubblewrap", "userns", "landlock", "none")
BEGIN = "<!-- attacks: begin (python -m evals.studies.attacks --write) -->"
END = "<!-- attacks: end -->"
PYTHON_BEGIN = "<!-- attacks by another interpreter: begin -->"
PYTHON_END = "<!-- attacks by another interpreter: end -->"

Results = dict[str, dict[str, dict[str, Any]]]  # tier -> attack -> outcome
Table = dict[str, dict[str, str]]  # title -> column -> outcome


async def play_attacks(
    tiers: list[str], only: list[str], quick: bool, repeat: int, python: str
) -> Results:
    """Run the attacks in each tier that starts; return tier -> attack -> outcome.

    `python`: the interpreter of the scripts; FRESH: of a fresh virtual environment; empty: Gome's.
    """
    from attacks import ATTACKS, Bait, make_foreign_python

    from sandbox.local.backend import create_local_sandbox
    from sandbox.protocol import SandboxUnavailableError

    chosen = [attack for attack in ATTACKS if not only or attack.name in only]
    results: Results = {}
    for tier in tiers:
        with tempfile.TemporaryDirectory(
            prefix="gome-attacks-", dir="/var/tmp", ignore_cleanup_errors=True
        ) as folder:
            Path(folder).chmod(0o755)
            path = make_foreign_python(Path(folder, "foreign")) if python == FRESH else python
            try:
                sandbox = create_local_sandbox(isolation=tier, python=path or None)
            except SandboxUnavailableError as error:
                print(f"{tier}: {error}", file=sys.stderr)
                continue
            print(sandbox.isolation.sentence, file=sys.stderr)
            results[tier] = {}
            with Bait(Path(folder)) as bait:
                for attack in chosen:
                    if quick and attack.slow:
                        continue
                    outcome = await play_repeatedly(attack, sandbox, bait, repeat)
                    results[tier][attack.name] = outcome
                    line = f"{tier:<11} {outcome['seen']:<11} {outcome['seconds']:6.2f} s"
                    print(f"{line}  {attack.name}  {outcome['detail']}", file=sys.stderr)
    return results


async def play_repeatedly(attack: Any, sandbox: Any, bait: Any, repeat: int) -> dict[str, Any]:
    """Return the worst of several outcomes; `seen`: in how many of them."""
    from attacks import play

    outcomes = [await play(attack, sandbox, bait) for _ in range(repeat)]
    worst = next((one for one in outcomes if one.verdict != "stopped"), outcomes[0])
    n_worst = sum(one.verdict == worst.verdict for one in outcomes)
    return asdict(worst) | {"seen": f"{worst.verdict} {n_worst}/{repeat}"}


def play_as_user(arguments: list[str]) -> Results:
    """Run the attacks as an ordinary user; empty where such a user can reach no interpreter."""
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    if not python.exists():
        print(f"no {python}: the attacks are not run as an ordinary user", file=sys.stderr)
        return {}
    with tempfile.TemporaryDirectory(prefix="gome-attacks-copy-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        copy_checkout(Path(folder))
        home = make_linked_home(Path(folder), python)
        process = subprocess.run(
            [str(home / "bin/python3"), "-m", "evals.studies.attacks", "--json", *arguments],
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{folder}:{folder}/packages",
                "HOME": str(home),
            },
            user=USER,
            group=USER,
            extra_groups=[],
            stdout=subprocess.PIPE,
            check=True,
        )
    results: Results = json.loads(process.stdout)
    return results


def make_linked_home(folder: Path, python: Path) -> Path:
    """Make a home of this user, with the interpreter behind a link in its bin."""
    home = folder / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to(python)
    for path in (home, home / "bin"):
        os.chown(path, USER, USER)
    home.chmod(0o700)
    return home


def copy_checkout(folder: Path) -> None:
    """Copy what the attacks need into `folder`, readable by every user."""
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


def attack_table(columns: Results, before: Table) -> str:
    """Return the table; what was not run now keeps its outcome of `before`.

    Rows are attacks, columns tier and user.
    """
    from attacks import ATTACKS

    names = {*columns, *(name for row in before.values() for name in row)}
    ordered = sorted(names, key=lambda name: TIERS.index(name.split(",")[0]))
    lines = table_head(["attack", *ordered])
    for attack in ATTACKS:
        cells = []
        for name in ordered:
            outcome = columns.get(name, {}).get(attack.name)
            old = before.get(attack.title, {}).get(name, "not run")
            cells.append(outcome["seen"] if outcome else old)
        lines.append(table_row([attack.title, *cells]))
    return "\n".join(lines)


def read_attack_table() -> Table:
    """Return the table of docs/sandbox.md: title -> column -> outcome."""
    text = (ROOT / "docs/sandbox.md").read_text().partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}


def python_table(columns: Results) -> str:
    """Return a line per tier and user: what was stopped every time, and what was not."""
    lines = table_head(["tier, user", "attacks", "stopped every time", "not"])
    for name in sorted(columns, key=lambda name: TIERS.index(name.split(",")[0])):
        outcomes = columns[name]
        left = [f"{attack} {each['seen']}" for attack, each in outcomes.items() if failed(each)]
        n_stopped = len(outcomes) - len(left)
        lines.append(table_row([name, str(len(outcomes)), str(n_stopped), "; ".join(left)]))
    return "\n".join(lines)


def failed(outcome: dict[str, Any]) -> bool:
    """Whether an attack was not stopped in every repetition."""
    return not str(outcome["seen"]).startswith("stopped")


def write_attack_table(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace a table of docs/sandbox.md."""
    page = ROOT / "docs/sandbox.md"
    before, mark, rest = page.read_text().partition(begin)
    if not mark or end not in rest:
        raise ValueError(f"{page} needs the lines {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def main() -> None:
    options = parse_attack_options()
    only = [name for name in options.only.split(",") if name]
    tiers = options.tiers.split(",")
    python = FRESH if options.foreign else options.python
    own = asyncio.run(play_attacks(tiers, only, options.quick, options.repeat, python))
    if options.json:
        print(json.dumps(own))
        return
    is_root = os.getuid() == 0
    who = "root" if is_root else "user"
    columns = {f"{tier}, {who}": outcomes for tier, outcomes in own.items()}
    if is_root:
        arguments = ["--tiers", options.tiers, "--only", options.only]
        arguments += ["--repeat", str(options.repeat)]
        arguments += ["--quick"] if options.quick else []
        arguments += ["--foreign"] if options.foreign else ["--python", options.python]
        as_user = play_as_user(arguments)
        columns |= {f"{tier}, user": outcomes for tier, outcomes in as_user.items()}
    print(attack_table(columns, {}))
    if python:
        print(python_table(columns))
    if options.write and python:
        write_attack_table(python_table(columns), PYTHON_BEGIN, PYTHON_END)
    elif options.write:
        write_attack_table(attack_table(columns, read_attack_table()))


def parse_attack_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiers", default=",".join(TIERS), help="comma separated")
    parser.add_argument("--only", default="", help="names of attacks, comma separated")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of every attack")
    parser.add_argument("--quick", action="store_true", help="skip slow attacks")
    scripts = parser.add_mutually_exclusive_group()
    scripts.add_argument(
        "--foreign", action="store_true", help="run scripts by a virtual environment of their own"
    )
    scripts.add_argument("--python", default="", help="run scripts by this interpreter")
    parser.add_argument("--json", action="store_true", help="print this user's outcomes as JSON")
    parser.add_argument("--write", action="store_true", help="put the table into docs/sandbox.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
