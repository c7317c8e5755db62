"""From prediction files to checked arrays.

A file comes from a script: it is hostile until it has passed every check here.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from report.formatting import format_plural
from task.data.prepare import ANSWERS, LABEL_PREFIX
from task.data.public_tables import match_keys, plain_key
from task.data.segments import Partition, partition_columns
from task.grade.metric import FrameColumns, Metric, bind_answers
from task.grade.metrics import METRICS, task_metric
from task.grade.soft.decode import (
    DecodedTarget,
    Decoder,
    apply_decoder,
    decode_across_folds,
    default_decoder,
    fit_decoder,
)
from task.grade.soft.loss import surrogate_losses
from task.load.form import label_text
from task.load.tables import read_public_table
from task.types import FormColumn, Prepared, ProblemJson, Reference, SoftForm, SubmissionForm

Array = NDArray[Any]
MAX_LINE_BYTES, MAX_COLUMN_BYTES = 4_000, 100  # of one line: for the id or a text, and a number
MEAN_LINE_BYTES = 1_000  # of all lines, besides MAX_COLUMN_BYTES
MAX_EXTRA_LINES = 1_000  # that are read, so that a message can name them
TEXT_BYTES = 50_000  # mean length of a text
MAX_TEXT_BYTES = 20_000_000  # of one text: a mask of a large picture
Content = Literal["number", "label", "text"]
MISSING = ["", "nan", "NaN", "NA", "null"]
TOLERANCE = 1e-9  # of probabilities beyond 0..1
SUM_TOLERANCE = 0.02  # of the probabilities of a row beyond 1, as rounded ones have it


@dataclass(eq=False)
class Truth:
    """Labels of a prepared task, in one fixed order of rows.

    Loaded once per worker; equal only to itself, so that it can be a key of caches.
    """

    prepared: Prepared
    metric: Metric  # over tables: bound to the answers, whose rows are those of `frame`
    labels: list[str]
    frame: pd.DataFrame  # _id (text), _fold, _twin, targets with LABEL_PREFIX, _row where bound
    audit_share: float = 1.0  # of the held-back rows that judge: some may be left out as blind

    @cached_property
    def form(self) -> SubmissionForm:
        """What the columns of the files mean."""
        return self.prepared.form or form_of_earlier_run(self.prepared, self.metric, self.labels)

    @property
    def has_class_columns(self) -> bool:
        """Whether the files have a column of probabilities for each of several classes."""
        return self.metric.needs == "probability" and len(self.form.columns) > 1

    @property
    def soft(self) -> SoftForm | None:
        """What files may hold in place of labels."""
        return self.prepared.soft

    @cached_property
    def soft_truth(self) -> Truth:
        """The same rows as a task whose predictions are those probabilities or values."""
        assert self.soft is not None
        return replace(
            self,
            prepared=soften_task(self.prepared, self.soft),
            metric=METRICS["mse" if self.soft.layout == "values" else "log_loss"],
        )

    @cached_property
    def decoded(self) -> DecodedTarget:
        """What labels are made for."""
        assert self.soft is not None
        if self.soft.layout == "values":
            columns = self.soft_truth.y.reshape(len(self.validated), -1)
            levels = tuple(np.unique(columns[:, k]) for k in range(columns.shape[1]))
        else:
            levels = (np.array([self.codes[label] for label in self.form.labels]),)
        name = self.metric.name.removesuffix("_mean_columns")
        return DecodedTarget(name, self.soft.decoder, levels)

    @cached_property
    def validated(self) -> pd.DataFrame:
        """Labels of the validated rows."""
        return self.frame[self.frame["_fold"] >= 0].reset_index(drop=True)

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Labels of the audit rows."""
        return self.frame[self.frame["_fold"] == -2].reset_index(drop=True)

    @cached_property
    def fold(self) -> Array:
        """Fold of every validated row."""
        return np.asarray(self.validated["_fold"])

    @cached_property
    def y(self) -> Array:
        """Encoded labels of the validated rows."""
        return self.encode(self.validated)

    @cached_property
    def scored(self) -> Array:
        """What the metric takes as the truth of the validated rows."""
        return self.encode_scored(self.validated)

    def encode_scored(self, frame: pd.DataFrame) -> Array:
        """Return what the metric takes as the truth of some rows.

        Their encoded labels or, of a metric over tables, their positions in the answers.
        """
        if self.metric.frame is None:
            return self.y if frame is self.validated else self.encode(frame)
        return frame["_row"].to_numpy()

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
    def audit_clusters(self) -> Array | None:
        """Group number of every audit row, where whole groups are held out."""
        split = self.prepared.task.split
        if split.kind != "group" or not split.column or self.audit.empty:
            return None
        frame = read_public_table(self.prepared.public, "test")
        if split.column not in frame:
            return None
        rows = match_keys([str(key) for key in frame[self.prepared.id]], list(self.audit["_id"]))
        return np.asarray(pd.factorize(frame[split.column].take(rows).astype(str))[0])

    @cached_property
    def twins(self) -> Array | None:
        """Mask of the validated rows that repeat another training row; None where there are none.

        Set where test rows repeat none.
        """
        if "_twin" not in self.validated or not self.validated["_twin"].any():
            return None
        return np.asarray(self.validated["_twin"], dtype=bool)

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
        rows = match_keys([str(key) for key in frame[self.prepared.id]], self.validated_ids)
        drop = [self.prepared.id, *self.prepared.task.target]
        return frame.drop(columns=drop).take(rows).reset_index(drop=True)

    @cached_property
    def partitions(self) -> list[Partition]:
        """Partitions of the validated rows by the features."""
        return partition_columns(self.features)

    def encode(self, frame: pd.DataFrame) -> Array:
        """Encode the labels of some rows for the metric.

        0/1 or class positions for probabilities, `codes` for labels, texts for rankings and
        texts, else values.
        """
        columns = [LABEL_PREFIX + column.target for column in self.form.columns if column.target]
        first = frame[columns[0]]
        if self.metric.needs == "probability" and self.prepared.task.kind != "regression":
            position = {label: index for index, label in enumerate(self.labels)}
            return first.map(label_text).map(position).to_numpy(dtype=float)
        if self.metric.needs == "label":
            return self.encode_labels(first.map(label_text))
        if self.metric.needs == "ranking":
            return first.map(label_text).to_numpy()
        if self.prepared.task.kind == "text":
            texts = frame[columns].astype(object).map(label_text).to_numpy()
            return texts[:, 0] if texts.shape[1] == 1 else texts
        values = frame[columns].to_numpy(dtype=float)
        return values[:, 0] if values.shape[1] == 1 else values

    def encode_labels(self, texts: pd.Series[Any]) -> Array:
        """Return the `codes` of labels; NaN for unknown ones."""
        return self.find_labels(texts).map(self.codes).to_numpy(dtype=float)

    def find_labels(self, texts: pd.Series[Any]) -> pd.Series[Any]:
        """Return the labels that texts mean; missing for unknown ones. 1.0 is 1, true is True."""
        distinct = pd.Index(texts.dropna().unique())
        places = match_keys([*self.labels], [str(text) for text in distinct])
        known = {
            text: self.labels[place]
            for text, place in zip(distinct, places, strict=True)
            if place >= 0
        }
        return texts.map(known)

    @cached_property
    def codes(self) -> dict[str, float]:
        """A number for every label: itself where all labels are numbers, else its position.

        For F1 of two classes: 1 for the positive one.
        """
        if self.metric.name == "f1":
            return {label: float(index) for index, label in enumerate(self.labels)}
        try:
            return {label: float(label) for label in self.labels}
        except ValueError:
            return {label: float(index) for index, label in enumerate(self.labels)}


