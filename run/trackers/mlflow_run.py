"""MLflow: a parent run with the scores by attempt, and a child run for every attempt.

MLflow's own variables say where: MLFLOW_TRACKING_URI and its credentials, MLFLOW_EXPERIMENT_NAME
(by default the name of the task).
"""

from __future__ import annotations

import os
from typing import Any

from run.trackers.protocol import MAX_TEXT, AttemptFacts, EndFacts, RunFacts, TrackerError
from settings.remedies import install_command

SECOND_MS = 1000


class MlflowRun:
    """A run in MLflow, by its client: no global state of the process is touched."""

    name = "MLflow"

    def __init__(self) -> None:
        self._client: Any = None
        self._experiment = ""
        self._id = ""

    def start(self, facts: RunFacts, known: str) -> str:
        """Create the parent run, or reopen it."""
        from mlflow import MlflowClient

        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._client = MlflowClient()
        self._experiment = self._find_experiment(
            os.environ.get("MLFLOW_EXPERIMENT_NAME") or facts.task
        )
        if known:
            self._id = known
            self._experiment = self._client.get_run(known).info.experiment_id
            self._client.update_run(known, status="RUNNING")
            return known
        tags = {
            "gome.run": facts.id,
            "gome.task": facts.task,
            "gome.metric": facts.metric,
            "gome.direction": facts.direction,
        }
        run = self._client.create_run(self._experiment, run_name=facts.id, tags=tags)
        self._id = run.info.run_id
        self._log(self._id, params={key: str(value) for key, value in facts.settings.items()})
        return self._id

    def _find_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def add_attempt(self, facts: AttemptFacts) -> None:
        """Add a child run; the parent gets score and best with the attempt's number as step."""
        ended = int(facts.t * SECOND_MS)
        child = self._client.create_run(
            self._experiment,
            start_time=ended - int(facts.seconds * SECOND_MS),
            run_name=facts.id,
            tags={"mlflow.parentRunId": self._id, "gome.verdict": facts.verdict}
            | {f"gome.{key}": text[:MAX_TEXT] for key, text in facts.texts.items()},
        ).info.run_id
        self._log(child, metrics=facts.numbers, ended=ended)
        status = "FAILED" if facts.verdict == "failed" else "FINISHED"
        self._client.set_terminated(child, status, ended)
        scores = {"score": facts.numbers.get("score"), "best": facts.best}
        known = {key: value for key, value in scores.items() if value is not None}
        self._log(self._id, metrics=known, ended=ended, step=facts.number)

    def end(self, facts: EndFacts) -> None:
        """Upload the files and end the run; an unfinished one is KILLED until it is resumed."""
        for name, path in facts.files.items():
            folder = os.path.dirname(name)  # noqa: PTH120 - a name in the store, no path
            self._client.log_artifact(self._id, str(path), folder or None)
        self._client.set_tag(self._id, "gome.reason", facts.reason[:MAX_TEXT])
        if facts.attempt:
            self._client.set_tag(self._id, "gome.best", facts.attempt)
        self._client.set_terminated(self._id, "FINISHED" if facts.is_final else "KILLED")

    def _log(
        self,
        run: str,
        *,
        metrics: dict[str, float] | None = None,
        params: dict[str, str] | None = None,
        ended: int = 0,
        step: int = 0,
    ) -> None:
        from mlflow.entities import Metric, Param

        self._client.log_batch(
            run,
            metrics=[Metric(key, value, ended, step) for key, value in (metrics or {}).items()],
            params=[Param(key, value[:MAX_TEXT]) for key, value in (params or {}).items()],
        )


def check_mlflow() -> None:
    """Raise TrackerError where the package is absent."""
    from importlib.util import find_spec

    if find_spec("mlflow") is None:
        raise TrackerError(
            f"track: MLflow is not installed; run `{install_command('mlflow-skinny')}`, "
            "or leave --track out"
        )
