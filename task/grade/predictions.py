"""Prediction files -> checked arrays.  A file comes from a script: hostile until it has passed every test here."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.data.prepare import plain
from task.data.segments import Partition, partitions
from task.grade.metrics import Metric, get_metric
from task.types import Prepared, ProblemJson

Array = NDArray[Any]
MAX_BYTES_PER_ROW = 20_000


@dataclass(eq=False)
class Truth:
    """Labels of a prepared task, in one fixed order of rows; loaded once per worker, and the same only as itself."""

    prepared: Prepared
    metric: Metric
    labels: list[str]
    frame: pd.DataFrame  # id (text), fold, targets, group where there is one

    @cached_property
    def validated(self) -> pd.DataFrame:
        return self.frame[self.frame["fold"] >= 0].reset_index(drop=True)

    @cached_property
    def audit(self) -> pd.DataFrame:
        return self.frame[self.frame["fold"] == -2].reset_index(drop=True)

    @cached_property
    def y(self) -> Array:
        return self.encode(self.validated)

    @cached_property
    def clusters(self) -> Array | None:
        """Group number of every validated row, where whole groups are held out: their rows are not independent."""
        split = self.prepared.task.split
        if split.kind != "group" or split.column not in self.features:
            return None
        return np.asarray(pd.factorize(self.features[split.column].astype(str))[0])

    @cached_property
    def twins(self) -> Array | None:
        """Which validated rows repeat another training row, where test rows repeat none; None where there are no such rows."""
        return (
            np.asarray(self.validated["twin"], dtype=bool)
            if "twin" in self.validated and self.validated["twin"].any()
            else None
        )

    @cached_property
    def test_ids(self) -> list[str]:
        """Ids that submission.csv must hold, audit rows among them."""
        sample = pd.read_csv(Path(self.prepared.public) / "sample_submission.csv", usecols=[0])
        return [plain(value) for value in sample.iloc[:, 0]]

    @cached_property
    def audit_rows(self) -> Array:
        """Where the audit rows stand among `test_ids`."""
        return pd.Index(self.test_ids).get_indexer(pd.Index(self.audit["_id"]))

    def ids(self, name: str) -> list[str]:
        """Ids that the file must hold, in the order that its predictions are read in."""
        return self.validated_ids if name == "oof.csv" else self.test_ids

    @cached_property
    def validated_ids(self) -> list[str]:
        return list(self.validated["_id"])

    @cached_property
    def features(self) -> pd.DataFrame:
        """Training features of the validated rows, in the order of `validated`."""
        public = Path(self.prepared.public)
        path = public / "train.csv"
        frame = (
            pd.read_csv(path, low_memory=False)
            if path.exists()
            else pd.read_parquet(public / "train.parquet")
        )
        frame.index = pd.Index(frame[self.prepared.id].map(plain))
        drop = [self.prepared.id, *self.prepared.task.target]
        return frame.loc[self.validated_ids].drop(columns=drop).reset_index(drop=True)

    @cached_property
    def partitions(self) -> list[Partition]:
        return partitions(self.features)

    def encode(self, frame: pd.DataFrame) -> Array:
        """Labels as the metric wants them: 0/1 or class position for probabilities, numbers or positions for labels, else values."""
        target = self.prepared.task.target
        if self.metric.needs == "probability" and self.prepared.task.kind != "regression":
            position = {label: index for index, label in enumerate(self.labels)}
            return frame[target[0]].map(plain).map(position).to_numpy(dtype=float)
        if self.metric.needs == "label":
            return self.coded(frame[target[0]].map(plain))
        if self.metric.needs == "ranking":
            return frame[target[0]].map(plain).to_numpy()
        values = frame[target].to_numpy(dtype=float)
        return values[:, 0] if values.shape[1] == 1 else values

    def coded(self, texts: pd.Series[Any]) -> Array:
        """Labels as numbers where all are, else as positions; unknown ones become NaN."""
        return texts.map(self.codes).to_numpy(dtype=float)

    @cached_property
    def codes(self) -> dict[str, float]:
        try:
            return {label: float(label) for label in self.labels}
        except ValueError:
            return {label: float(index) for index, label in enumerate(self.labels)}


@lru_cache(maxsize=4)
def truth(private: str, prepared_json: str) -> Truth:
    prepared = Prepared.model_validate_json(prepared_json)
    folder = Path(private)
    frame = pd.read_parquet(folder / "labels.parquet").rename(columns={prepared.id: "_id"})
    frame["_id"] = frame["_id"].map(plain)
    labels = json.loads((folder / "meta.json").read_text())["labels"]
    task = prepared.task
    return Truth(prepared, get_metric(task.metric, task.direction), labels, frame)


def truth_of(prepared: Prepared) -> Truth:
    return truth(prepared.private, prepared.model_dump_json())


def problem(code: str, message: str, about: str = "") -> ProblemJson:
    return (
        ProblemJson(code=code, message=message, about=about)
        if about
        else ProblemJson(code=code, message=message)
    )


class Refused(Exception):
    """The file cannot be scored; `problem` says why and what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem(code, message)