@lru_cache(maxsize=4)
def load_truth(private: str, prepared_json: str) -> Truth:
    """Load the labels of a prepared task from its private folder."""
    prepared = Prepared.model_validate(json.loads(prepared_json))
    folder, task = Path(private), prepared.task
    frame = pd.read_parquet(folder / "labels.parquet")
    if "_id" not in frame:  # a run of an earlier version
        names = {prepared.id: "_id", "fold": "_fold", "twin": "_twin"}
        frame = frame.rename(columns=names | {name: LABEL_PREFIX + name for name in task.target})
    frame["_id"] = frame["_id"].map(label_text)
    labels = json.loads((folder / "meta.json").read_text())["labels"]
    metric = task_metric(task)
    if metric.frame is None:
        return Truth(prepared, metric, labels, frame)
    answers = pd.read_parquet(folder / ANSWERS)
    frame["_row"] = np.arange(len(frame))
    return Truth(prepared, bind_to_form(metric, answers, prepared), labels, frame)


def bind_to_form(metric: Metric, answers: pd.DataFrame, prepared: Prepared) -> Metric:
    """Return a metric over tables, bound to the answers; columns are those of the form."""
    assert prepared.form is not None
    columns = FrameColumns(
        id=prepared.id,
        targets=[column.target for column in prepared.form.columns],
        predictions=[column.name for column in prepared.form.columns],
        group=group_of_answers(prepared, answers),
    )
    return bind_answers(metric, answers, columns)


def group_of_answers(prepared: Prepared, answers: pd.DataFrame) -> str:
    """Return the column whose rows belong together: the first part of an id made of several."""
    parts = prepared.task.id_parts
    return parts[0] if len(parts) > 1 and parts[0] in answers else ""


def form_of_earlier_run(prepared: Prepared, metric: Metric, labels: list[str]) -> SubmissionForm:
    """Return the form of a run that stored none: columns in the order of labels or targets."""
    target, names = prepared.task.target, prepared.columns[1:]
    is_probability = metric.needs == "probability" and prepared.task.kind != "regression"
    columns = []
    for index, name in enumerate(names):
        label = (labels[index] if len(names) > 1 else labels[-1]) if is_probability else ""
        place = min(index, len(target) - 1) if not is_probability else 0
        columns.append(FormColumn(name=name, target=target[place], label=label))
    return SubmissionForm(id=prepared.id, columns=columns, labels=labels, bounds=metric.bounds)


def get_truth(prepared: Prepared) -> Truth:
    """Return the labels of a prepared task, loaded once."""
    return load_truth(prepared.private, json.dumps(prepared.model_dump()))  # paths of any bytes


def read_sample_ids(prepared: Prepared) -> list[str]:
    """Return the ids of the public sample submission."""
    path = Path(prepared.public) / "sample_submission.csv"
    sample = pd.read_csv(path, usecols=[0], dtype=str, keep_default_na=False)
    return [str(value) for value in sample.iloc[:, 0]]


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


class Said(NamedTuple):
    """What a file says: what the metric takes, or what is finer; the other one is None."""

    exact: Array | None
    soft: Array | None  # a column per class, or values; `SoftForm` of the task

    def decode(self, truth: Truth, decoder: Decoder | None = None) -> Array:
        """Return what the metric takes; `decoder`: None for the validated rows, nested by fold."""
        if self.soft is None:
            assert self.exact is not None
            return self.exact
        if decoder is not None:
            said = apply_decoder(truth.decoded, decoder, self.soft)
        else:
            said = decode_across_folds(truth.decoded, truth.soft_truth.y, self.soft, truth.fold)
        return name_guesses(truth, said) if truth.decoded.decoder == "top" else said

    def flatten(self, truth: Truth) -> Array:
        """Return the soft ones as `soft_truth` takes them: of two classes the second one's."""
        if self.soft is None or truth.soft is None:
            raise PredictionsError("mixed_forms", "the file holds labels, not probabilities")
        return np.asarray(self.soft[:, 1] if truth.soft.layout == "positive" else self.soft)


def name_guesses(truth: Truth, places: Array) -> Array:
    """Return the classes at these positions as lists, best first, as long as the metric counts."""
    n_guesses = int(truth.metric.name.rpartition("@")[2])
    rankings = np.empty(len(places), dtype=object)
    for row, best in enumerate(places[:, :n_guesses]):
        rankings[row] = [truth.form.labels[place] for place in best]
    return rankings


def soften_task(prepared: Prepared, soft: SoftForm) -> Prepared:
    """Return the task whose submission has the soft columns."""
    form = prepared.form
    assert form is not None
    if soft.layout == "classes":
        target = form.columns[0].target
        columns = [FormColumn(name=name, target=target, label=name) for name in soft.columns[1:]]
    else:
        label = form.labels[-1] if soft.layout == "positive" else ""
        columns = [column.model_copy(update={"label": label}) for column in form.columns]
    changes: dict[str, Any] = {"bounds": None, "columns": columns}
    task = prepared.task
    if soft.layout == "values":
        task = task.model_copy(update={"kind": "regression"})
    return prepared.model_copy(
        update={
            "task": task,
            "soft": None,
            "columns": soft.columns,
            "form": form.model_copy(update=changes),
        }
    )


def read_predictions(
    truth: Truth, path: str, name: str, ids: list[str], decoder: Decoder | None = None
) -> Array:
    """Read predictions in the order of `ids`, shape (n,) or (n, k). Raises PredictionsError.

    `decoder`: of probabilities for other rows than the validated ones; None: the one that is fitted
    to nothing.
    """
    said = read_said(truth, path, name, ids)
    if said.soft is None:
        return said.decode(truth)
    is_validated = ids is truth.validated_ids or ids == truth.validated_ids
    return said.decode(truth, decoder or (None if is_validated else default_decoder(truth.decoded)))


def read_said(truth: Truth, path: str, name: str, ids: list[str], *, n_rows: int = 0) -> Said:
    """Read a file of labels or of what may stand for them. Raises PredictionsError.

    `n_rows`: that it may have, where it may have others, too, which are left out.
    """
    prepared, has_more = truth.prepared, n_rows > 0
    n_rows = n_rows or len(ids)
    columns = class_columns(truth, Path(path), name)
    if columns is not None:
        named = truth.soft_truth.prepared
        frame = read_prediction_table(Path(path), name, n_rows, list(columns))
        frame = frame.rename(columns=columns).reindex(columns=named.columns, fill_value=0.0)
        values = align_rows(keep_rows(frame, ids) if has_more else frame, name, ids, named)
        return Said(None, convert_shares(convert_numbers(values, name), name))
    frame = read_prediction_table(
        Path(path), name, n_rows, prepared.columns, content=content_of(truth)
    )
    values = align_rows(keep_rows(frame, ids) if has_more else frame, name, ids, prepared)
    soft = soft_cells(truth, values, name)
    return Said(convert_predictions(truth, values, name) if soft is None else None, soft)


