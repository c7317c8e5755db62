"""The MLE-bench adapter on a competition as that benchmark prepares it: zips, read-only data."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from kit import write_task

from evals.mlebench.run import add_reader, parse_arguments

ROOT = Path(__file__).parents[1]


def competition(folder: Path) -> Path:
    """Write prepared/public (zipped tables, description) and prepared/private."""
    public = write_task(folder / "prepared" / "public")
    (public / "task.yaml").unlink()
    for name in ("train.csv", "test.csv"):
        with zipfile.ZipFile(public / f"{name}.zip", "w") as archive:
            archive.write(public / name, name)
            archive.writestr(f"__MACOSX/._{name}", "x")
        (public / name).unlink()
    (public / "sample_submission.csv").rename(public / "sampleSubmission.csv")
    (public / "description.md").write_text(
        "# Tiny\n## Evaluation\nSubmissions are evaluated on area under the ROC curve.\n"
    )
    private = folder / "prepared" / "private"
    private.mkdir()
    (private / "test.csv").write_text("id,label\nsecret,1\n")
    for path in public.iterdir():
        path.chmod(0o444)
    return public


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_a_competition_is_solved_within_the_containers_contract(tmp_path: Path) -> None:
    public = competition(tmp_path)
    places = {name: tmp_path / "home" / name for name in ("submission", "code", "logs")}
    words = [
        f"data={public}",
        *(f"{name}={place}" for name, place in places.items()),
        "agent.traces=1",
        "steps=1",
        "policy=gome",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "evals.mlebench.run", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"TIME_LIMIT_SECS": "400", "COMPETITION_ID": "tiny"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((places["submission"] / "submission.csv").read_text().splitlines()))
    sample = list(csv.DictReader((public / "sampleSubmission.csv").read_text().splitlines()))
    assert [row["id"] for row in rows] == [row["id"] for row in sample] and set(rows[0]) == set(
        sample[0]
    )
    assert (places["code"] / "solution.py").exists() and "auc" in done.stdout
    assert "secret" not in "".join(
        path.read_text(errors="replace") for path in (places["logs"]).rglob("*.csv")
    )


def test_a_competition_with_a_reader_of_its_own_gets_it(tmp_path: Path) -> None:
    places, settings = parse_arguments([f"data={tmp_path}", f"logs={tmp_path}", "steps=1"])
    config = add_reader(settings, places, "billion-word-imputation").config
    assert config is not None and "readers/billion_word_imputation.py" in Path(config).read_text()
    assert add_reader(settings, places, "some-other-competition").config is None


def test_an_unknown_setting_is_reported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evals.mlebench.run", f"data={tmp_path}", "steps"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "'steps' is not key=value" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("mlebench") is not None, reason="mlebench is installed here"
)
def test_grading_without_mlebench_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evals.mlebench.grade", str(tmp_path / "s.csv"), "tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "mlebench is not installed" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("mlebench") is None,
    reason="mlebench is not installed (it is not on the package index)",
)
def test_the_real_package_validates(tmp_path: Path) -> None:
    from mlebench.grade import validate_submission
    from mlebench.registry import registry

    valid, why = validate_submission(
        tmp_path / "none.csv", registry.get_competition("spaceship-titanic")
    )
    assert not valid and "does not exist" in why
