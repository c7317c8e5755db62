"""A newcomer's first hour: every command of README.md and the quick start, in a fresh clone.

python -m tools.first_hour FOLDER           # commands and mistakes, with this Python's packages
python -m tools.first_hour FOLDER --quick   # the same, two steps where a page says none
python -m tools.first_hour FOLDER --make    # with `make run` in the clone, which needs the index

Each command runs in a terminal of 80 columns and is captured in a text file of FOLDER/captures, to
be read by eye; INDEX.txt lists exit codes, seconds and the longest lines. Exit code 1 where a
command of a page fails, or a mistake does not end with one sentence.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import NamedTuple

from tools.doc_blocks import ROOT, runnable_blocks

COLUMNS, LINES = 80, 40
PAGES = ("README.md", "docs/quickstart.md")
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LIMIT_S = 1800
MISTAKES = (  # each has to end with exit code 2 and one sentence that helps
    "gome rnu my-task",
    "gome run my-task --step 3",
    "gome run my-tsak",
    "gome run my-task --set metric=auc",
    "gome run my-task --time 5x",
    "gome run my-task --preset gom",
    "gome run my-task --model gpt-5",
    "gome init my-task --force --target findings",
    "gome init nowhere",
    "gome score my-task my-task-private/answers.csv nowhere.csv",
    "gome predict nowhere.csv",
    "gome show nowhere",
    "gome example nowhere",
)
OWN_DATA = """
import shutil
from pathlib import Path

from sklearn.datasets import load_breast_cancer

table = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=1)
table["sick"] = table.pop("target").map({0: "yes", 1: "no"})
table.insert(0, "Patient No.", [f"P-{number:04d}" for number in range(len(table))])
for folder in ("my-task", "my-task-private"):
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
table[:420].to_csv("my-task/patients_2019.csv", index=False)
table[420:].drop(columns="sick").to_csv("my-task/patients_2020.csv", index=False)
table[420:][["Patient No.", "sick"]].to_csv("my-task-private/answers.csv", index=False)
table[420:].drop(columns="sick").head(9).to_csv("new-rows.csv", index=False)
"""


class Capture(NamedTuple):
    """What a command printed, and how it ended."""

    command: str
    code: int
    seconds: float
    output: str


def capture(command: list[str], folder: Path, env: dict[str, str], shown: str) -> Capture:
    """Run a command in a terminal and return what stands there at the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    chunks = []
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while time.monotonic() - began < LIMIT_S:
            try:
                chunk = terminal.read(65536)
            except OSError:  # the last process with this terminal ended
                break
            if not chunk:
                break
            chunks.append(chunk)
    if time.monotonic() - began >= LIMIT_S:
        process.kill()
    code = process.wait()
    text = CONTROLS.sub("", b"".join(chunks).decode(errors="replace")).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return Capture(shown, code, time.monotonic() - began, "\n".join(lines).strip("\n"))


def write_capture(folder: Path, number: int, found: Capture) -> str:
    """Write a capture to its own file; return its line of the index."""
    name = re.sub(r"[^a-z0-9]+", "-", found.command.splitlines()[0].lower()).strip("-")[:40]
    path = folder / f"{number:02d}-{name}.txt"
    path.write_text(
        f"$ {found.command.rstrip()}\n{found.output}\n[exit code {found.code}, "
        f"{found.seconds:.0f} s]\n"
    )
    longest = max((len(line) for line in found.output.splitlines()), default=0)
    return f"{found.code:>4} {found.seconds:>6.0f} s  longest line {longest:>4}  {path.name}"


def newcomer_environment(home: Path, bin_folder: Path) -> dict[str, str]:
    """Return the variables of a new user: an empty home, a terminal of 80 columns, no key."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "TZ", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(home),
        "COLUMNS": str(COLUMNS),
        "TERM": "dumb",  # the last frame of a live table only
    }


def list_steps(with_make: bool) -> list[tuple[list[str], str]]:
    """Return (command, what is shown of it) of the pages in their order."""
    steps = [(["make", "run"], "make run")] * with_make
    for page in PAGES:
        steps.append((["python", "-c", OWN_DATA], f"(tables of one's own, before {page})"))
        for block in runnable_blocks(page):
            for line in block.lines:
                shell = ["python", "-c"] if block.language == "python" else ["bash", "-c"]
                steps.append(([*shell, line], line))
    return steps


def spend_first_hour(
    place: Path, steps: list[tuple[list[str], str]], with_make: bool, given: dict[str, str]
) -> int:
    """Run everything in a fresh clone; return how many commands ended as they should not.

    `given`: variables beside a newcomer's own.
    """
    clone, captures = place / "clone", place / "captures"
    captures.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    bin_folder = clone / ".venv" / "bin" if with_make else Path(sys.executable).parent
    env = newcomer_environment(place / "home", bin_folder) | given
    if not with_make:
        env["PYTHONPATH"] = str(clone)
    wanted = [(command, shown, 0) for command, shown in steps]
    wanted += [(shlex.split(command), command, 2) for command in MISTAKES]
    n_wrong, index = 0, []
    for number, (command, shown, code) in enumerate(wanted):
        found = capture(command, clone, env, shown)
        is_right = found.code == code and "Traceback" not in found.output
        n_wrong += not is_right
        index.append(("     " if is_right else "FAIL ") + write_capture(captures, number, found))
        print(index[-1], flush=True)
    (captures / "INDEX.txt").write_text("\n".join(index) + "\n")
    return n_wrong


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.first_hour", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--make", action="store_true", help="run `make run` in the clone first")
    parser.add_argument("--quick", action="store_true", help="two steps where a page says none")
    given = parser.parse_args()
    steps, more = list_steps(given.make), {"GOME_STEPS": "2"} if given.quick else {}
    n_wrong = spend_first_hour(given.folder.resolve(), steps, given.make, more)
    print(f"{n_wrong} commands ended as they should not" if n_wrong else "all as they should")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
