"""Real data sets that come inside scikit-learn and statsmodels, written out as task folders with the answers held back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from task.data.prepare import plain
from task.grade.metrics import get_metric
from task.load.spec import load_task
from task.load.tables import read_table
from task.types import Task, TaskError

TRUTH = "__truth"  # columns of a generated task that hold the best possible prediction


@dataclass(frozen=True)
class Example:
    """One example: how to make its frame (id first, target last) and which rows are the private test."""

    line: str
    metric: str
    make: Callable[
        [np.random.Generator], tuple[pd.DataFrame, Any]
    ]  # frame with a column `id`, mask of the test rows
    target: str
    text: str
    split: str = "auto"


def statsmodels(name: str) -> pd.DataFrame:
    from statsmodels import datasets

    frame = getattr(datasets, name).load_pandas().data
    return frame.reset_index(drop=True)  # type: ignore[no-any-return]


def drawn(n: int, n_test: int, rng: np.random.Generator) -> Any:
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, n_test, replace=False)] = True
    return mask


def with_id(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.reset_index(drop=True)
    frame.insert(0, "id", np.arange(len(frame)))
    return frame


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Floats that are whole numbers become integers, as a person would have written them."""
    for name in frame.select_dtypes("float"):
        if (frame[name].dropna() == frame[name].dropna().round()).all() and not frame[
            name
        ].isna().any():
            frame[name] = frame[name].astype(int)
    return frame


def modechoice(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    frame = whole(statsmodels("modechoice")).rename(columns={"individual": "person"})
    frame["mode"] = frame["mode"].map({1: "air", 2: "train", 3: "bus", 4: "car"})
    people = rng.permutation(frame["person"].unique())
    test = frame["person"].isin(people[: int(0.4 * len(people))])
    return with_id(
        frame[[column for column in frame if column != "choice"] + ["choice"]]
    ), test.to_numpy()


def randhie(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    frame = statsmodels("randhie")
    frame = whole(frame.iloc[rng.choice(len(frame), 12_000, replace=False)].reset_index(drop=True))
    return with_id(frame[[column for column in frame if column != "mdvis"] + ["mdvis"]]), drawn(
        12_000, 6_000, rng
    )


def fair(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    frame = statsmodels("fair")
    frame["affair"] = (frame.pop("affairs") > 0).astype(int)
    return with_id(whole(frame)), drawn(len(frame), int(0.4 * len(frame)), rng)


def anes96(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    frame = statsmodels("anes96")
    frame["party"] = frame.pop("PID")
    return with_id(whole(frame.drop(columns=["vote"], errors="ignore"))), drawn(
        len(frame), int(0.4 * len(frame)), rng
    )


def co2(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    from statsmodels import datasets

    series = datasets.co2.load_pandas().data["co2"].dropna()
    frame = pd.DataFrame({"date": series.index.strftime("%Y-%m-%d"), "co2": series.to_numpy()})
    test = np.arange(len(frame)) >= int(0.85 * len(frame))
    return with_id(frame), test


def digits(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = rng.choice(len(data.target), 1300, replace=False)
    frame = pd.DataFrame(
        data.data[rows].astype(int), columns=[f"pixel_{i // 8}_{i % 8}" for i in range(64)]
    )
    frame["digit"] = data.target[rows]
    return with_id(frame), drawn(1300, 700, rng)


def breast_cancer(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    frame = data.frame.rename(columns=lambda name: str(name).replace(" ", "_"))
    frame["malignant"] = 1 - frame.pop("target")
    return with_id(frame), drawn(len(frame), int(0.4 * len(frame)), rng)


def diabetes(rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(
        columns={"target": "progression"}
    )
    return with_id(frame), drawn(len(frame), int(0.4 * len(frame)), rng)


EXAMPLES = {
    "modechoice": Example(
        "which of four ways of travel a person takes (binary rows in groups of 4, AUC)",
        "auc",
        modechoice,
        "choice",
        "Each person (column `person`) could travel by air, train, bus or car and chose exactly one. Every row is one person and one way: "
        "terminal waiting time `ttme`, vehicle cost `invc`, travel time in the vehicle `invt`, generalised cost `gc`, household income `hinc`, "
        "party size `psize`. Predict the probability that the way of this row was the chosen one. Persons of the test are new.\n\n"
        "Metric: area under the ROC curve.\n\nData: statsmodels `modechoice` (Greene, 1997).",
    ),
    "randhie": Example(
        "visits to the doctor in a year (skewed counts with zeros, RMSLE)",
        "rmsle",
        randhie,
        "mdvis",
        "RAND Health Insurance Experiment: predict the number of outpatient visits `mdvis` of a person in a year from insurance plan, income "
        "and health.\n\nMetric: root mean squared logarithmic error.\n\nData: statsmodels `randhie`, a random 12,000 rows.",
    ),
    "fair": Example(
        "extramarital affairs from a survey (binary, AUC)",
        "auc",
        fair,
        "affair",
        "Survey of married women (Redbook, 1974): predict whether a person reports an affair.\n\nMetric: AUC.\n\nData: statsmodels `fair`.",
    ),
    "co2": Example(
        "atmospheric CO2 at Mauna Loa, weekly; the test is the future (time, RMSE)",
        "rmse",
        co2,
        "co2",
        "Weekly atmospheric CO2 in ppm at Mauna Loa. Predict the weeks after the training period from the date alone.\n\nMetric: RMSE.\n\n"
        "Data: statsmodels `co2` (Keeling and Whorf).",
    ),
    "digits": Example(
        "handwritten digits of 8 x 8 pixels (10 classes, log loss)",
        "log_loss",
        digits,
        "digit",
        "Recognise a handwritten digit from 8 x 8 grey values 0..16 (`pixel_ROW_COLUMN`).\n\nMetric: multi-class log loss; give a probability "
        "per class.\n\nData: scikit-learn `digits`, a random 1,300 rows.",
    ),
    "anes96": Example(
        "party identification, 7 ordered classes (quadratic weighted kappa)",
        "qwk",
        anes96,
        "party",
        "American National Election Study 1996: predict party identification from 0 (strong Democrat) to 6 (strong Republican).\n\n"
        "Metric: quadratic weighted kappa.\n\nData: statsmodels `anes96`.",
    ),
    "breast_cancer": Example(
        "malignant or benign from cell nuclei (binary, log loss, few rows)",
        "log_loss",
        breast_cancer,
        "malignant",
        "Predict the probability that a tumour is malignant from measures of its cell nuclei.\n\nMetric: log loss.\n\nData: scikit-learn `breast_cancer`.",
    ),
    "diabetes": Example(
        "progression of diabetes after a year (regression, RMSE, few rows, noisy)",
        "rmse",
        diabetes,
        "progression",
        "Predict a measure of disease progression one year after baseline.\n\nMetric: RMSE.\n\nData: scikit-learn `diabetes`.",
    ),
}


def list_examples() -> dict[str, str]:
    return {name: example.line for name, example in EXAMPLES.items()}


def write_example(name: str, folder: str, *, seed: int = 0) -> None:
    """The task into `folder`, the answers into `folder`-private/answers.csv. Raises TaskError for an unknown name."""
    if name not in EXAMPLES:
        raise TaskError(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    write_task(EXAMPLES[name], name, Path(folder), np.random.default_rng(seed + 1))


def write_task(example: Example, name: str, place: Path, rng: np.random.Generator) -> None:
    """The task into `place`, the answers beside it; columns that begin with TRUTH go with the answers only. Raises TaskError."""
    frame, test = example.make(rng)
    private = place.with_name(place.name + "-private")
    try:
        place.mkdir(parents=True, exist_ok=True)
        private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaskError(
            f"{place} cannot be written ({error.strerror}); choose another folder"
        ) from error
    private.chmod(0o700)
    truth = [column for column in frame if str(column).startswith(TRUTH)]
    held = frame[test]
    held[["id", example.target, *truth]].to_csv(private / "answers.csv", index=False)
    train, held = frame[~test].drop(columns=truth), held.drop(columns=truth)
    train.to_csv(place / "train.csv", index=False)
    held.drop(columns=example.target).to_csv(place / "test.csv", index=False)
    know_nothing(train, held, example).to_csv(place / "sample_submission.csv", index=False)
    (place / "description.md").write_text(f"# {name}\n\n{example.text}\n")
    (place / "task.yaml").write_text(
        f"name: {name}\nmetric: {example.metric}\ntrain: train.csv\ntest: test.csv\nsample_submission: sample_submission.csv\nid: id\n"
        f"target: {example.target}\nsplit: {example.split}\n"
    )


def know_nothing(train: pd.DataFrame, held: pd.DataFrame, example: Example) -> pd.DataFrame:
    """The sample submission: class rates, commonest class or median, without looking at the test's labels."""
    metric, y = get_metric(example.metric), train[example.target]
    frame = pd.DataFrame({"id": held["id"]})
    if metric.needs == "probability" and y.nunique() > 2:
        for label in sorted(y.unique()):
            frame[plain(label)] = round(float((y == label).mean()), 6)
    elif metric.needs == "probability":
        frame[example.target] = round(float(y.mean()), 6)
    else:
        frame[example.target] = y.mode().iloc[0] if metric.needs == "label" else y.median()
    return frame


def score_private(task: str, answers: str, submission: str) -> float:
    """Metric of a submission against answers held outside the task. Raises TaskError."""
    spec = load_task(task)
    metric = get_metric(spec.metric, spec.direction)
    truth, guess, target = read_table(Path(answers)), read_table(Path(submission)), spec.target[0]
    if target not in truth:
        raise TaskError(
            f"{answers} has no column {target!r}, the task's target (it has {', '.join(map(str, truth.columns[:6]))})"
        )
    p = matched(spec, truth, guess, answers, submission)
    labels = sorted(read_table(Path(spec.train))[target].dropna().unique())
    if metric.needs == "probability" and spec.kind != "regression":
        y = (
            truth[target]
            .map({label: index for index, label in enumerate(labels)})
            .to_numpy(dtype=float)
        )
        named = [plain(label) for label in labels]
        p = p[named] if set(named) <= set(p.columns) else p
        return metric.score(
            y, p.to_numpy(dtype=float) if len(labels) > 2 else p.iloc[:, 0].to_numpy(dtype=float)
        )
    if metric.needs in ("label", "ranking"):
        return metric.score(truth[target].to_numpy(), p.iloc[:, 0].to_numpy())
    return metric.score(truth[target].to_numpy(dtype=float), p.iloc[:, 0].to_numpy(dtype=float))


def matched(
    spec: Task, truth: pd.DataFrame, guess: pd.DataFrame, answers: str, submission: str
) -> pd.DataFrame:
    """The submission's predictions in the order of the answers: by id, or by place where the task has no ids."""
    if spec.id is None and len(truth) == len(guess):
        return guess.iloc[:, 1:]
    if spec.id is None or (spec.id not in truth and len(truth.columns) < 2):
        wanted = (
            f"the ids in a column {spec.id!r}"
            if spec.id
            else f"one row for each of the {len(guess)} rows of the test table, in its order"
        )
        raise TaskError(f"{answers} cannot be matched with {submission}; it needs {wanted}")
    key = truth[spec.id if spec.id in truth else truth.columns[0]].map(plain)
    guess.index = pd.Index(guess.iloc[:, 0].map(plain))
    missing = set(key) - set(guess.index)
    if missing:
        raise TaskError(
            f"{submission} lacks {len(missing)} of the ids in {answers} (e.g. {sorted(missing)[0]!r})"
        )
    return guess.loc[list(key)].iloc[:, 1:]
