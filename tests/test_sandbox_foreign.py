"""Scripts run by a Python that is not Gome's: on every local tier, with its own packages only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attacks import make_foreign_python
from e2b_kit import service
from sandbox_suite import CASES, Case, player, text

from graph.settings import load_settings
from sandbox.env import registry
from sandbox.factory import create_sandbox
from sandbox.local import interpreter
from sandbox.local.backend import LocalSandbox, create_local_sandbox
from sandbox.local.interpreter import find_interpreter
from sandbox.local.tiers import probe_tier
from sandbox.protocol import SandboxUnavailableError

TIERS = ("bubblewrap", "userns", "landlock")
BASE = str(getattr(sys, "_base_executable", None) or sys.executable)
ABOUT = """
import importlib.util, json, os, shutil, sys
def can_list(folder):
    try: return bool(os.listdir(folder))
    except OSError: return False
json.dump({
    "prefix": sys.prefix, "executable": sys.executable, "first": shutil.which("python"),
    "pandas": importlib.util.find_spec("pandas") is not None, "own": can_list(OWN),
    "cached": getattr(__import__("tiny_kit"), "__cached__", ""),
}, open("evidence.json", "w"))
try: open(os.path.join(sys.prefix, "planted"), "w")
except OSError as error: print("kept", type(error).__name__)
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment outside the project, with one package without bytecode."""
    folder = tmp_path_factory.mktemp("foreign")
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.getuid() and above != Path("/tmp"):
            above.chmod(above.stat().st_mode | 0o055)
    python = Path(make_foreign_python(folder / "env"))
    site = Path(find_interpreter(str(python)).site_folders[0])
    (site / "tiny_kit").mkdir()
    (site / "tiny_kit/__init__.py").write_text("x = 1\n")
    info = site / "polars-9.8.7.dist-info"  # a name that reasoners are told of
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 9.8.7\n")
    (info / "RECORD").write_text("tiny_kit/__init__.py,,\npolars-9.8.7.dist-info/METADATA,,\n")
    return python


def sandbox_in(tier: str, python: Path) -> LocalSandbox:
    path = find_interpreter(str(python)).path
    if tier != "none":
        chosen, why = probe_tier(tier, False, path)
        if chosen is None:
            pytest.skip(f"{tier} does not start here: {why}")
    return create_local_sandbox(isolation=tier, python=str(python))


@pytest.mark.parametrize("tier", [*TIERS, "none"])
async def test_scripts_and_survey_see_the_environment_alone(
    tier: str, foreign: Path, tmp_path: Path
) -> None:
    box = sandbox_in(tier, foreign)
    host = await box.probe()
    assert (host.interpreter, host.packages) == (str(foreign), {"polars": "9.8.7"})
    assert host.modules["tiny_kit"] == "polars" and "pandas" not in host.installed
    assert host.python == ".".join(map(str, sys.version_info[:3]))
    assert str(foreign) in host.notice
    done = await player(box, tmp_path)(f"OWN = {sys.prefix!r}\n{ABOUT}", collect=["evidence.json"])
    assert done.ok, done.output
    seen = json.loads(text(done, "evidence.json"))
    assert (seen["executable"], seen["first"]) == (str(foreign), str(foreign))
    assert seen["prefix"] == str(foreign.parents[1]) and not seen["pandas"]
    assert Path(seen["cached"]).is_file()  # compiled once, by the probe, outside
    if tier != "none" and sys.prefix != sys.base_prefix:
        assert not seen["own"]  # Gome's environment is not bound
    if tier != "none":
        assert "kept" in done.output and not (foreign.parents[1] / "planted").exists()


CHEAP = [case for case in CASES if case.__name__ in ("exit_code", "traceback_reaches_the_output")]


@pytest.mark.parametrize("case", CHEAP, ids=lambda case: case.__name__)
@pytest.mark.parametrize("tier", TIERS)
async def test_an_end_is_told_alike(case: Case, tier: str, foreign: Path, tmp_path: Path) -> None:
    await case(player(sandbox_in(tier, foreign), tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("tier", TIERS)
async def test_conformance(case: Case, tier: str, foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    await case(player(sandbox_in(tier, foreign), tmp_path / "jobs"), tmp_path)


async def test_a_template_has_its_own_python(foreign: Path, tmp_path: Path) -> None:
    """Of E2B: named by its path in the template, or by a command."""
    with service(tmp_path / "e2b") as fake:
        if fake is None:
            pytest.skip("the real service has no such path")
        box = create_sandbox("e2b", run_dir=tmp_path, python=str(foreign))
        host = await box.probe()
        assert (host.interpreter, host.packages) == (str(foreign), {"polars": "9.8.7"})
        script = "import sys, tiny_kit\nprint(sys.prefix)"
        done = await player(box, tmp_path)(script)
        await box.close()
        assert done.output.strip() == str(foreign.parents[1]), done
        gone = create_sandbox("e2b", run_dir=tmp_path, python="/no/python")
        with pytest.raises(
            SandboxUnavailableError, match="run by /no/python in the E2B template code"
        ):
            await gone.probe()
        await gone.close()
        assert fake.rented == {}


def test_a_launcher_leads_to_the_interpreter_that_it_starts(tmp_path: Path) -> None:
    launcher = tmp_path / "shims/python3"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec {BASE} "$@"\n')
    launcher.chmod(0o755)
    found = find_interpreter(str(launcher))
    assert os.path.samefile(found.path, BASE) and found.path != str(launcher)
    assert str(launcher) not in found.needs.files


def fake_python(path: Path, answer: str) -> str:
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = fake_python(
        tmp_path / "old",
        '{"path": "", "version": [3, 7, 2], "tag": "", "site_folders": [], "folders": [],'
        ' "files": []}',
    )
    with pytest.raises(SandboxUnavailableError, match=r"is Python 3\.7\.2; scripts need 3\.9"):
        find_interpreter(old)


def test_a_foreign_environment_around_private_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    interpreter.private_homes.cache_clear()
    python = make_foreign_python(tmp_path / "env")
    try:
        assert create_local_sandbox(python=python).own_python == python
        with pytest.raises(SandboxUnavailableError, match="would have to read all of"):
            create_local_sandbox(python=make_foreign_python(tmp_path))
    finally:
        interpreter.private_homes.cache_clear()


async def test_an_interpreter_that_fails_inside_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs a variable that scripts do not get."""
    monkeypatch.setenv("ONLY_OUTSIDE", "1")
    python = make_foreign_python(tmp_path / "env")
    site = Path(find_interpreter(python).site_folders[0])
    refusal = "    print('no licence')\n    os._exit(9)\n"
    (site / "sitecustomize.py").write_text(
        f"import os\nif 'ONLY_OUTSIDE' not in os.environ:\n{refusal}"
    )
    with pytest.raises(SandboxUnavailableError, match=r"fails in the sandbox \(exit: no licence\)"):
        await create_local_sandbox(python=python).probe()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no-such-name", "neither an environment of `gome env` .* nor a command on PATH"),
        ("./gone/python", "there is no such file"),
        ("FOLDER", "has no bin/python"),
    ],
)
def test_a_python_that_is_not_there_is_one_sentence(value: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError, match=words):
        registry.resolve_python(value.replace("FOLDER", str(tmp_path)))


def test_a_folder_a_name_and_a_command_lead_to_their_python(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gome/envs").mkdir(parents=True)
    (tmp_path / ".gome/envs/mine").symlink_to(foreign.parents[1])
    resolve: Callable[[str], str] = registry.resolve_python
    assert resolve(str(foreign.parents[1])) == str(foreign)
    assert resolve("mine") == str(tmp_path / ".gome/envs/mine/bin/python")
    assert resolve(str(foreign)) == str(foreign)
    monkeypatch.setenv("PATH", str(foreign.parent))
    assert resolve("python") == str(foreign)


def test_a_template_names_its_python_by_path_folder_or_command(tmp_path: Path) -> None:
    from sandbox.inside.remote import find_python

    assert find_python("") == sys.executable
    assert find_python("sh") == shutil.which("sh")
    assert find_python(str(tmp_path)) == str(tmp_path / "bin/python")
    assert find_python("/opt/none/bin/python") == "/opt/none/bin/python"
    here = load_settings({"sandbox": "e2b", "python": "~/env"})
    assert here.python == "~/env"  # the home is the template's