def read_predictions(known: Truth, path: str, name: str, ids: list[str]) -> Array:
    """Predictions in the order of `ids`, shape (n,) or (n, k). Raises Refused."""
    frame = read_frame(Path(path), name, len(ids), known.prepared.columns)
    values = aligned(frame, name, ids, known.prepared)
    return converted(known, values, name)


@lru_cache(maxsize=32)
def earlier(known: Truth, path: str, name: str = "oof.csv") -> Array:
    """An earlier attempt's predictions; artifacts never change, so they are read once. Raises Refused."""
    return read_predictions(known, path, name, known.ids(name))


def read_frame(path: Path, name: str, n_rows: int, columns: list[str]) -> pd.DataFrame:
    if path.stat().st_size > MAX_BYTES_PER_ROW * (n_rows + 10):
        raise Refused(
            "too_large",
            f"{name} is {path.stat().st_size / 2**20:.0f} MiB for {n_rows} expected rows; write one line per row",
        )
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused("not_text", f"{name} is not a UTF-8 csv file ({error})") from error
    if header != columns:
        raise Refused(
            "wrong_columns",
            f"{name} has the columns {header[:8]}, it should have exactly {columns[:8]}{' …' if len(columns) > 8 else ''}",
        )
    try:
        return pd.read_csv(path, dtype={columns[0]: str}, low_memory=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused("not_csv", f"{name} cannot be read as csv: {str(error)[:200]}") from error


def aligned(frame: pd.DataFrame, name: str, ids: list[str], prepared: Prepared) -> pd.DataFrame:
    """Rows in the order of `ids`; another order in the file is fine."""
    keys = frame[prepared.id].map(normal_id)
    if keys.duplicated().any():
        raise Refused(
            "duplicate_ids",
            f"{name} has {int(keys.duplicated().sum())} repeated ids (e.g. {keys[keys.duplicated()].iloc[0]!r}); write each row once",
        )
    rows = pd.Index(keys).get_indexer(pd.Index(ids))
    if missing := [ids[place] for place in np.flatnonzero(rows < 0)]:
        raise Refused(
            "missing_rows",
            f"{name} lacks {len(missing)} of {len(ids)} rows (e.g. id {missing[0]!r}); predict every row that is asked for",
        )
    unknown = len(frame) - len(ids)
    if unknown:
        raise Refused(
            "unknown_ids",
            f"{name} has {unknown} rows that were not asked for; write exactly the rows of the script contract",
        )
    return frame[prepared.columns[1:]].take(rows)


def normal_id(value: Any) -> str:
    text = str(value)
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def converted(known: Truth, values: pd.DataFrame, name: str) -> Array:
    """Numbers, checked for what the metric needs."""
    needs = known.metric.needs
    if needs == "ranking":
        return values.iloc[:, 0].astype(str).to_numpy()
    if needs == "label" and known.prepared.task.kind != "regression":
        codes = known.coded(values.iloc[:, 0].map(plain))
        if np.isnan(codes).any():
            bad = values.iloc[int(np.flatnonzero(np.isnan(codes))[0]), 0]
            raise Refused(
                "unknown_label",
                f"{name} predicts {bad!r}, which is no class; write one of {known.labels[:10]}",
            )
        return codes
    try:
        numbers = values.to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise Refused(
            "not_numeric", f"{name} holds predictions that are not numbers ({str(error)[:100]})"
        ) from error
    if not np.isfinite(numbers).all():
        n_bad = int((~np.isfinite(numbers)).any(axis=1).sum())
        raise Refused(
            "nan",
            f"{name} has NaN or infinite predictions in {n_bad} rows; impute missing values before predicting",
        )
    if (
        needs == "probability"
        and known.metric.name != "auc"
        and (numbers.min() < -1e-9 or numbers.max() > 1 + 1e-9)
    ):
        raise Refused(
            "not_probability",
            f"{name} has values outside 0..1 ({numbers.min():.3g} to {numbers.max():.3g}); {known.metric.name} needs probabilities",
        )
    if known.metric.name.startswith("rmsle") and numbers.min() < 0:
        numbers = np.clip(numbers, 0, None)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers
