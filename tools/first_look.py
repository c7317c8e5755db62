"""What `gome init` says of three real tables, in docs/quickstart.md.

python -m tools.first_look             # write it
python -m tools.first_look --check     # exit code 1 where it is out of date
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "quickstart.md"
BEGIN = "<!-- first look: begin (python -m tools.first_look) -->"
END = "<!-- first look: end -->"
TABLES = re.compile(r"<!-- tables -->\n```python\n(.*?)```", re.DOTALL)
COMMANDS = {
    "wine": ["init", "wine", "--hold-out", "0.2"],
    "fair": ["init", "fair", "--hold-out", "0.2", "--target", "affairs"],
    "co2": ["init", "co2", "--hold-out", "0.2"],
}


def show_first_look() -> str:
    """Return the commands and what they print, of the tables that the page's own code writes."""
    from typer.testing import CliRunner

    from cli.app import app

    found = TABLES.search(PAGE.read_text())
    assert found, f"{PAGE} has no block of Python after `<!-- tables -->`"
    parts = []
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(found[1], str(PAGE), "exec"), {})
        for words in COMMANDS.values():
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output
            text = done.output.replace(os.path.realpath(place) + "/", "")
            parts.append(f"```bash\ngome {' '.join(words)}\n```\n```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts)


def write_first_look(text: str) -> str:
    """Return the page with the part between the marks replaced."""
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def main() -> int:
    page = write_first_look(show_first_look())
    is_stale = page != PAGE.read_text()
    if "--check" in sys.argv:
        print("out of date, run `python -m tools.first_look`" if is_stale else "up to date")
        return is_stale
    if is_stale:
        PAGE.write_text(page)
        print(f"{PAGE.name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
