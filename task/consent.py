"""Consent to a metric that is a Python file.

It runs in a sandbox process of its own (`task.grade.own_metric`), but it sees the labels and
decides the scores, so the user accepts it once. A metric in a task folder that the user names is
the user's own. One inside a run folder came with
the run, maybe from a stranger: it runs only after the user's consent (`--trust`). The consent is
stored by the file's hash and outside of run folders, since a folder must not vouch for itself; it
holds for resumes, forks and copies, until the file changes.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from task.types import TaskError

CONSENTS = "~/.gome/trusted"  # a sha256 per line
METRIC_NAME = re.compile(r"[A-Za-z0-9_@ -]{1,100}")  # of a metric that is not a file


@dataclass
class MetricPolicy:
    """What this process may load. `folder`: of the run, none for a task that the user names."""

    folder: Path | None = None
    trust: bool = False  # the user consents to whatever metric the run has
    isolation: str = "auto"  # tier of the sandbox that it runs in

    def check(self, path: Path, content: bytes) -> None:
        """Return if this metric may run. Raises TaskError."""
        if self.folder is None or not self._came_with_run(path):
            return
        if self.trust:
            give_consent(content)
        elif not has_consent(content):
            raise TaskError(
                f"{path}: the metric is a Python file inside the run folder; it sees the labels "
                "and decides the scores, and with --isolation none it would run with your rights; "
                "read it, then use `gome resume --trust`"
            )

    def _came_with_run(self, path: Path) -> bool:
        assert self.folder is not None
        return not path.is_absolute() or path.resolve().is_relative_to(self.folder.resolve())


policy = MetricPolicy()
"""Of this process; the task worker sets it when it starts."""


def is_metric_file(metric: str) -> bool:
    """Whether a task's metric is anything but a plain name: then it counts as code."""
    return not METRIC_NAME.fullmatch(metric)


def give_consent(content: bytes) -> None:
    """Store that the user accepts this content; without a writable home it is asked for again."""
    if has_consent(content):
        return
    path = Path(CONSENTS).expanduser()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(hashlib.sha256(content).hexdigest() + "\n")


def can_store_consent() -> bool:
    """Whether consent can be remembered: the user has a writable home."""
    path = Path(CONSENTS).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            return True
    except OSError:
        return False


def has_consent(content: bytes) -> bool:
    """Whether the user has accepted this content before."""
    try:
        known = Path(CONSENTS).expanduser().read_text(errors="replace").split()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() in known
