"""A metric that is a Python file: it runs in a sandbox process of its own, never in ours.

The file has `score(answers, submission)`, two tables with all their columns, or
`score(y_true, y_pred)`, two arrays; `direction`, max or min, where task.yaml does not say it; and
optionally `needs`, `optimum`, and `row_scores(answers, submission)`, a score for every row whose
mean is the score, for paired tests.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from sandbox.local.service import ConfinedService, ServiceError
from sandbox.protocol import Limits, SandboxUnavailableError
from task.consent import policy
from task.grade.metric import Array, FrameColumns, Metric, Needs, score_unbound
from task.types import Direction, Kind, TaskError

RUNNER = Path(__file__).with_name("metric_runner.py")
LIMITS = Limits(
    wall_s=120, memory_bytes=4 * 2**30, disk_bytes=256 * 2**20, files=1000, processes=64
)
MAX_METRIC_BYTES = 2**20
NEEDS_OF_KIND: dict[Kind, Needs] = {
    "binary": "probability",
    "multiclass": "probability",
    "regression": "value",
    "text": "text",
}


class OwnMetricError(ValueError):
    """The metric file raised, broke a limit, or returned no number."""


class Declared(NamedTuple):
    """What a metric file says of itself."""

    direction: Any
    needs: Any
    optimum: Any
    tables: bool
    row_scores: bool


class OwnMetric:
    """A metric file in its sandbox process, which is started again where it ended."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self._content = path, content
        self._service: ConfinedService | None = None

    def ask(self, call: str, *values: Array | pd.DataFrame) -> Any:
        """Return the file's answer about tables or arrays. Raises OwnMetricError, TaskError."""
        service = self._open_service()
        names = [self._write_data(service, index, value) for index, value in enumerate(values)]
        arguments = dict(zip(("one", "two"), names, strict=False))
        try:
            reply = service.call(call, **arguments)
        except ServiceError as error:
            self._service = None
            raise OwnMetricError(str(error)) from None
        if "error" in reply:
            raise OwnMetricError(str(reply["error"])[:500])
        return reply.get("value")

    def _open_service(self) -> ConfinedService:
        if self._service is None or not self._service.is_alive:
            if self._service:
                self._service.close()
            try:
                self._service = start_service(self._content)
            except SandboxUnavailableError as error:
                raise TaskError(f"{self.path} runs in the sandbox: {error}") from error
        return self._service

    def _write_data(self, service: ConfinedService, index: int, value: Array | pd.DataFrame) -> str:
        """Write what the metric is to read; a file per argument, replaced at each call."""
        if isinstance(value, pd.DataFrame):
            name = f"{index}.parquet"
            value.to_parquet(service.data / name, index=False)
        elif value.dtype == object:
            name = f"{index}.json"
            (service.data / name).write_text(json.dumps(list(value)))
        else:
            name = f"{index}.npy"
            np.save(service.data / name, value, allow_pickle=False)
        return name

    def score(self, one: Array | pd.DataFrame, two: Array | pd.DataFrame) -> float:
        """Return the score of a pair, true and predicted. Raises OwnMetricError."""
        value = self.ask("score", one, two)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise OwnMetricError(f"it returned {value!r:.80} instead of a number")
        return float(value)

    def score_rows(self, answers: pd.DataFrame, said: pd.DataFrame) -> Array:
        """Return a score for every row. Raises OwnMetricError."""
        value = self.ask("row_scores", answers, said)
        if not isinstance(value, list) or len(value) != len(answers):
            raise OwnMetricError("row_scores should return one number for every row of answers")
        scores = np.asarray(value, dtype=float)
        if not np.isfinite(scores).all():
            raise OwnMetricError("row_scores returned numbers that are not finite")
        return scores

    def declared(self) -> Declared:
        """Return what the file declares. Raises TaskError."""
        try:
            value = self.ask("describe")
            return Declared(**value)
        except OwnMetricError as error:
            raise TaskError(f"{self.path}: {error}") from error
        except TypeError as error:
            raise TaskError(f"{self.path} does not describe itself") from error

    def close(self) -> None:
        """End the process."""
        if self._service:
            self._service.close()
            self._service = None


def start_service(content: bytes) -> ConfinedService:
    """Start the process of a metric. Raises SandboxUnavailableError."""
    service = ConfinedService(RUNNER.read_text(), {}, LIMITS, policy.isolation)
    (service.data / "metric.py").write_bytes(content)  # read at the first request
    return service


@lru_cache(maxsize=8)
def open_metric(path: str, digest: str) -> tuple[OwnMetric, Declared]:
    """Return a metric file and what it declares; started once for every content."""
    content = Path(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise TaskError(f"{path} has changed while it was read; try again")
    metric = OwnMetric(Path(path), content)
    return metric, metric.declared()


def load_own_metric(path: Path, direction: Direction | None, kind: Kind | None) -> Metric:
    """Return the metric of a file, for which the user's consent is asked (`task.consent`).

    Its input is `needs` of the file, else what its form and the kind of the target show. Raises
    TaskError.
    """
    if not path.is_file():
        raise TaskError(
            f"{path} does not exist; it should define the metric as score(answers, submission)"
        )
    if path.stat().st_size > MAX_METRIC_BYTES:
        raise TaskError(f"{path} is larger than {MAX_METRIC_BYTES >> 20} MiB")
    content = path.read_bytes()
    policy.check(path, content)
    own, declared = open_metric(str(path), hashlib.sha256(content).hexdigest())
    direction = direction or declared.direction
    if direction not in ("max", "min"):
        raise TaskError(
            f"{path}: say whether higher is better; "
            "set `direction: max` or `direction: min` in task.yaml"
        )
    needs: Any = declared.needs
    if needs is None:
        needs = NEEDS_OF_KIND[kind] if declared.tables and kind else "value"
    if needs not in get_args(Needs):
        raise TaskError(f"{path}: `needs` should be one of {', '.join(get_args(Needs))}")
    best = declared.optimum
    if best is not None and not isinstance(best, (int, float)):
        raise TaskError(f"{path}: `optimum` should be a number, the score of the truth")
    metric = Metric(
        str(path),
        direction,
        needs,
        own.score,
        optimum=None if best is None else float(best),
        is_own=True,
    )
    return over_tables(metric, own, declared) if declared.tables else metric


def over_tables(metric: Metric, own: OwnMetric, declared: Declared) -> Metric:
    """Return a metric of arrays as one over tables."""
    sign = -1.0 if metric.direction == "max" else 1.0

    def score(answers: pd.DataFrame, said: pd.DataFrame, _: FrameColumns) -> float:
        return own.score(answers, said)

    def losses(answers: pd.DataFrame, said: pd.DataFrame, _: FrameColumns) -> Array:
        return sign * own.score_rows(answers, said)

    return replace(
        metric,
        score=score_unbound,
        frame=score,
        frame_losses=losses if declared.row_scores else None,
        resample="folds",
    )
