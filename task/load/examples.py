"""Real data sets of scikit-learn and statsmodels as task folders, their answers kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from task.grade.metrics import get_metric
from task.load.form import label_text
from task.types import TaskError

TRUTH_PREFIX = "__truth"
"""Columns of a generated task with the best possible prediction begin so."""
TEST_SHARE = 0.4
FrameAndMask = tuple[pd.DataFrame, NDArray[np.bool_]]
"""A table with a column `id`, and which of its rows are the test."""


@dataclass(frozen=True)
class Example:
    """A data set: how to make its table (id first, target last), and how it is scored."""

    line: str
    metric: str
    make: Callable[[np.random.Generator], FrameAndMask]
    target: str
    text: str
    split: str = "auto"


def load_statsmodels(name: str) -> pd.DataFrame:
    """Load a data set of statsmodels."""
    from statsmodels import datasets

    frame = getattr(datasets, name).load_pandas().data
    return frame.reset_index(drop=True)  # type: ignore[no-any-return]


def draw_test_mask(n: int, n_test: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw `n_test` of `n` rows."""
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, n_test, replace=False)] = True
    return mask


def add_row_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """Number the rows in a first column `id`."""
    frame = frame.reset_index(drop=True)
    frame.insert(0, "id", np.arange(len(frame)))
    return frame


def restore_integers(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn columns of whole floats without gaps into integers."""
    for name in frame.select_dtypes("float"):
        if not frame[name].isna().any() and (frame[name] == frame[name].round()).all():
            frame[name] = frame[name].astype(int)
    return frame


def move_last(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Make the target the last column."""
    return frame[[name for name in frame if name != column] + [column]]


def make_modechoice(rng: np.random.Generator) -> FrameAndMask:
    """Travel modes; the test has new persons."""
    frame = restore_integers(load_statsmodels("modechoice")).rename(
        columns={"individual": "person"}
    )
    frame["mode"] = frame["mode"].map({1: "air", 2: "train", 3: "bus", 4: "car"})
    people = rng.permutation(frame["person"].unique())
    test = frame["person"].isin(people[: int(TEST_SHARE * len(people))])
    return add_row_ids(move_last(frame, "choice")), test.to_numpy()


def make_randhie(rng: np.random.Generator) -> FrameAndMask:
    """Visits to the doctor, 12,000 random rows."""
    frame = load_statsmodels("randhie")
    frame = restore_integers(
        frame.iloc[rng.choice(len(frame), 12_000, replace=False)].reset_index(drop=True)
    )
    return add_row_ids(move_last(frame, "mdvis")), draw_test_mask(12_000, 6_000, rng)


def make_fair(rng: np.random.Generator) -> FrameAndMask:
    """Affairs as yes or no."""
    frame = load_statsmodels("fair")
    frame["affair"] = (frame.pop("affairs") > 0).astype(int)
    frame = add_row_ids(restore_integers(frame))
    return frame, draw_test_mask(len(frame), int(TEST_SHARE * len(frame)), rng)


def make_anes96(rng: np.random.Generator) -> FrameAndMask:
    """Party identification, seven ordered classes."""
    frame = load_statsmodels("anes96")
    frame["party"] = frame.pop("PID")
    frame = add_row_ids(restore_integers(frame.drop(columns=["vote"], errors="ignore")))
    return frame, draw_test_mask(len(frame), int(TEST_SHARE * len(frame)), rng)


def make_co2(rng: np.random.Generator) -> FrameAndMask:
    """Weekly CO2; the test is the last 15 % of the weeks."""
    from statsmodels import datasets

    series = datasets.co2.load_pandas().data["co2"].dropna()
    frame = pd.DataFrame({"date": series.index.strftime("%Y-%m-%d"), "co2": series.to_numpy()})
    test = np.arange(len(frame)) >= int(0.85 * len(frame))
    return add_row_ids(frame), test


def make_digits(rng: np.random.Generator) -> FrameAndMask:
    """Digits of 8 x 8 pixels, 1,300 random rows."""
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = rng.choice(len(data.target), 1300, replace=False)
    frame = pd.DataFrame(
        data.data[rows].astype(int), columns=[f"pixel_{i // 8}_{i % 8}" for i in range(64)]
    )
    frame["digit"] = data.target[rows]
    return add_row_ids(frame), draw_test_mask(1300, 700, rng)


def make_breast_cancer(rng: np.random.Generator) -> FrameAndMask:
    """Malignant as 1, benign as 0."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    frame = data.frame.rename(columns=lambda name: str(name).replace(" ", "_"))
    frame["malignant"] = 1 - frame.pop("target")
    return add_row_ids(frame), draw_test_mask(len(frame), int(TEST_SHARE * len(frame)), rng)


def make_diabetes(rng: np.random.Generator) -> FrameAndMask:
    """Progression of diabetes."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(
        columns={"target": "progression"}
    )
    return add_row_ids(frame), draw_test_mask(len(frame), int(TEST_SHARE * len(frame)), rng)


