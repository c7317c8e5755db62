"""A script's log for a reader: without warnings, progress bars and repeated lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

WARNING = re.compile(
    r"Warning\b\s{0,9}:|^\s*(warnings\.warn|warn)\(|\[(LightGBM|WARNING)\] \[?(Warning|Info)|"
    r"^(WARNING|W\d{4})\b"
)
TELLING = re.compile(
    r"fold|score|oof|auc|loss|rmse|mae|logl|acc|Error|Exception|Traceback|File \"", re.IGNORECASE
)
NUMBER = re.compile(r"[-+]?\d[\d.,:e+-]*")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MAX_ALIKE = 3  # lines that differ in numbers alone, of those that name no fold, score or error
MAX_ALIKE_TELLING = 40  # of those that do


def clean_log(text: str) -> str:
    """Return the log without warnings and repeats; one line at the end says what was left out.

    Lines that name folds, scores or errors stay. Of lines that differ in numbers alone the first
    ones stay. A tail that is being overwritten, as by a progress bar, counts as its last state.
    """
    lines = [_last_state(line) for line in text.split("\n")]
    kept: list[str] = []
    counts: dict[str, int] = {}
    n_warnings = n_repeats = 0
    for line, is_warning in _mark_warnings(lines):
        if is_warning:
            n_warnings += 1
            continue
        key = NUMBER.sub("#", line.strip())
        counts[key] = counts.get(key, 0) + 1
        limit = MAX_ALIKE_TELLING if TELLING.search(line) else MAX_ALIKE
        if key and counts[key] > limit:
            n_repeats += 1
        else:
            kept.append(line)
    parts = [
        f"{n} {what}"
        for n, what in ((n_warnings, "lines of warnings"), (n_repeats, "lines like earlier ones"))
        if n
    ]
    note = [f"[left out: {' and '.join(parts)}]"] if parts else []
    return "\n".join([*kept, *note])


def _last_state(line: str) -> str:
    """What a terminal shows of a line that was overwritten."""
    plain = ESCAPES.sub("", line.rstrip("\r"))
    return plain.rsplit("\r", 1)[-1]


def _mark_warnings(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a warning: its head or the code quoted below."""
    is_open = False
    for line in lines:
        if WARNING.search(line) and not line.lstrip().startswith("Traceback"):
            is_open = True
            yield line, True
        elif is_open and line.startswith(("  ", "\t")) and not TELLING.search(line):
            is_open = False
            yield line, True
        else:
            is_open = False
            yield line, False
