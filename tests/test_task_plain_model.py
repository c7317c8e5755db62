"""The plain model of the checks, on a machine that lacks a library of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_a_missing_library_is_a_sentence_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "lightgbm").mkdir()
    broken = "raise OSError('libgomp.so.1: cannot open shared object file')"
    (tmp_path / "lightgbm" / "__init__.py").write_text(broken)
    code = "from task.grade.plain_model import make_regressor; make_regressor()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "TaskError: LightGBM" in last and last.endswith("apt install libgomp1")
