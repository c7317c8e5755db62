"""Read folders laid out as competitions are, and compare what is found with what is true.

python -m evals.mlebench.layouts FOLDER [NAME ...] [--write docs/mlebench.md]

FOLDER holds one folder a competition and facts.json, name -> id, target, metric, direction (id
columns separated by blanks). Where evals/mlebench/readers/ has a file of a competition's name (with
underscores), it is the competition's read.py. Every folder is read as by `gome init FOLDER
--dry-run --json`; then a submission is made up in the sample's form, validated and handed over.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from evals.harness.pages import table_head, table_row
from evals.mlebench.checks import check_as_graders
from task.data.prepare import prepare_task
from task.grade.handover import write_final_submission
from task.grade.predictions import get_truth, read_predictions
from task.load.init import describe_task
from task.load.spec import read_task
from task.load.tables import read_table
from task.types import Task, TaskError

READERS = Path(__file__).with_name("readers")
MARK = "<!-- layouts: python -m evals.mlebench.layouts -->"
MAX_CELL = 160  # characters


class Finding(NamedTuple):
    """What was found of one folder."""

    name: str
    group: str
    wrong: list[str]  # what differs from the facts; empty: everything is right
    how: str  # by which reader labels were found
    report: dict[str, Any]


def check_folder(folder: Path, fact: dict[str, Any]) -> Finding:
    """Read a folder and compare it with its facts."""
    reader = READERS / f"{folder.name.replace('-', '_')}.py"
    with tempfile.TemporaryDirectory(prefix="gome-layouts-") as scratch:
        config = None
        if reader.exists():
            config = str(Path(scratch) / "task.yaml")
            Path(config).write_text(f"reader: {json.dumps(str(reader.resolve()))}\n")
        report: dict[str, Any] = dict(describe_task(str(folder), config=config))
        wrong = compare_facts(report, fact)
        if not report["refusal"]:
            try:
                wrong += check_submission(read_task(str(folder), config=config).task, Path(scratch))
            except TaskError as error:
                wrong.append(f"submission: {error}")
    how = next((text for text in report["decided"] if text.startswith("labels")), "train and test")
    return Finding(folder.name, str(fact.get("group", "")), wrong, how, report)


def compare_facts(report: dict[str, Any], fact: dict[str, Any]) -> list[str]:
    """List what differs."""
    if report["refusal"]:
        return [f"refused: {report['refusal']}"]
    return [
        f"{key}: {report[key]} instead of {fact[key]}"
        for key in ("id", "target", "metric", "direction")
        if report[key] != fact[key]
    ]


def check_submission(task: Task, scratch: Path) -> list[str]:
    """Hand over a made-up submission; list what differs from the sample's form."""
    public, out = scratch / "public", scratch / "submission.csv"
    prepared = prepare_task(task, str(public), str(scratch / "private"), seed=0, audit=False)
    source = str(public / "sample_submission.csv")
    truth = get_truth(prepared)
    read_predictions(truth, source, "submission.csv", truth.test_ids)
    write_final_submission(prepared, source, str(out))
    made = pd.read_csv(out, dtype=str, keep_default_na=False)
    if not task.sample_submission:
        return [] if len(made) == prepared.n_test else ["submission: another number of rows"]
    sample = read_table(Path(task.sample_submission)).frame
    assert prepared.form is not None
    texts = sample.astype(object).where(sample.notna(), "").map(str)
    wrong = check_as_graders(texts, made, prepared.form, truth.metric)
    return [f"submission: {what}" for what in wrong]


def check_folders(root: Path, names: list[str]) -> Iterator[Finding]:
    """Check folders one by one."""
    facts = json.loads((root / "facts.json").read_text())
    for name in names or sorted(facts):
        yield check_folder(root / name, facts[name])


def render_table(findings: list[Finding]) -> str:
    """Return the table of docs/mlebench.md."""
    right = sum(not item.wrong for item in findings)
    lines = [
        f"{right} of {len(findings)} layouts are read right.",
        "",
        *table_head(["layout", "right", "id", "target", "metric", "labels"]),
    ]
    for item in findings:
        report = item.report
        target = ", ".join(report["target"][:4]) + (", …" if len(report["target"]) > 4 else "")
        metric = f"{report['direction']} {report['metric']}" if report["metric"] else ""
        how = item.wrong[0] if item.wrong else item.how.removeprefix("labels: ")
        cells = [item.name, "no" if item.wrong else "yes", report["id"] or "", target, metric, how]
        lines.append(table_row(cell.replace("|", "\\|")[:MAX_CELL] for cell in cells))
    return "\n".join(lines) + "\n"


def write_table(page: Path, table: str, mark: str = MARK) -> None:
    """Replace what stands between the two marks of a page."""
    before, _, after = page.read_text().split(mark)
    page.write_text(f"{before}{mark}\n{table}{mark}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", type=Path, help="page to write the table into")
    options = parser.parse_args()
    findings = []
    for item in check_folders(options.folder, options.names):
        print(f"{'right' if not item.wrong else 'WRONG'} {item.name} {'; '.join(item.wrong)}")
        findings.append(item)
    table = render_table(findings)
    if options.write:
        write_table(options.write, table)
    print(table.splitlines()[0])
    return 0 if all(not item.wrong for item in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