def keep_rows(frame: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    """Return the rows of a file that have these ids, as far as it has them."""
    rows = match_keys(list_keys(frame.iloc[:, 0]), ids)
    return frame.take(rows[rows >= 0])


def list_keys(column: pd.Series[Any]) -> list[str]:
    """Return ids as texts; as objects, since pandas is slow over texts of its own."""
    return [str(key) for key in column.to_numpy(dtype=object)]


def class_columns(truth: Truth, path: Path, name: str) -> dict[str, str] | None:
    """Return what the columns of a file of probabilities hold: the id and the classes.

    A class without a column has the probability zero. None where the file has the columns of the
    submission. Raises PredictionsError for others, which names both forms.
    """
    soft = truth.soft
    if soft is None or soft.columns == truth.prepared.columns:
        return None
    limit = MAX_LINE_BYTES + MAX_COLUMN_BYTES * len(soft.columns)
    with path.open("rb") as file:
        line = file.readline(limit + 1)
    try:
        header = parse_line(line) if len(line) <= limit else []
    except (UnicodeDecodeError, csv.Error):
        return None
    if sorted(header) == sorted(truth.prepared.columns):
        return None
    classes = [column for column in header if column != soft.columns[0]]
    places = match_keys(soft.columns[1:], classes)
    is_known = len(classes) == len(header) - 1 and len(set(places)) == len(places) > 1
    if not is_known or (places < 0).any():
        raise PredictionsError(
            "wrong_columns",
            f"{name} has the columns {[column[:80] for column in header[:8]]}, it should have "
            f"exactly {truth.prepared.columns} with labels, or {soft.columns[:8]}"
            f"{' …' if len(soft.columns) > 8 else ''} with probabilities",
        )
    known = {column: soft.columns[1 + place] for column, place in zip(classes, places, strict=True)}
    return {soft.columns[0]: soft.columns[0], **known}


def convert_shares(numbers: Array, name: str) -> Array:
    """Return probabilities of all classes, which sum to one. Raises PredictionsError."""
    check_probabilities(numbers, name, "a column per class")
    total = numbers.sum(axis=1)
    n_off = int((np.abs(total - 1) > SUM_TOLERANCE).sum())
    if n_off:
        raise PredictionsError(
            "not_probability",
            f"{name} has probabilities that do not sum to 1 in {format_plural(n_off, 'row')} (one "
            f"has {total[np.abs(total - 1).argmax()]:.3g}); divide each row by its sum",
        )
    return scale_to_one(np.clip(numbers, 0, 1))


def soft_cells(truth: Truth, values: pd.DataFrame, name: str) -> Array | None:
    """Return what the columns of the submission hold, where it is finer than labels; else None.

    Raises PredictionsError for numbers that are no probabilities.
    """
    soft = truth.soft
    if soft is None or soft.layout == "classes":
        return None
    if truth.metric.needs in ("label", "ranking"):
        texts = values.iloc[:, 0]
        if not truth.find_labels(texts).isna().any():
            return None
        values = values.apply(pd.to_numeric, errors="coerce")
        if values.isna().any(axis=None) or not np.isfinite(values.to_numpy()).all():
            return None  # a label that is none: the message for labels fits
        numbers = values.to_numpy(dtype=float)
    else:
        numbers = convert_numbers(values, name)
        if (numbers % 1 == 0).all():
            return None
    if soft.layout == "values":
        return np.asarray(numbers[:, 0] if numbers.shape[1] == 1 else numbers)
    check_probabilities(numbers, name, f"`{soft.columns[1]}` without labels")
    second = np.clip(numbers[:, 0], 0, 1)
    return np.column_stack([1 - second, second])


class SaidPair(NamedTuple):
    """What both files of a script say."""

    oof: Said
    test: Said
    decoder: Decoder | None  # of the test rows; None where files hold labels

    def decode(self, truth: Truth) -> tuple[Array, Array]:
        """Return what the metric takes, of the validated rows and of the test rows."""
        return self.oof.decode(truth), self.test.decode(truth, self.decoder)


def read_pair(truth: Truth, oof: str, submission: str) -> SaidPair:
    """Read both files of a script. Raises PredictionsError where they have different forms."""
    one = read_said(truth, oof, "oof.csv", truth.validated_ids)
    two = read_said(truth, submission, "submission.csv", truth.test_ids)
    if (one.soft is None) != (two.soft is None):
        kinds = ("labels", "no labels") if one.soft is None else ("no labels", "labels")
        raise PredictionsError(
            "mixed_forms",
            f"oof.csv holds {kinds[0]} and submission.csv {kinds[1]}; write both in the same form",
        )
    return SaidPair(one, two, fit_to_all(truth, one))


def fit_to_all(truth: Truth, oof: Said) -> Decoder | None:
    """Return the decoder of other rows, fitted on all validated ones; None for labels."""
    if oof.soft is None:
        return None
    return fit_decoder(truth.decoded, truth.soft_truth.y, oof.soft)


@lru_cache(maxsize=32)
def read_decoder(truth: Truth, oof: str) -> Decoder | None:
    """Return the decoder that fits an earlier out-of-fold file; None where it holds labels.

    Raises PredictionsError.
    """
    return fit_to_all(truth, read_said(truth, oof, "oof.csv", truth.validated_ids))


@lru_cache(maxsize=32)
def read_losses(truth: Truth, oof: str) -> Array | None:
    """Return the surrogate's loss of every row of an earlier file; None where it holds labels.

    Raises PredictionsError.
    """
    return find_losses(truth, read_said(truth, oof, "oof.csv", truth.validated_ids))


def find_losses(truth: Truth, oof: Said) -> Array | None:
    """Return the surrogate's loss of every validated row; None where the file holds labels."""
    if oof.soft is None or truth.soft is None:
        return None
    return surrogate_losses(truth.soft, truth.soft_truth.y, oof.soft, truth.fold)


def read_earlier_test(truth: Truth, reference: Reference) -> Array:
    """Read an earlier attempt's predictions of the test rows. Raises PredictionsError."""
    decoder = read_decoder(truth, reference["oof"]) if truth.soft else None
    return read_predictions(
        truth, reference["submission"], "submission.csv", truth.test_ids, decoder
    )


def content_of(truth: Truth) -> Content:
    """Return what the prediction columns of a file contain."""
    if truth.metric.needs == "text":
        return "text"
    is_label = truth.metric.needs == "label" and bool(truth.labels)
    return "label" if is_label or truth.metric.needs == "ranking" else "number"


def list_oofs(reference: Reference) -> list[str]:
    """Return the out-of-fold files of an earlier attempt, under every seed that was run."""
    return [reference["oof"], *reference.get("seeds", [])]


@lru_cache(maxsize=32)
def read_earlier(truth: Truth, path: str, name: str = "oof.csv") -> Array:
    """Read an earlier attempt's predictions, once: artifacts never change.

    Raises PredictionsError.
    """
    return read_predictions(truth, path, name, truth.ids(name))


def read_prediction_table(
    path: Path, name: str, n_rows: int, columns: list[str], *, content: Content = "number"
) -> pd.DataFrame:
    """Read a csv of the expected columns, in any order, and of bounded size.

    Its shape is checked line by line first: pandas may take minutes for a hostile one.
    Raises PredictionsError.
    """
    check_file_size(path, name, n_rows, columns, TEXT_BYTES if content == "text" else 0)
    try:
        if content == "text":
            check_cells(path, name, n_rows, columns)
        else:
            with path.open("rb") as file:
                check_lines(file, name, n_rows, columns)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PredictionsError("not_text", f"{name} is not a UTF-8 csv file ({error})") from error
    try:
        return read_checked_table(path, columns, content)
    except (ValueError, UnicodeDecodeError) as error:
        raise PredictionsError(
            "not_csv", f"{name} cannot be read as csv: {str(error)[:200]}"
        ) from error


def read_checked_table(path: Path, columns: list[str], content: Content) -> pd.DataFrame:
    """Read a csv whose header and shape were checked; its columns in the expected order.

    An empty text is a text; an empty label or number is missing.
    """
    dtype: Any = {columns[0]: str} if content == "number" else str
    frame = pd.read_csv(
        path,
        dtype=dtype,
        usecols=range(len(columns)),
        index_col=False,
        low_memory=False,
        keep_default_na=False,
        na_values=[] if content == "text" else MISSING,
    )
    if frame[columns[0]].isna().any():
        keys = pd.read_csv(path, usecols=[columns[0]], dtype=str, keep_default_na=False)
        frame[columns[0]] = keys[columns[0]]
    return frame[columns]


def check_file_size(path: Path, name: str, n_rows: int, columns: list[str], more: int = 0) -> None:
    """Refuse a file that is too large for its rows. Raises PredictionsError.

    `more`: bytes that a line may have besides.
    """
    n_bytes = path.stat().st_size
    mean = MEAN_LINE_BYTES + MAX_COLUMN_BYTES * len(columns) + more
    if n_bytes > mean * (n_rows + MAX_EXTRA_LINES):
        raise PredictionsError(
            "too_large",
            f"{name} is {n_bytes / 2**20:.0f} MiB for {n_rows} expected rows; "
            "write one line per row",
        )


def check_lines(file: IO[bytes], name: str, n_rows: int, columns: list[str]) -> None:
    """Check header, number and width of the lines, reading none that is too long.

    Raises PredictionsError, UnicodeDecodeError, csv.Error.
    """
    limit = MAX_LINE_BYTES + MAX_COLUMN_BYTES * len(columns)
    n_lines = 1 + sum(column.count("\n") for column in columns)  # of a header whose names have some
    n_commas, first = len(columns) - 1, b"".join(file.readline(limit + 1) for _ in range(n_lines))
    if len(first) <= limit:  # else it has another header than ours, or nothing but one
        check_header(parse_line(first), name, columns)
    for number, line in enumerate(chain([first], iter(lambda: file.readline(limit + 1), b"")), 1):
        if len(line) > limit:
            raise PredictionsError(
                "not_csv",
                f"{name}: line {number} has more than {limit} characters; "
                "write one short line per row",
            )
        if number > 2 * n_rows + MAX_EXTRA_LINES:
            raise PredictionsError(
                "too_large",
                f"{name} has more than {number - 1} lines for {n_rows} expected rows; "
                "write one line per row",
            )
        if line.count(b",") == n_commas or not line.strip() or number == 1:
            continue
        if (n_fields := len(parse_line(line))) > len(columns):
            raise PredictionsError(
                "not_csv",
                f"{name}: line {number} has {n_fields} fields, the header {len(columns)}; "
                "write one value per column",
            )


def check_cells(path: Path, name: str, n_rows: int, columns: list[str]) -> None:
    """Check header and number of the rows of a csv whose cells are texts, with line ends maybe.

    Raises PredictionsError, UnicodeDecodeError, csv.Error.
    """
    csv.field_size_limit(MAX_TEXT_BYTES)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file, strict=True)
        check_header(next(rows, []), name, columns)
        for number, row in enumerate(rows, 1):
            if number > 2 * n_rows + MAX_EXTRA_LINES:
                raise PredictionsError(
                    "too_large",
                    f"{name} has more than {number - 1} rows for {n_rows} expected ones; "
                    "write one row per id",
                )
            if row and len(row) != len(columns):
                raise PredictionsError(
                    "not_csv",
                    f"{name}: row {number} has {len(row)} fields, the header {len(columns)}; "
                    "write one value per column, quoted where it has commas",
                )


