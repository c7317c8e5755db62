"""From prediction files to checked arrays.

A file comes from a script: it is hostile until it has passed every check here.
"""

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

from task.data.prepare import label_text
from task.data.segments import Partition, partition_columns
from task.grade.metrics import Metric, get_metric
from task.load.tables import read_public_table
from task.types import Prepared, ProblemJson

Array = NDArray[Any]
MAX_BYTES_PER_ROW = 20_000


@dataclass(eq=False)
class Truth:
    """Labels of a prepared task, in one fixed order of rows.

    Loaded once per worker; equal only to itself, so that it can be a key of caches.
    """

    prepared: Prepared
    metric: Metric
    labels: list[str]
    frame: pd.DataFrame  # _id (text), fold, twin, targets

    @cached_property
    def validated(self) -> pd.DataFrame:
        """Labels of the validated rows."""
        return self.frame[self.frame["fold"] >= 0].reset_index(drop=True)

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Labels of the audit rows."""
        return self.frame[self.frame["fold"] == -2].reset_index(drop=True)

    @cached_property
    def fold(self) -> Array:
        """Fold of every validated row."""
        return np.asarray(self.validated["fold"])

    @cached_property
    def y(self) -> Array:
        """Encoded labels of the validated rows."""
        return self.encode(self.validated)

    @cached_property
    def clusters(self) -> Array | None:
        """Group number of every validated row, where whole groups are held out.

        Rows of one group are not independent.
        """
        split = self.prepared.task.split
        if split.kind != "group" or split.column not in self.features:
            return None
        return np.asarray(pd.factorize(self.features[split.column].astype(str))[0])

    @cached_property
    def twins(self) -> Array | None:
        """Mask of the validated rows that repeat another training row; None where there are none.

        Set where test rows repeat none.
        """
        if "twin" not in self.validated or not self.validated["twin"].any():
            return None
        return np.asarray(self.validated["twin"], dtype=bool)

    @cached_property
    def test_ids(self) -> list[str]:
        """Ids that submission.csv must contain, audit rows among them."""
        return read_sample_ids(self.prepared)

    @cached_property
    def validated_ids(self) -> list[str]:
        """Ids that oof.csv must contain."""
        return list(self.validated["_id"])

    @cached_property
    def audit_rows(self) -> Array:
        """Positions of the audit rows among `test_ids`."""
        return pd.Index(self.test_ids).get_indexer(pd.Index(self.audit["_id"]))

    def ids(self, name: str) -> list[str]:
        """Return the ids that a file must contain, in the order of its predictions."""
        return self.validated_ids if name == "oof.csv" else self.test_ids

    @cached_property
    def features(self) -> pd.DataFrame:
        """Training features of the validated rows, in the order of `validated`."""
        frame = read_public_table(self.prepared.public, "train")
        frame.index = pd.Index(frame[self.prepared.id].map(label_text))
        drop = [self.prepared.id, *self.prepared.task.target]
        return frame.loc[self.validated_ids].drop(columns=drop).reset_index(drop=True)

    @cached_property
    def partitions(self) -> list[Partition]:
        """Partitions of the validated rows by the features."""
        return partition_columns(self.features)

    def encode(self, frame: pd.DataFrame) -> Array:
        """Encode the labels of some rows for the metric.

        0/1 or class positions for probabilities, `codes` for labels, texts for rankings, else
        values.
        """
        target = self.prepared.task.target
        if self.metric.needs == "probability" and self.prepared.task.kind != "regression":
            position = {label: index for index, label in enumerate(self.labels)}
            return frame[target[0]].map(label_text).map(position).to_numpy(dtype=float)
        if self.metric.needs == "label":
            return self.encode_labels(frame[target[0]].map(label_text))
        if self.metric.needs == "ranking":
            return frame[target[0]].map(label_text).to_numpy()
        values = frame[target].to_numpy(dtype=float)
        return values[:, 0] if values.shape[1] == 1 else values

    def encode_labels(self, texts: pd.Series[Any]) -> Array:
        """Return the `codes` of labels; NaN for unknown ones."""
        return texts.map(self.codes).to_numpy(dtype=float)

    @cached_property
    def codes(self) -> dict[str, float]:
        """A number for every label: itself where all labels are numbers, else its position."""
        try:
            return {label: float(label) for label in self.labels}
        except ValueError:
            return {label: float(index) for index, label in enumerate(self.labels)}


@lru_cache(maxsize=4)
def load_truth(private: str, prepared_json: str) -> Truth:
    """Load the labels of a prepared task from its private folder."""
    prepared = Prepared.model_validate_json(prepared_json)
    folder = Path(private)
    frame = pd.read_parquet(folder / "labels.parquet").rename(columns={prepared.id: "_id"})
    frame["_id"] = frame["_id"].map(label_text)
    labels = json.loads((folder / "meta.json").read_text())["labels"]
    task = prepared.task
    return Truth(prepared, get_metric(task.metric, task.direction), labels, frame)


def get_truth(prepared: Prepared) -> Truth:
    """Return the labels of a prepared task, loaded once."""
    return load_truth(prepared.private, prepared.model_dump_json())


def read_sample_ids(prepared: Prepared) -> list[str]:
    """Return the ids of the public sample submission."""
    sample = pd.read_csv(Path(prepared.public) / "sample_submission.csv", usecols=[0])
    return [label_text(value) for value in sample.iloc[:, 0]]


def make_problem(code: str, message: str, about: str = "") -> ProblemJson:
    """Return a problem, with the column that it is about if there is one."""
    if about:
        return ProblemJson(code=code, message=message, about=about)
    return ProblemJson(code=code, message=message)


class PredictionsError(Exception):
    """A file cannot be scored; `problem` says why and what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.problem = make_problem(code, message)


