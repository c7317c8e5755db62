"""A whole run by a Python of its own: what is told, recorded, refused, and handed over."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from attacks import make_foreign_python
from chat_kit import at_home, gome, honest, verb_of
from kit import HONEST, Player, events, quick, write_task
from openai_server import Body, Say, Server
from test_reasoner_chat_run import the_run

from reasoner.expert.facts import read_task_facts
from reasoner.expert.spec import ScriptSpec, canonical_spec
from reasoner.protocol import DraftBrief, ReasonerUnavailableError, Solution
from run.folder import read_run_meta
from run.models import KEPT_BYTES, keep_model, place_model
from run.rerun import list_requirements
from run.setup import read_setup
from sandbox.local.interpreter import find_interpreter
from session.export_run import export_run
from session.session import resume_run, start_run

USES_TINY = "import tiny_kit\nassert tiny_kit.x == 1\n"
KEEPS_MODEL = """
import os, pathlib
pathlib.Path("model/parts").mkdir(parents=True)
pathlib.Path("model/weights.txt").write_text("0.5")
pathlib.Path("model/parts/more.txt").write_text("1")
"""


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """A virtual environment with one package, `tiny_kit`, named polars in its metadata."""
    python = make_foreign_python(tmp_path / "env")
    add_package(python, "polars", "9.8.7", "tiny_kit")
    return python


def add_package(python: str, name: str, version: str, module: str) -> None:
    site = Path(find_interpreter(python).site_folders[0])
    (site / module).mkdir(exist_ok=True)
    (site / module / "__init__.py").write_text("x = 1\n")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{module}/__init__.py,,\n")


class Listener(Player):
    """A player that keeps what it was told."""

    def __init__(self, scripts: list[str]) -> None:
        super().__init__(scripts)
        self.briefs: list[DraftBrief] = []

    async def draft(self, brief: DraftBrief) -> Solution:
        self.briefs.append(brief)
        return await super().draft(brief)


async def test_a_run_by_a_foreign_python_is_told_recorded_and_handed_over(
    tmp_path: Path, foreign: str
) -> None:
    task = write_task(tmp_path / "task")
    player = Listener([USES_TINY + KEEPS_MODEL + HONEST.format(noise=0.1)])
    outcome = await start_run(str(task), quick(tmp_path, steps=1, python=foreign), reasoner=player)
    assert outcome.score is not None and outcome.score > 0.8
    told = player.briefs[0].resources
    version = find_interpreter(foreign).version
    assert (told.packages, told.python) == ({"polars": "9.8.7"}, version)
    found = read_run_meta(outcome.folder)["environment"]
    assert (found["interpreter"], found["python"], found["name"]) == (foreign, version, None)
    assert found["lock"] == ["polars==9.8.7"]
    best = outcome.folder / "best"
    lines = (best / "requirements.txt").read_text().splitlines()
    assert lines[1:] == ["polars==9.8.7"]
    readme = (best / "README.md").read_text()
    assert f"gome predict {outcome.run} rows.csv" in readme and "(2 files)" in readme
    assert (best / "model/parts/more.txt").read_text() == "1"
    assert (best / "model/weights.txt").stat().st_uid == os.getuid()
    shared = export_run(outcome.folder, tmp_path / "shared.zip", read_only=True)
    whole = export_run(outcome.folder, tmp_path / "whole.zip")
    assert not [name for name in shared.files if "model" in name.split("/")]  # it may hold rows
    assert "best/model/weights.txt" in whole.files
    assert [name for name in whole.files if name.startswith("models/")]
    done = subprocess.run([foreign, "solution.py"], cwd=best, capture_output=True, check=False)
    assert b"FileExistsError" in done.stderr or done.returncode == 0  # model/ is there already


async def test_the_expert_names_what_it_lacks_and_nothing_is_left(
    tmp_path: Path, foreign: str
) -> None:
    task = write_task(tmp_path / "task")
    words = r"the expert's scripts need numpy>=1.26, pandas>=2.2, scikit-learn>=1.5, which .*lacks"
    with pytest.raises(ReasonerUnavailableError, match=words):
        await start_run(str(task), quick(tmp_path, python=foreign))
    assert list((tmp_path / "runs").glob("*/run.json")) == []


def test_the_prompt_names_the_python_and_its_packages(
    tmp_path: Path, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(body: Body, n: int) -> Say:
        if verb_of(body) == "draft":
            asked.append(json.dumps(body["messages"]))
        return honest(body, n)

    with Server(answer) as server:
        at_home(tmp_path, monkeypatch, server.url)
        write_task(tmp_path / "task")
        result = gome("run", "task", "--model", "m", "--python", foreign, "--steps", "2")
    assert result.exit_code == 0, result.output
    version = find_interpreter(foreign).version
    assert f"Python {version}. Importable besides the standard library" in asked[0]
    assert "polars 9.8.7" in asked[0] and "scikit-learn" not in asked[0]
    assert read_setup(the_run(tmp_path)).interpreter == foreign


async def test_a_resume_says_that_the_environment_has_changed(tmp_path: Path, foreign: str) -> None:
    task = write_task(tmp_path / "task")
    scripts = [HONEST.format(noise=0.5), HONEST.format(noise=0.1)]
    outcome = await start_run(
        str(task), quick(tmp_path, steps=1, python=foreign), reasoner=Player(scripts)
    )
    site = Path(find_interpreter(foreign).site_folders[0])
    (site / "polars-9.8.7.dist-info").rename(site / "polars-9.8.8.dist-info")
    metadata = site / "polars-9.8.8.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("9.8.7", "9.8.8"))
    await resume_run(outcome.folder, reasoner=Player(scripts))
    warned = [event["message"] for event in events(outcome.folder, "warning")]
    assert any("it lacks polars 9.8.7, which the run began with" in text for text in warned)
    assert read_setup(outcome.folder).packages == {"polars": "9.8.8"}
    assert read_run_meta(outcome.folder)["environment"]["lock"] == ["polars==9.8.8"]
    await resume_run(outcome.folder, reasoner=Player(scripts))
    assert len(events(outcome.folder, "warning")) == len(warned)


async def test_the_expert_does_without_lightgbm(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    player = Listener([HONEST.format(noise=0.1)])
    await start_run(str(task), quick(tmp_path, steps=1), reasoner=player)
    brief = player.briefs[0]
    assert "lgbm" not in read_task_facts(brief).missing_families
    packages = {k: v for k, v in brief.resources.packages.items() if k != "lightgbm"}
    resources = brief.resources.model_copy(update={"packages": packages})
    facts = read_task_facts(brief.model_copy(update={"resources": resources}))
    spec = canonical_spec(ScriptSpec(family="lgbm", second="extra"), facts)
    assert (spec.family, spec.second) == ("hgb", "extra")
    assert canonical_spec(ScriptSpec(family="extra", second="lgbm"), facts).second is None


def test_requirements_name_what_scripts_import() -> None:
    modules = {"sklearn": "scikit-learn", "torch": "torch", "pandas": "pandas"}
    installed = {
        "scikit-learn": "1.7.0",
        "torch": "2.9.0+cpu",
        "pandas": "2.3.0",
        "pyarrow": "19.0",
    }
    script = (
        "import os, json\nimport pandas as pd\nfrom sklearn.svm import SVC\n"
        "def late():\n    import torch.nn as nn, private_kit\n"
        "train = pd.read_parquet('input/train.parquet')\n"
    )
    assert list_requirements([script, "not python ("], modules, installed) == [
        "pandas==2.3.0",
        "pyarrow==19.0",
        "scikit-learn==1.7.0",
        "torch==2.9.0  # ran with 2.9.0+cpu",
        "# private_kit: imported, but not installed where the solution ran",
    ]
    newer = "import torch\nno grammar of ours (\n    from pandas import x\npd.read_parquet(x)"
    assert list_requirements([newer], modules, installed) == [
        "pandas==2.3.0",
        "pyarrow==19.0",
        "torch==2.9.0  # ran with 2.9.0+cpu",
    ]
    modules |= {"xgboost": "xgboost-cpu"}
    installed |= {"xgboost-cpu": "3.2.0"}
    assert list_requirements(["import xgboost"], modules, installed) == [
        "scikit-learn==1.7.0",
        "xgboost-cpu==3.2.0",
    ]


def test_models_are_kept_within_a_limit_and_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("run.models.KEPT_BYTES", 3000)
    assert KEPT_BYTES > 2**30
    made = tmp_path / "work/model"
    made.mkdir(parents=True)
    (made / "a.bin").write_bytes(b"x" * 2000)
    for name in ("one", "two"):
        keep_model(tmp_path, name, {"model/a.bin": str(made / "a.bin"), "oof.csv": "/gone"})
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["two"]
    (tmp_path / "best").mkdir()
    assert place_model(tmp_path, "two", tmp_path / "best") == 1
    assert place_model(tmp_path, "gone", tmp_path / "best") == 0
    assert not (tmp_path / "best/model").exists()
    keep_model(tmp_path, "none", {"oof.csv": "/gone"})
    assert not (tmp_path / "models/none").exists()
