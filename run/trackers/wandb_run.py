"""Weights & Biases: a run with an attempt per step, a table of attempts, and best/ as an artifact.

Its own variables say where: WANDB_API_KEY or `wandb login`, WANDB_MODE=offline, WANDB_PROJECT (by
default `gome`), WANDB_ENTITY. Local files are below RUN/wandb.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from run.trackers.protocol import MAX_TEXT, AttemptFacts, EndFacts, RunFacts, TrackerError
from settings.remedies import install_command

TABLE = ("attempt", "verdict", "kind", "component", "hypothesis", "score", "gain", "seconds")


class WandbRun:
    """A run of Weights & Biases, quiet, without its watch of console, code and machine."""

    name = "Weights & Biases"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run: Any = None
        self._id = ""
        self._rows: list[list[Any]] = []

    def start(self, facts: RunFacts, known: str) -> str:
        """Start the run, or continue it."""
        import wandb

        if not is_offline() and not wandb.login(prompt=False):
            raise TrackerError("nobody is logged in; run `wandb login`, or set WANDB_MODE=offline")
        self._id = known or facts.id
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "gome",
            id=self._id,
            name=facts.id,
            group=facts.task,
            job_type="gome",
            config={"task": facts.task, "metric": facts.metric, "direction": facts.direction}
            | facts.settings,
            dir=str(self._folder),
            resume="allow",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
            ),
        )
        self._run.define_metric("score", summary="min" if facts.direction == "min" else "max")
        return self._id

    def add_attempt(self, facts: AttemptFacts) -> None:
        """Log an attempt as the step of its number."""
        best = {} if facts.best is None else {"best": facts.best}
        self._run.log({**facts.numbers, **best, "verdict": facts.verdict}, step=facts.number)
        known: dict[str, Any] = {**facts.texts, **facts.numbers}
        known |= {"attempt": facts.id, "verdict": facts.verdict}
        self._rows.append([_bound_cell(known.get(name)) for name in TABLE])

    def end(self, facts: EndFacts) -> None:
        """Log the table and the files, and end the session."""
        import wandb

        if self._rows:
            self._run.log({"attempts": wandb.Table(columns=list(TABLE), data=self._rows)})
        if facts.files:
            artifact = wandb.Artifact(f"best-{self._id}", type="solution")
            for name, path in facts.files.items():
                artifact.add_file(str(path), name=name)
            self._run.log_artifact(artifact)
        self._run.summary.update({"reason": facts.reason, "best_attempt": facts.attempt})
        self._run.finish(exit_code=0 if facts.is_final else 1)


def _bound_cell(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value


def is_offline() -> bool:
    """Whether nothing is to be sent."""
    return os.environ.get("WANDB_MODE", "online") in ("offline", "disabled", "dryrun")


def check_wandb() -> None:
    """Raise TrackerError where the package is absent."""
    from importlib.util import find_spec

    if find_spec("wandb") is None:
        raise TrackerError(
            f"track: Weights & Biases is not installed; run `{install_command('wandb')}`, "
            "or leave --track out"
        )
