"""Grade a submission with MLE-bench's own code where it is installed.

python -m evals.mlebench.grade SUBMISSION COMPETITION [--data-dir DIR]

`mlebench` is not on the package index: pip install git+https://github.com/openai/mle-bench, then
`mlebench prepare -c COMPETITION`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

MISSING = (
    "mlebench is not installed, so nothing can be graded; "
    "pip install git+https://github.com/openai/mle-bench, then `mlebench prepare -c COMPETITION`"
)


def grade_submission(
    submission: Path, competition: str, data_dir: Path | None = None
) -> dict[str, Any]:
    """Return MLE-bench's report of one submission, with `valid` and `why`.

    Raises ImportError where mlebench is missing.
    """
    submission = submission.resolve()
    data_dir = data_dir.resolve() if data_dir else None
    # importing mlebench.data creates a cache folder in the current one
    with tempfile.TemporaryDirectory() as elsewhere, contextlib.chdir(elsewhere):
        from mlebench.grade import grade_csv, validate_submission
        from mlebench.registry import registry

        source = registry.set_data_dir(data_dir) if data_dir else registry
        entry = source.get_competition(competition)
        valid, why = validate_submission(submission, entry)
        report: dict[str, Any] = grade_csv(submission, entry).to_dict()
    return report | {"valid": valid, "why": why}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submission", type=Path)
    parser.add_argument("competition")
    parser.add_argument("--data-dir", type=Path, help="MLE-bench's data folder, if not its default")
    options = parser.parse_args()
    try:
        report = grade_submission(options.submission, options.competition, options.data_dir)
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 2
    print(json.dumps(report, indent=2, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
