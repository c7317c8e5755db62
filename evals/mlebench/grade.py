"""Grades a submission by MLE-bench's own code, where it is installed: python -m evals.mlebench.grade SUBMISSION COMPETITION [--data-dir DIR]

`mlebench` is not on the package index: pip install git+https://github.com/openai/mle-bench, then `mlebench prepare -c COMPETITION`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

MISSING = (
    "mlebench is not installed, so nothing can be graded; pip install git+https://github.com/openai/mle-bench, "
    "then `mlebench prepare -c COMPETITION`"
)


def grade(submission: Path, competition: str, data_dir: Path | None = None) -> dict[str, Any]:
    """MLE-bench's report of one submission, with `valid` and `why`. Raises ImportError where mlebench is missing."""
    here = Path.cwd()
    submission = submission.resolve()
    with (
        tempfile.TemporaryDirectory() as elsewhere
    ):  # importing mlebench.data makes a cache folder in the current one
        os.chdir(elsewhere)
        try:
            from mlebench.grade import grade_csv, validate_submission
            from mlebench.registry import registry

            chosen = registry.set_data_dir(data_dir.resolve()) if data_dir else registry
            found = chosen.get_competition(competition)
            valid, why = validate_submission(submission, found)
            report: dict[str, Any] = grade_csv(submission, found).to_dict()
        finally:
            os.chdir(here)
    return report | {"valid": valid, "why": why}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submission", type=Path)
    parser.add_argument("competition")
    parser.add_argument(
        "--data-dir", type=Path, help="mle-bench's data folder; its default otherwise"
    )
    options = parser.parse_args()
    try:
        print(
            json.dumps(
                grade(options.submission, options.competition, options.data_dir),
                indent=2,
                default=str,
            )
        )
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
