"""Every metric is best at the truth and worse at a shuffle; its words are found in descriptions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task.grade.metric_words import find_scored_targets, read_metric_words
from task.grade.metrics import FRAME_METRICS, METRICS, get_metric, metric_for_targets


def truth_and_predictions(name: str, seed: int) -> tuple[Any, Any, Any]:
    """Labels, the predictions that equal them, and the same predictions shuffled."""
    rng = np.random.default_rng(seed)
    metric, n = get_metric(name), 60
    order = rng.permutation(n)
    if metric.needs == "probability":
        y = rng.permutation(np.arange(n) % 2).astype(float)
        return y, y, y[order]
    if metric.needs == "label":
        y = rng.permutation(np.arange(n) % (2 if name == "f1" else 3)).astype(float)
        return y, y, y[order]
    if METRICS[name].is_whole:
        y = np.column_stack([rng.permutation(np.arange(n) % 2) for _ in range(3)]).astype(float)
        return y, y, y[order]
    if name.startswith(("lwlrap", "auc_", "average_precision_", "log_loss_", "brier_")):
        y = np.column_stack([rng.permutation(np.arange(n) % 2) for _ in range(3)]).astype(float)
        return y, y, y[order]
    if name == "kl_divergence":
        y = rng.dirichlet(np.ones(3), n)
        return y, y, y[order]
    shape = (n, 3) if name.endswith("_mean_columns") else (n,)
    y = rng.gamma(2.0, 3.0, shape)
    return y, y, y[order]


@settings(derandomize=True, max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize("name", sorted(set(METRICS) - set(FRAME_METRICS)))
def test_the_truth_is_the_optimum_and_a_shuffle_is_worse(name: str, seed: int) -> None:
    metric = METRICS[name]
    y, best, shuffled = truth_and_predictions(name, seed)
    assert metric.score(y, best) == pytest.approx(metric.best, abs=1e-9)
    sign = 1 if metric.direction == "max" else -1
    assert sign * metric.score(y, best) > sign * metric.score(y, shuffled)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "f1_macro", "mcc", "qwk"])
def test_labels_of_several_targets_are_scored_column_by_column(name: str) -> None:
    metric = METRICS[metric_for_targets(name, 3)]
    y, _, shuffled = truth_and_predictions(metric.name, 3)
    p = np.where(np.arange(len(y))[:, None] % 3 == 0, shuffled, y)
    single = [METRICS[name].score(y[:, j], p[:, j]) for j in range(3)]
    assert metric.score(y, p) == pytest.approx(float(np.mean(single)))


@pytest.mark.parametrize("name", ["auc", "log_loss", "rmse", "rmsle", "spearman", "r2", "pearson"])
def test_several_targets_are_scored_column_by_column(name: str) -> None:
    assert metric_for_targets(name, 2) == f"{name}_mean_columns"
    metric = METRICS[f"{name}_mean_columns"]
    y, _, shuffled = truth_and_predictions(metric.name, 3)
    p = np.clip(0.7 * y + 0.3 * shuffled, 0.01, None)
    p = np.clip(p, None, 0.99) if name == "log_loss" else p
    single = [METRICS[name].score(y[:, j], p[:, j]) for j in range(3)]
    assert metric.score(y, p) == pytest.approx(float(np.mean(single)))


def test_a_column_with_one_class_is_left_out_of_the_mean() -> None:
    y = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    p = np.array([[0.1, 0.5], [0.9, 0.2], [0.8, 0.1]])
    assert METRICS["auc_mean_columns"].score(y, p) == 1.0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "RMSE between the logarithm of the predicted and the logarithm of the sales price",
            "rmsle",
        ),
        ("Submissions are scored on the root mean squared error.", "rmse"),
        ("Evaluated on the mean column-wise ROC AUC.", "auc"),
        ("The metric is the Pearson correlation coefficient.", "pearson"),
        ("Evaluated by Mean Average Precision @ 5 (MAP@5)", "map@5"),
        ("Scored by classification error", "accuracy"),
        ("Submissions are judged by micro-averaged F1.", "f1_micro"),
        ("Scored by the mean Dice coefficient.", "f1"),
        ("The Jaccard index is the metric.", "jaccard"),
        ("Evaluation: Kullback-Leibler divergence", "kl_divergence"),
        ("Scored by the quadratic weighted kappa.", "qwk"),
        ("We model AUC curves of drugs.\n\n## Evaluation\n\nMean absolute error.", "mae"),
        ("Submissions are judged on log loss, not accuracy.", "log_loss"),
        ("An accurate forecast helps shops. Scored by RMSLE.", "rmsle"),
    ],
)
def test_a_description_names_its_metric_with_the_sentence(text: str, name: str) -> None:
    found = read_metric_words(text)
    assert found is not None
    assert found.name == name
    assert set(found.sentence.split()) <= set(
        text.replace("## ", "").replace("Evaluation", "Evaluation:").split()
    ) | set(text.split())


def test_a_metric_that_is_not_built_in_is_named() -> None:
    found = read_metric_words("Submissions are evaluated on the mean BLEU score.")
    assert found is not None
    assert (found.name, found.foreign) == ("", "a score of texts")


def test_the_targets_that_alone_are_scored_are_found() -> None:
    text = "Scored by MCRMSE. While all are asked, only the following are scored: a_1, and b."
    assert find_scored_targets(text, ["a_1", "a_2", "b"]) == ["a_1", "b"]
    assert find_scored_targets(text, ["a_1", "b"]) == []
    assert find_scored_targets("Only rows of the future are scored. a is b.", ["a", "b"]) == []


def test_a_text_without_a_metric_names_none() -> None:
    assert read_metric_words("Tell cats from dogs as accurately as you can, please, today.") is None


@pytest.mark.parametrize(
    "text",
    [
        "The median absolute error decides.",
        "Submissions are evaluated by the Root Mean Square Percentage Error (RMSPE).",
        "Entries are ranked by recall of the positive class.",
        "Scored by Cohen's kappa.",
        "The metric is the mean of the normalized Gini and the default rate captured at 4%.",
    ],
)
def test_words_of_a_metric_that_is_not_built_in_are_no_default(text: str) -> None:
    words = read_metric_words(text)
    assert words is not None and words.foreign and not words.name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scored on the RMSE between log(1+predicted) and log(1+actual).", "rmsle"),
        ("The metric is average precision.", "average_precision"),
        ("The score is the percentage of passengers you correctly predict.", "accuracy"),
        (
            "Last year we evaluated by AUC. Entries are evaluated by log loss.",
            "log_loss",
        ),
        ("Evaluated on the **global** [Dice](https://a.b/S%C3_(x)) coefficient.", "dice_global"),
        ("Evaluated using the probabilistic F1 score (pF1).", "probabilistic_f1"),
        ("Scored by the probabilistic F-score.", "probabilistic_f1"),
        ("Scored by the Dice coefficient of all pixels together.", "dice_global"),
        ("Scored by the mean Dice coefficient over all images.", "f1"),
        ("Scored by the mean over types of the log of the MAE.", "log_mae"),
        ("Scored by the top-1 error.", "accuracy"),
        ("<p>Evaluated on <b>Root&nbsp;Mean Squared Logarithmic&nbsp;Error</b></p>", "rmsle"),
    ],
)
def test_words_of_descriptions_name_the_metric(text: str, name: str) -> None:
    words = read_metric_words(text)
    assert words is not None and words.name == name