def parse_line(line: bytes) -> list[str]:
    """Return the fields of one line. Raises UnicodeDecodeError, csv.Error."""
    return next(csv.reader([line.decode()]), [])


def check_header(header: list[str], name: str, columns: list[str]) -> None:
    """Refuse any header but the expected one. Raises PredictionsError."""
    if sorted(header) != sorted(columns):
        raise PredictionsError(
            "wrong_columns",
            f"{name} has the columns {[column[:80] for column in header[:8]]}, "
            f"it should have exactly {columns[:8]}{' …' if len(columns) > 8 else ''}",
        )


def align_rows(frame: pd.DataFrame, name: str, ids: list[str], prepared: Prepared) -> pd.DataFrame:
    """Return the prediction columns in the order of `ids`; the file may have any order.

    Raises PredictionsError for repeated, missing or unknown ids.
    """
    keys = list_keys(frame[prepared.id])
    if n_repeated := len(keys) - len(set(keys)):
        repeated = next(key for key, n in Counter(keys).items() if n > 1)
        raise PredictionsError(
            "duplicate_ids",
            f"{name} has {format_plural(n_repeated, 'repeated id')} "
            f"(e.g. {repeated!r}); write each row once",
        )
    rows = match_keys(keys, ids)
    if missing := [ids[index] for index in np.flatnonzero(rows < 0)]:
        raise PredictionsError(
            "missing_rows",
            f"{name} lacks {len(missing)} of {len(ids)} rows (e.g. id {missing[0]!r}); "
            "predict every row of the script contract",
        )
    if n_unknown := len(frame) - len(ids):
        raise PredictionsError(
            "unknown_ids",
            f"{name} has {format_plural(n_unknown, 'unknown row')}; "
            "write exactly the rows of the script contract",
        )
    return frame[prepared.columns[1:]].take(rows)