EXAMPLES = {
    "modechoice": Example(
        "which of four ways of travel a person takes (binary rows in groups of 4, AUC)",
        "auc",
        make_modechoice,
        "choice",
        "Each person (column `person`) could travel by air, train, bus or car and chose exactly "
        "one. Every row is one person and one way: "
        "terminal waiting time `ttme`, vehicle cost `invc`, travel time in the vehicle `invt`, "
        "generalised cost `gc`, household income `hinc`, "
        "party size `psize`. Predict the probability that the way of this row was the chosen "
        "one. Persons of the test are new.\n\n"
        "Metric: area under the ROC curve.\n\nData: statsmodels `modechoice` (Greene, 1997).",
    ),
    "randhie": Example(
        "visits to the doctor in a year (skewed counts with zeros, RMSLE)",
        "rmsle",
        make_randhie,
        "mdvis",
        "RAND Health Insurance Experiment: predict the number of outpatient visits `mdvis` of a "
        "person in a year from insurance plan, income "
        "and health.\n\nMetric: root mean squared logarithmic error.\n\nData: statsmodels "
        "`randhie`, a random 12,000 rows.",
    ),
    "fair": Example(
        "extramarital affairs from a survey (binary, AUC)",
        "auc",
        make_fair,
        "affair",
        "Survey of married women (Redbook, 1974): predict whether a person reports an affair.\n\n"
        "Metric: AUC.\n\nData: statsmodels `fair`.",
    ),
    "co2": Example(
        "atmospheric CO2 at Mauna Loa, weekly; the test is the future (time, RMSE)",
        "rmse",
        make_co2,
        "co2",
        "Weekly atmospheric CO2 in ppm at Mauna Loa. Predict the weeks after the training period "
        "from the date alone.\n\nMetric: RMSE.\n\n"
        "Data: statsmodels `co2` (Keeling and Whorf).",
    ),
    "digits": Example(
        "handwritten digits of 8 x 8 pixels (10 classes, log loss)",
        "log_loss",
        make_digits,
        "digit",
        "Recognise a handwritten digit from 8 x 8 grey values 0..16 (`pixel_ROW_COLUMN`).\n\n"
        "Metric: multi-class log loss; give a probability "
        "per class.\n\nData: scikit-learn `digits`, a random 1,300 rows.",
    ),
    "anes96": Example(
        "party identification, 7 ordered classes (quadratic weighted kappa)",
        "qwk",
        make_anes96,
        "party",
        "American National Election Study 1996: predict party identification from 0 (strong "
        "Democrat) to 6 (strong Republican).\n\n"
        "Metric: quadratic weighted kappa.\n\nData: statsmodels `anes96`.",
    ),
    "breast_cancer": Example(
        "malignant or benign from cell nuclei (binary, log loss, few rows)",
        "log_loss",
        make_breast_cancer,
        "malignant",
        "Predict the probability that a tumour is malignant from measures of its cell nuclei.\n\n"
        "Metric: log loss.\n\nData: scikit-learn `breast_cancer`.",
    ),
    "diabetes": Example(
        "progression of diabetes after a year (regression, RMSE, few rows, noisy)",
        "rmse",
        make_diabetes,
        "progression",
        "Predict a measure of disease progression one year after baseline.\n\nMetric: RMSE.\n\n"
        "Data: scikit-learn `diabetes`.",
    ),
}


def list_examples() -> dict[str, str]:
    """Return a line on every example, by name."""
    return {name: example.line for name, example in EXAMPLES.items()}


def write_example(name: str, folder: str, *, seed: int = 0) -> None:
    """Write a task to `folder` and its answers to `folder`-private/answers.csv.

    Raises TaskError for an unknown name or a folder that cannot be written.
    """
    if name not in EXAMPLES:
        raise TaskError(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    write_task(EXAMPLES[name], name, Path(folder), np.random.default_rng(seed + 1))


def write_task(example: Example, name: str, place: Path, rng: np.random.Generator) -> None:
    """Write a task to `place` and its answers beside it.

    Columns that begin with TRUTH_PREFIX go to the answers only. Raises TaskError.
    """
    frame, test = example.make(rng)
    private = place.with_name(place.name + "-private")
    text = f"# {name}\n\n{example.text}\n"
    check_place(place, private, text)
    try:
        place.mkdir(parents=True, exist_ok=True)
        private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaskError(
            f"{place} cannot be written ({error.strerror}); choose another folder"
        ) from error
    private.chmod(0o700)
    hidden = [column for column in frame if str(column).startswith(TRUTH_PREFIX)]
    held = frame[test]
    held[["id", example.target, *hidden]].to_csv(private / "answers.csv", index=False)
    train, held = frame[~test].drop(columns=hidden), held.drop(columns=hidden)
    train.to_csv(place / "train.csv", index=False)
    held.drop(columns=example.target).to_csv(place / "test.csv", index=False)
    example_sample_submission(train, held, example).to_csv(
        place / "sample_submission.csv", index=False
    )
    (place / "description.md").write_text(text)
    (place / "task.yaml").write_text(
        f"name: {name}\nmetric: {example.metric}\ntrain: train.csv\ntest: test.csv\n"
        f"sample_submission: sample_submission.csv\nid: id\n"
        f"target: {example.target}\nsplit: {example.split}\n"
    )


def check_place(place: Path, private: Path, text: str) -> None:
    """Raise TaskError where a folder holds anything but this example, known by its description."""
    about = place / "description.md"
    if about.is_file() and about.read_text(encoding="utf-8", errors="replace") == text:
        return
    for folder in (place, private):
        if folder.is_dir() and any(folder.iterdir()):
            raise TaskError(f"{folder} holds files of another task; choose another folder")


def example_sample_submission(
    train: pd.DataFrame, held: pd.DataFrame, example: Example
) -> pd.DataFrame:
    """Return a submission that ignores the features: class rates, the commonest class or median."""
    metric, y = get_metric(example.metric), train[example.target]
    frame = pd.DataFrame({"id": held["id"]})
    if metric.needs == "probability" and y.nunique() > 2:
        for label in sorted(y.unique()):
            frame[label_text(label)] = round(float((y == label).mean()), 6)
    elif metric.needs == "probability":
        frame[example.target] = round(float(y.mean()), 6)
    else:
        frame[example.target] = y.mode().iloc[0] if metric.needs == "label" else y.median()
    return frame
