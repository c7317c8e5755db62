"""The commands that messages name are for the Python that needs the packages."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from settings.remedies import install_command


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_packages_are_installed_beside_gome(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec("uv") if tool == "pip" else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    words = shlex.split(install_command("psycopg[binary]"))
    assert words[0] == sys.executable and words[-1] == "psycopg[binary]"
    assert words[1:-1] == ["-m", *(["uv"] if tool == "uv" else []), "pip", "install"]


def test_the_command_reaches_an_environment_without_pip() -> None:
    command = [*shlex.split(install_command("packaging")), "--offline", "--dry-run"]
    if "uv" not in command:
        pytest.skip("this environment has a pip of its own")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Would make no changes" in done.stderr


def test_nothing_tells_people_to_install_gome_from_the_index() -> None:
    """A package of that name there would not be ours."""
    root = Path(__file__).parents[1]
    told = re.compile(r"(pip install|install_command\()\s*['\"]?gome\b")
    found = [
        str(path.relative_to(root))
        for pattern in ("*.md", "docs/**/*.md", "[a-z]*/**/*.py", "*.py")
        for path in root.glob(pattern)
        if "tests" not in path.parts and told.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
