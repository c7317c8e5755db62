"""`gome env`: environments by the real uv, from wheels on this disk, and what it refuses."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest
from chat_kit import gome, one_line
from typer.testing import Result

from sandbox.env import create
from sandbox.env.create import create_environment, make_alone
from sandbox.env.presets import ALL, PRESETS, preset_requirements, split_requirements
from sandbox.env.registry import (
    environment_path,
    list_environments,
    making_file,
    read_lock,
    resolve_python,
)
from sandbox.local.backend import create_local_sandbox
from sandbox.protocol import SandboxUnavailableError


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and an index that is a folder with two wheels."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "tiny-kit", "1.2", needs="tiny-base>=2")
    make_wheel(folder, "tiny-base", "2.1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    for name in ("UV_CACHE_DIR", "XDG_CACHE_HOME", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def make_wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{module}/__init__.py": "x = 1\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)


def made(*words: str) -> Result:
    result = gome("env", *words)
    assert result.exit_code == 0, result.output
    return result


async def test_an_environment_is_made_shown_used_and_removed(wheels: Path) -> None:
    assert "gome env create tab --preset tabular" in made("ls").output
    said = made("create", "mine", "--with", "tiny-kit>=1,<2", "--cpu").output
    assert "Next: gome run FOLDER --python mine" in said and "packages to install: 2" in said
    folder = environment_path("mine")
    assert read_lock(folder) == ["tiny-base==2.1", "tiny-kit==1.2"]
    shown = json.loads(made("show", "mine", "--json").output)
    assert (shown["wanted"], shown["hardware"]) == (["tiny-kit"], "cpu")
    assert shown["python"] == str(folder / "bin/python") and len(shown["lock"]) == 2
    assert "tiny-kit" in made("ls").output
    assert list(folder.glob("lib/*/site-packages/tiny_kit/__pycache__/*.pyc"))  # compiled
    host = await create_local_sandbox(python="mine").probe()
    assert host.packages == {"tiny-kit": "1.2"}  # named with --with, so reasoners are told
    assert "there is an environment mine already" in one_line(
        gome("env", "create", "mine", "--with", "tiny-kit")
    )
    assert "removed" in made("rm", "mine").output and not folder.exists()
    assert "there is no environment mine" in one_line(gome("env", "rm", "mine"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "a"], "nothing to install into a"),
        (["create", "a", "--preset", "sound"], "there is no preset 'sound'; there are tabular"),
        (["create", "../a", "--with", "tiny-kit"], "cannot be the name of an environment"),
        (["create", "a", "--with", "-r /etc/passwd"], "expected names of packages"),
        (["create", "a", "--with", "no-such-kit"], "uv pip compile failed"),
        (["create", "a", "--with", "tiny-kit==9"], "tiny-kit==9"),
        (["rm", ".."], "cannot be the name of an environment"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    words: list[str], said: str, wheels: Path
) -> None:
    assert said in one_line(gome("env", *words))
    assert list_environments() == [] and not environment_path("a").exists()


def test_a_closed_network_is_named(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    line = one_line(gome("env", "create", "a", "--with", "tiny-kit"))
    assert "the package index cannot be reached from here" in line and "--python PATH" in line


def test_packages_that_cannot_be_imported_together_leave_nothing(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "tiny", {"tiny-kit": "tiny_kit", "tiny-base": "not_there"})
    with pytest.raises(SandboxUnavailableError, match=r"1 of 2 .* first not_there \(ModuleNotF"):
        create_environment("a", ["tiny"], [], "cpu")
    assert not environment_path("a").exists()


def leave_half(name: str) -> Path:
    """Leave what a making leaves that is killed."""
    folder = environment_path(name)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(sys.executable)
    making_file(folder).touch()
    return folder


def test_what_a_killed_making_left_is_not_used_and_is_replaced_or_removed(wheels: Path) -> None:
    leave_half("a")
    assert list_environments() == []
    with pytest.raises(SandboxUnavailableError, match="not complete; .* `gome env create a`"):
        resolve_python("a")
    assert create_environment("a", [], ["tiny-base"], "cpu").name == "a"
    assert resolve_python("a") == str(environment_path("a") / "bin/python")
    left = leave_half("b")
    assert "removed" in made("rm", "b").output
    assert not left.exists() and not making_file(left).exists()


def test_what_somebody_else_put_there_is_kept(wheels: Path) -> None:
    folder = environment_path("mine")
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("of weeks")
    with pytest.raises(SandboxUnavailableError, match="was not made by `gome env`"):
        create_environment("mine", [], ["tiny-base"], "cpu")
    assert (folder / "notes.txt").read_text() == "of weeks"
    assert "there is no environment mine" in one_line(gome("env", "rm", "mine"))


def test_two_at_once_do_not_spoil_each_other(wheels: Path) -> None:
    with make_alone(environment_path("a")):
        environment_path("a").mkdir()
        with pytest.raises(SandboxUnavailableError, match="another process is making"):
            create_environment("a", [], ["tiny-base"], "cpu")
        assert "another process is making" in one_line(gome("env", "rm", "a"))
        assert environment_path("a").is_dir()


def test_a_python_that_no_script_can_use_is_refused_before_packages_come(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.env.create.OLDEST", (4, 0))
    with pytest.raises(SandboxUnavailableError, match=r"scripts need 4\.0 or later"):
        create_environment("a", [], ["no-such-kit"], "cpu")
    assert not environment_path("a").exists()


def test_a_home_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "environments are made there" in one_line(gome("env", "create", "a", "--with", "six"))


def test_presets_differ_by_hardware_and_all_holds_them_all() -> None:
    assert "xgboost-cpu>=2.1" in preset_requirements(["tabular"], "cpu")
    assert "xgboost>=2.1" in preset_requirements(["tabular"], "cuda")
    everything = preset_requirements([ALL], "cuda")
    assert all(set(preset) <= set(everything) for preset in PRESETS.values())
    assert split_requirements(["a>=1,<2,b", "c"]) == ["a>=1,<2", "b", "c"]


def test_without_uv_the_remedy_is_named(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uv", None)
    monkeypatch.setenv("PATH", str(wheels))
    with pytest.raises(SandboxUnavailableError, match="pip install uv"):
        create.find_uv()


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("preset", ["tabular"])
def test_a_preset_installs_and_imports(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        found = create_environment("real", [preset], [], "cpu")
    except create.NetworkClosedError as error:
        pytest.skip(str(error))
    assert found.presets == [preset] and len(read_lock(environment_path("real"))) > 20
