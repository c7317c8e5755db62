"""What an interpreter needs is bound, and never the home through which it is reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.local import interpreter
from sandbox.local.backend import create_local_sandbox
from sandbox.local.bwrap import interpreter_mounts
from sandbox.local.interpreter import find_interpreter_needs
from sandbox.protocol import SandboxUnavailableError

BASE = Path(os.path.realpath(sys.executable))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with Python linked into ~/bin and, as uv does it, into ~/.local/bin."""
    home = tmp_path / "home"
    for name in ("bin", ".local/bin", ".local/share/uv/python", ".ssh"):
        (home / name).mkdir(parents=True)
    (home / ".ssh/id_rsa").write_text("secret")
    (home / "bin/python3").symlink_to(BASE)
    (home / ".local/share/uv/python/cpython-3.11").symlink_to(BASE.parents[1])
    link = Path("../share/uv/python/cpython-3.11/bin", BASE.name)
    (home / ".local/bin/python3.11").symlink_to(link)
    monkeypatch.setenv("HOME", str(home))
    interpreter.private_homes.cache_clear()
    yield home
    interpreter.private_homes.cache_clear()


def make_venv(python: Path, folder: Path) -> Path:
    command = [str(python), "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "bin" / python.name


def bound(mounts: list[str]) -> list[str]:
    return [mounts[i + 1] for i, word in enumerate(mounts) if word == "--ro-bind"]


@pytest.mark.parametrize("name", ["bin/python3", ".local/bin/python3.11"])
def test_links_in_the_home_are_links_and_the_venv_alone_is_bound(home: Path, name: str) -> None:
    python = make_venv(home / name, home / "project/.venv")
    needs = find_interpreter_needs(str(python))
    assert str(home / "project/.venv") in needs.folders
    inside = [path for path in needs.paths if path.startswith(str(home))]
    assert inside == [str(home / "project/.venv")]
    assert dict(needs.links)[str(home / name)] == os.readlink(home / name)
    assert bound(interpreter_mounts(str(python))) == needs.paths


def test_a_linked_interpreter_without_a_venv_needs_nothing_of_the_home(home: Path) -> None:
    needs = find_interpreter_needs(str(home / ".local/bin/python3.11"))
    assert [path for path in needs.paths if path.startswith(str(home))] == []
    assert str(home / ".local/share/uv/python/cpython-3.11") in dict(needs.links)


@pytest.mark.parametrize(
    ("place", "words"),
    [(".", "the home "), (".local", "keyrings belongs there"), ("work", ".ssh is in it")],
)
def test_an_environment_around_private_files_is_refused(home: Path, place: str, words: str) -> None:
    python = make_venv(home / "bin/python3", home / place)
    (home / "work/.ssh").mkdir(parents=True, exist_ok=True)
    with pytest.raises(SandboxUnavailableError, match=words) as refusal:
        find_interpreter_needs(str(python))
    assert "python -m venv ~/gome-env" in str(refusal.value)


def test_a_sandbox_does_not_start_with_such_an_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.local import tiers

    monkeypatch.setattr(sys, "executable", str(make_venv(home / "bin/python3", home)))
    tiers.probe_tier.cache_clear()
    try:
        with pytest.raises(SandboxUnavailableError, match="would have to read all of"):
            create_local_sandbox()
    finally:
        tiers.probe_tier.cache_clear()


def test_a_file_that_is_no_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="/bin/true does not say"):
        find_interpreter_needs("/bin/true")
    with pytest.raises(SandboxUnavailableError, match="gone does not say"):
        find_interpreter_needs(str(tmp_path / "gone"))


def load_at_start(python: Path, code: str) -> None:
    """Let an environment run code whenever it starts."""
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    (site / "at_start.py").write_text(code)  # Debian's sitecustomize.py would come before ours
    (site / "at_start.pth").write_text("import at_start\n")


def test_a_file_that_is_no_library_is_not_bound_for_its_name(home: Path) -> None:
    python = make_venv(home / "bin/python3", home / "project/.venv")
    (home / "notes.so.txt").write_text("secret")
    code = "import mmap\nkept = mmap.mmap(open(%r).fileno(), 0, prot=mmap.PROT_READ)\n"
    load_at_start(python, code % str(home / "notes.so.txt"))
    assert str(home / "notes.so.txt") not in find_interpreter_needs(str(python)).paths


def test_a_library_among_private_files_is_refused(home: Path) -> None:
    import _ctypes

    python = make_venv(home / "bin/python3", home / "project/.venv")
    shutil.copy(_ctypes.__file__, home / ".ssh/helper.so")
    load_at_start(python, f"import ctypes\nctypes.CDLL({str(home / '.ssh/helper.so')!r})\n")
    with pytest.raises(SandboxUnavailableError, match=r"have to read .*\.ssh/helper\.so, which"):
        find_interpreter_needs(str(python))
