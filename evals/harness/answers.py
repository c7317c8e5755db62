"""The answer on top of every page of results: a person's reading of the figures below it.

python -m evals.harness.answers [PAGE ...]

A study writes its page anew and keeps the answer. The answer carries a fingerprint of the figures
that it was written for, so a test tells when they have changed: read the page, correct the answer
below the title, and stamp it by this command.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path("docs/results")
MARK = re.compile(r"<!-- answer: (\w+) -->\n(.*?)\n<!-- figures -->\n*", re.DOTALL)


class Answer(NamedTuple):
    """What stands on top of a page, and the fingerprint of the figures that it reads."""

    text: str
    fingerprint: str


def find_answer(page: str) -> Answer | None:
    """Return the answer of a page; None where it has none."""
    found = MARK.search(page)
    return Answer(found[2].strip(), found[1]) if found else None


def drop_answer(page: str) -> str:
    """Return a page without its answer."""
    return MARK.sub("", page, count=1)


def figures_fingerprint(page: str) -> str:
    """Hash what a page says below its title, but the answer and the line of provenance."""
    rest = drop_answer(page)
    lines = [line for line in rest.splitlines()[1:] if line and not line.startswith("*Command: ")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def put_answer(page: str, answer: Answer) -> str:
    """Return a page with an answer below its title."""
    title, _, rest = drop_answer(page).partition("\n")
    mark = f"<!-- answer: {answer.fingerprint} -->\n{answer.text}\n<!-- figures -->"
    return f"{title}\n\n{mark}\n\n{rest.lstrip()}"


def keep_answer(path: Path, page: str) -> str:
    """Return a page that is written anew, with the answer of the page that it replaces."""
    former = find_answer(path.read_text()) if path.exists() else None
    return put_answer(page, former) if former else page


def is_current(page: str) -> bool:
    """Whether a page begins with an answer that was written for its figures."""
    answer = find_answer(page)
    if answer is None or not page.split("\n", 2)[2].startswith("<!-- answer: "):
        return False
    return answer.text.startswith("**") and answer.fingerprint == figures_fingerprint(page)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", type=Path)
    for path in parser.parse_args().pages or sorted(FOLDER.glob("*.md")):
        page = path.read_text()
        answer = find_answer(page)
        if answer is None:
            print(f"{path}: no answer; write one below its title (evals/harness/answers.py)")
            continue
        path.write_text(put_answer(page, answer._replace(fingerprint=figures_fingerprint(page))))


if __name__ == "__main__":
    main()