def read_predictions(truth: Truth, path: str, name: str, ids: list[str]) -> Array:
    """Read predictions in the order of `ids`, shape (n,) or (n, k). Raises PredictionsError."""
    frame = read_prediction_table(Path(path), name, len(ids), truth.prepared.columns)
    values = align_rows(frame, name, ids, truth.prepared)
    return convert_predictions(truth, values, name)


@lru_cache(maxsize=32)
def read_earlier(truth: Truth, path: str, name: str = "oof.csv") -> Array:
    """Read an earlier attempt's predictions, once: artifacts never change.

    Raises PredictionsError.
    """
    return read_predictions(truth, path, name, truth.ids(name))


def read_prediction_table(path: Path, name: str, n_rows: int, columns: list[str]) -> pd.DataFrame:
    """Read a csv of the expected columns and bounded size. Raises PredictionsError."""
    n_bytes = path.stat().st_size
    if n_bytes > MAX_BYTES_PER_ROW * (n_rows + 10):
        raise PredictionsError(
            "too_large",
            f"{name} is {n_bytes / 2**20:.0f} MiB for {n_rows} expected rows; "
            "write one line per row",
        )
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise PredictionsError("not_text", f"{name} is not a UTF-8 csv file ({error})") from error
    if header != columns:
        raise PredictionsError(
            "wrong_columns",
            f"{name} has the columns {header[:8]}, "
            f"it should have exactly {columns[:8]}{' …' if len(columns) > 8 else ''}",
        )
    try:
        return pd.read_csv(path, dtype={columns[0]: str}, low_memory=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise PredictionsError(
            "not_csv", f"{name} cannot be read as csv: {str(error)[:200]}"
        ) from error


def align_rows(frame: pd.DataFrame, name: str, ids: list[str], prepared: Prepared) -> pd.DataFrame:
    """Return the prediction columns in the order of `ids`; the file may have any order.

    Raises PredictionsError for repeated, missing or unknown ids.
    """
    keys = frame[prepared.id].map(normalize_id)
    repeated = keys[keys.duplicated()]
    if len(repeated):
        raise PredictionsError(
            "duplicate_ids",
            f"{name} has {len(repeated)} repeated ids (e.g. {repeated.iloc[0]!r}); "
            "write each row once",
        )
    rows = pd.Index(keys).get_indexer(pd.Index(ids))
    if missing := [ids[index] for index in np.flatnonzero(rows < 0)]:
        raise PredictionsError(
            "missing_rows",
            f"{name} lacks {len(missing)} of {len(ids)} rows (e.g. id {missing[0]!r}); "
            "predict every row of the script contract",
        )
    if n_unknown := len(frame) - len(ids):
        raise PredictionsError(
            "unknown_ids",
            f"{name} has {n_unknown} unknown rows; write exactly the rows of the script contract",
        )
    return frame[prepared.columns[1:]].take(rows)


def normalize_id(value: object) -> str:
    """Return an id as text; 7.0 and 7 are the same."""
    text = str(value)
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def convert_predictions(truth: Truth, values: pd.DataFrame, name: str) -> Array:
    """Convert predictions to what the metric needs. Raises PredictionsError."""
    needs = truth.metric.needs
    if needs == "ranking":
        return values.iloc[:, 0].astype(str).to_numpy()
    if needs == "label" and truth.prepared.task.kind != "regression":
        return convert_labels(truth, values.iloc[:, 0], name)
    numbers = convert_numbers(values, name)
    if needs == "probability" and truth.metric.name != "auc":
        low, high = numbers.min(), numbers.max()
        if low < -1e-9 or high > 1 + 1e-9:
            raise PredictionsError(
                "not_probability",
                f"{name} has values outside 0..1 ({low:.3g} to {high:.3g}); "
                f"{truth.metric.name} needs probabilities",
            )
    if truth.metric.name.startswith("rmsle"):
        numbers = np.clip(numbers, 0, None)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers


def convert_labels(truth: Truth, values: pd.Series[Any], name: str) -> Array:
    """Return the codes of predicted labels. Raises PredictionsError for an unknown one."""
    codes = truth.encode_labels(values.map(label_text))
    unknown = np.flatnonzero(np.isnan(codes))
    if len(unknown):
        raise PredictionsError(
            "unknown_label",
            f"{name} predicts {values.iloc[int(unknown[0])]!r}, which is no class; "
            f"write one of {truth.labels[:10]}",
        )
    return codes


def convert_numbers(values: pd.DataFrame, name: str) -> Array:
    """Return finite numbers of shape (n, k). Raises PredictionsError for anything else."""
    try:
        numbers = values.to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise PredictionsError(
            "not_numeric", f"{name} contains predictions that are not numbers ({str(error)[:100]})"
        ) from error
    n_bad = int((~np.isfinite(numbers)).any(axis=1).sum())
    if n_bad:
        raise PredictionsError(
            "nan",
            f"{name} has NaN or infinite predictions in {n_bad} rows; "
            "impute missing values before predicting",
        )
    return numbers