def convert_predictions(truth: Truth, values: pd.DataFrame, name: str) -> Array:
    """Convert predictions to what the metric needs. Raises PredictionsError."""
    needs = truth.metric.needs
    if needs == "ranking":
        return convert_rankings(truth, values.iloc[:, 0], name)
    if needs == "label" and truth.prepared.task.kind != "regression":
        return convert_labels(truth, values.iloc[:, 0], name)
    if needs == "text":
        texts = values.astype(object).fillna("").to_numpy()
        return texts[:, 0] if texts.shape[1] == 1 else texts
    numbers = convert_numbers(values, name)
    if needs == "probability" and (truth.metric.name != "auc" or truth.has_class_columns):
        check_probabilities(numbers, name, truth.metric.name)
    if truth.form.bounds is not None:
        numbers = np.clip(numbers, *truth.form.bounds)
    if truth.has_class_columns or truth.metric.sums_to_one:
        numbers = scale_to_one(numbers)
    if truth.metric.is_whole:
        numbers = np.rint(numbers)
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers


def check_probabilities(numbers: Array, name: str, metric: str) -> None:
    """Refuse values that are no probabilities. Raises PredictionsError."""
    low, high = numbers.min(), numbers.max()
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise PredictionsError(
            "not_probability",
            f"{name} has values outside 0..1 ({low:.3g} to {high:.3g}); "
            f"{metric} needs probabilities",
        )


