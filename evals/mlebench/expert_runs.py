"""Solve folders laid out as competitions are with the embedded expert, and say what came out.

python -m evals.mlebench.expert_runs FOLDER OUT [NAME ...] [--steps 2] [--write docs/mlebench.md]

Every folder of FOLDER is run as by `gome run FOLDER --steps 2`, unless OUT/NAME has a run of it.
Then its submission is checked as graders check it, and the score of the solution is compared with
that of the sample's own constant on the same rows: the prediction of the sample's first row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from evals.harness.pages import table_head, table_row
from evals.mlebench.checks import check_as_graders
from evals.mlebench.layouts import MAX_CELL, READERS, write_table
from run.setup import read_setup
from task.grade.predictions import PredictionsError, get_truth, read_predictions
from task.load.tables import read_table
from task.types import Prepared

MARK = "<!-- runs: python -m evals.mlebench.expert_runs -->"
SHARE_OF_RANGE = 0.01  # of the distance to the optimum, by which a score has to be better


class Outcome(NamedTuple):
    """What a run of one folder ended with; `wrong`: why it is no valid submission."""

    name: str
    metric: str
    direction: str
    score: float | None
    constant: float | None  # None: the metric refuses it
    wrong: str

    @property
    def is_better(self) -> bool:
        """Whether the solution is better than the sample's constant."""
        if self.wrong or self.score is None:
            return False
        if self.constant is None:
            return True
        gain = self.score - self.constant
        gain = gain if self.direction == "max" else -gain
        return gain > SHARE_OF_RANGE * max(abs(self.constant), abs(self.score))


def run_folder(folder: Path, out: Path, steps: int) -> str:
    """Run a folder with the expert, unless it has been run; return the last line of a failure."""
    if any(out.glob("*/run.json")):
        return ""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gome", "run", str(folder), "--traces", "1"]
    command += ["--steps", str(steps), "--memory", "off", "--runs-dir", str(out)]
    reader = READERS / f"{folder.name.replace('-', '_')}.py"
    if reader.exists():
        config = out / "task.yaml"
        config.write_text(yaml.safe_dump({"reader": str(reader.resolve())}))
        command += ["--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr.strip() or "no word").splitlines()[-1] if done.returncode else ""


def judge_run(name: str, out: Path, failure: str) -> Outcome:
    """Check the submission of a run and compare its score with that of the sample's constant."""
    runs = sorted(path.parent for path in out.glob("*/setup.json"))
    if failure or not runs:
        return Outcome(name, "", "max", None, None, failure or "no run was prepared")
    prepared = read_setup(runs[-1]).prepared
    metric = get_truth(prepared).metric
    events = [json.loads(line) for line in (runs[-1] / "events.jsonl").read_text().splitlines()]
    ended: dict[str, Any] = next(
        (event for event in reversed(events) if event["ev"] == "finalized"), {}
    )
    made = runs[-1] / "best" / "submission.csv"
    wrong = "; ".join(check_handed_over(prepared, made)) if made.is_file() else "no submission"
    return Outcome(
        name,
        Path(metric.name).name,
        metric.direction,
        ended.get("score"),
        score_constant(prepared),
        wrong,
    )


def check_handed_over(prepared: Prepared, made: Path) -> list[str]:
    """Return what a grader would refuse of a run's submission."""
    assert prepared.form is not None
    frame = pd.read_csv(made, dtype=str, keep_default_na=False)
    if not prepared.task.sample_submission:
        return [] if len(frame) == prepared.n_test else ["another number of rows"]
    sample = read_table(Path(prepared.task.sample_submission)).frame
    texts = sample.astype(object).where(sample.notna(), "").map(str)
    return check_as_graders(texts, frame, prepared.form, get_truth(prepared).metric)


def score_constant(prepared: Prepared) -> float | None:
    """Score the sample's first prediction for every validated row; None where it is refused."""
    truth = get_truth(prepared)
    path = Path(prepared.public) / "sample_submission.csv"
    first = pd.read_csv(path, dtype=str, keep_default_na=False).iloc[:1, 1:]
    ids = truth.validated_ids
    frame = pd.concat([first] * len(ids), ignore_index=True)
    frame.insert(0, prepared.columns[0], ids)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "oof.csv"
        frame.to_csv(made, index=False)
        try:
            values = read_predictions(truth, str(made), "oof.csv", ids)
            return float(truth.metric.score(truth.scored, values))
        except (PredictionsError, ValueError, ZeroDivisionError):
            return None


def run_folders(root: Path, out: Path, names: list[str], steps: int) -> Iterator[Outcome]:
    """Run folders one by one."""
    facts: dict[str, Any] = json.loads((root / "facts.json").read_text())
    for name in names or sorted(facts):
        yield judge_run(name, out / name, run_folder(root / name, out / name, steps))


def render_outcomes(found: list[Outcome]) -> str:
    """Return the table of docs/mlebench.md."""
    n_valid, n_better = sum(not one.wrong for one in found), sum(one.is_better for one in found)
    head = ["layout", "valid", "metric", "solution", "the sample's constant", "better"]
    lines = [
        f"{n_valid} of {len(found)} runs end with a valid submission; {n_better} are better than "
        "the sample's constant.",
        "",
        *table_head(head),
    ]
    for one in found:
        cells = [
            one.name,
            "yes" if not one.wrong else f"no: {one.wrong}",
            f"{one.direction} {one.metric}" if one.metric else "",
            "" if one.score is None else f"{one.score:.4g}",
            "refused" if one.constant is None else f"{one.constant:.4g}",
            "yes" if one.is_better else "no",
        ]
        lines.append(table_row(cell.replace("|", "\\|")[:MAX_CELL] for cell in cells))
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--write", type=Path, help="page to write the table into")
    options = parser.parse_args()
    found = []
    for one in run_folders(options.folder, options.out, options.names, options.steps):
        print(f"{one.name}: {one.wrong or one.score} (constant {one.constant})", flush=True)
        found.append(one)
    table = render_outcomes(found)
    if options.write:
        write_table(options.write, table, MARK)
    print(table.splitlines()[0])
    return 0 if all(not one.wrong for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
