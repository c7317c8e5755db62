"""examples/notebook.ipynb runs from first to last cell in a real kernel and shows its outcome."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"
WHY = "missing dependency group: .tools/bin/uv sync --inexact --group notebook"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return found


def test_no_outputs_are_checked_in() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) >= 6 and all(
        cell["outputs"] == [] and cell["execution_count"] is None for cell in code
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
@pytest.mark.enable_socket
def test_every_cell_runs_and_the_outcome_shows_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient, nbformat = (
        pytest.importorskip("nbclient", reason=WHY),
        pytest.importorskip("nbformat", reason=WHY),
    )
    pytest.importorskip("ipykernel", reason=WHY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    printed, shown, frame, score = (
        outputs(notebook, start)
        for start in ("import gome", "outcome", "import pandas", "from sklearn.metrics")
    )
    assert "trace 0 step 0  first" in printed["text"]
    assert "<svg" in shown["html"] and "tumours" in shown["html"] and "<td" in shown["html"]
    assert "t0s0" in frame["html"] and "accepted" in frame["html"]
    assert "on the rows kept back 0." in score["text"]
    last = outputs(notebook, "import os")
    assert "report.html" in last["html"] and "gome report " in last["text"]
    assert len(list((tmp_path / "runs").glob("*/best/submission.csv"))) == 1


def outputs(notebook: Any, start: str) -> dict[str, str]:
    """Return printed text and HTML of the cell that begins with this text."""
    cell = next(
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith(start)
    )
    data = [output.get("data", {}) for output in cell.outputs]
    text = "".join(output.get("text", "") for output in cell.outputs)
    return {"text": text, "html": "".join(str(one.get("text/html", "")) for one in data)}