def scale_to_one(numbers: Array) -> Array:
    """Scale the probabilities of every row to sum to one; equal ones for a row of zeros."""
    total = numbers.sum(axis=1, keepdims=True)
    even = np.full_like(numbers, 1 / numbers.shape[1])
    return np.where(total > 0, numbers / np.where(total > 0, total, 1), even)


def convert_rankings(truth: Truth, values: pd.Series[Any], name: str) -> Array:
    """Return the guessed labels of every row, best first. Raises PredictionsError for others.

    Labels are separated by blanks and may contain blanks themselves: the longest label that fits
    is taken.
    """
    words = {tuple(label.split()): label for label in truth.labels}
    words |= {(plain_key(label),): label for label in truth.labels if len(label.split()) == 1}
    longest = max(len(key) for key in words)
    known: dict[str, list[str]] = {}
    rankings = np.empty(len(values), dtype=object)
    for row, text in enumerate(values):
        text = "" if pd.isna(text) else str(text)
        if text not in known:
            known[text] = split_ranking(text.split(), words, longest, name)
        rankings[row] = known[text]
    return rankings


def split_ranking(
    parts: list[str], words: dict[tuple[str, ...], str], longest: int, name: str
) -> list[str]:
    """Return the labels that words in a row make. Raises PredictionsError for other words."""
    guesses, at = [], 0
    while at < len(parts):
        for size in range(min(longest, len(parts) - at), 0, -1):
            key = tuple(parts[at : at + size])
            label = words.get(key) or (words.get((plain_key(key[0]),)) if size == 1 else None)
            if label is not None:
                guesses.append(label)
                at += size
                break
        else:
            raise PredictionsError(
                "unknown_label",
                f"{name} guesses {parts[at]!r}, which is no class; write classes separated by "
                f"blanks, such as {list(words.values())[:3]}",
            )
    return guesses


def convert_labels(truth: Truth, values: pd.Series[Any], name: str) -> Array:
    """Return the codes of predicted labels. Raises PredictionsError for an unknown one."""
    codes = truth.encode_labels(values)
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
            f"{name} has NaN or infinite predictions in {format_plural(n_bad, 'row')}; "
            "impute missing values before predicting",
        )
    return numbers
