"""Mutation check of the guards: weaken one in a copy of the checkout; a test must notice it.

python -m tools.mutants --list           # the mutants of tools/weakenings.py
python -m tools.mutants --only NAME ...  # some of them, else all: slow, run it alone
python -m tools.mutants --write          # put the results into docs/threat-model.md

Exit code 1 if a mutant survives, is stale (its old text is not in its file once, or the new one
does not compile) or cannot be judged (its tests fail without it, or are skipped). The working tree
is never changed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from tools.weakenings import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "threat-model.md"
BEGIN = "<!-- mutants: begin (python -m tools.mutants --write) -->"
END = "<!-- mutants: end -->"
TIME_S = 240
Verdict = Literal["noticed", "survived", "stale", "unclear"]
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class Outcome(NamedTuple):
    """What became of a mutant; `test`: the one that noticed it, or why it cannot be judged."""

    name: str
    verdict: Verdict
    test: str = ""


class Checkout:
    """A copy of the working tree in a temporary folder, where mutants are applied in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passing: dict[tuple[str, ...], bool] = {}

    def judge(self, mutant: Mutant) -> Outcome:
        """Apply a mutant, run its tests, and put the file back."""
        path = self.folder / mutant.file
        text = path.read_text() if path.is_file() else ""
        if fault := find_fault(mutant, text):
            return Outcome(mutant.name, "stale", fault)
        if not self.passes(mutant.tests):
            return Outcome(mutant.name, "unclear", "its tests fail without the mutant")
        path.write_text(text.replace(mutant.old, mutant.new))
        try:
            code, said = run_tests(self.folder, mutant.tests)
        finally:
            path.write_text(text)
        if code == 0 and " passed" not in said:
            return Outcome(mutant.name, "unclear", "with the mutant its tests are skipped")
        if code == 0:
            return Outcome(mutant.name, "survived")
        found = FAILURE.search(said)
        return Outcome(mutant.name, "noticed", found[1] if found else mutant.tests[0])

    def passes(self, tests: tuple[str, ...]) -> bool:
        """Whether these tests pass, and are not all skipped, without a mutant."""
        if tests not in self.passing:
            code, said = run_tests(self.folder, tests)
            self.passing[tests] = code == 0 and " passed" in said
        return self.passing[tests]


def find_fault(mutant: Mutant, text: str) -> str:
    """Return why a mutant does not fit the text of its file; empty if it does."""
    if text.count(mutant.old) != 1:
        return f"found {text.count(mutant.old)} times"
    try:
        compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    except SyntaxError as error:
        return f"does not compile ({error.msg})"
    return ""


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy until the first failure; return exit code and output.

    They have a home of their own: what a weakened Gome trusts is not trusted in the next run.
    """
    with tempfile.TemporaryDirectory(prefix="gome-home-", ignore_cleanup_errors=True) as home:
        return _run_tests(folder, tests, home)


def _run_tests(folder: Path, tests: Sequence[str], home: str) -> tuple[int, str]:
    more = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "HOME": home}
    environment = os.environ | more
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--timeout=150", *tests]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=TIME_S)
    except subprocess.TimeoutExpired:  # hung: noticed
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    end_leftovers(folder)
    return process.returncode, said


def end_leftovers(folder: Path) -> None:
    """Kill what a weakened sandbox left: processes whose command line names the copy."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            with suppress(psutil.Error):  # it has ended
                process.kill()


@contextmanager
def copy_checkout() -> Iterator[Checkout]:
    """Copy what git knows or would add; other users may read it, as they may a checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(
        prefix="gome-mutants-", dir="/var/tmp", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in filter(None, names.split("\0")):
            if (ROOT / file).is_file():  # a deleted one is listed too
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, folder / file)
        yield Checkout(folder)


def find_stale() -> list[str]:
    """Return the mutants that no longer fit the checkout, with the reason."""
    stale = []
    for mutant in MUTANTS:
        path = ROOT / mutant.file
        if fault := find_fault(mutant, path.read_text() if path.is_file() else ""):
            stale.append(f"{mutant.name}: {fault} in {mutant.file}")
        for test in mutant.tests:
            file, _, function = test.partition("::")
            text = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
            name = function.partition("[")[0]
            if not text or (name and f"def {name}(" not in text):
                stale.append(f"{mutant.name}: there is no test {test}")
    return stale


def table_row(mutant: Mutant, outcome: Outcome) -> str:
    """Return the row of a mutant."""
    test = f"`{outcome.test.replace('|', '/')}`" if outcome.test else ""
    return f"| {mutant.why} | `{mutant.file}` | {mutant.name} | {outcome.verdict} | {test} |"


def read_rows(page: str) -> dict[str, str]:
    """Return the rows of a page's table by name of their mutant."""
    body = page.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in body.splitlines() if line.count(" | ") == 4]
    return {row.split(" | ")[2]: row for row in rows[1:]}


def write_page(outcomes: list[Outcome]) -> None:
    """Put outcomes into the page; rows of mutants that did not run now stay."""
    page = PAGE.read_text()
    if BEGIN not in page or END not in page:
        raise ValueError(f"{PAGE} needs the lines {BEGIN!r} and {END!r}")
    rows, known = read_rows(page), {mutant.name: mutant for mutant in MUTANTS}
    rows |= {each.name: table_row(known[each.name], each) for each in outcomes}
    head = "| without the guard | file | mutant | result | first test that fails |"
    lines = [head, "|---|---|---|---|---|", *(rows[name] for name in known if name in rows)]
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="tools.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names, or their beginnings")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    chosen = [
        mutant for mutant in MUTANTS if not given.only or mutant.name.startswith(tuple(given.only))
    ]
    if given.list:
        for mutant in chosen:
            print(f"{mutant.name:32} {mutant.file:36} {mutant.why}")
        return 0
    outcomes = []
    with copy_checkout() as checkout:
        for mutant in chosen:
            outcomes.append(checkout.judge(mutant))
            print(f"{outcomes[-1].verdict:9} {mutant.name:32} {outcomes[-1].test}", flush=True)
            if given.write:
                write_page(outcomes[-1:])
    wrong = [each for each in outcomes if each.verdict != "noticed"]
    print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} noticed")
    return 1 if wrong or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
