"""Metrics of texts, lists, masks, boxes and tables against values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from task.grade.frames.boxes import SolidBox, boxes_as_points, solid_overlap
from task.grade.frames.masks import measure_overlap, read_runs
from task.grade.metric import FrameColumns, Metric, bind_answers
from task.grade.metric_words import read_metric_words
from task.grade.metrics import FRAME_METRICS, get_metric
from task.types import TaskError

WORDS = ["amber", "brook", "cedar", "delta", "ember", "fable", "grove", "haven"]


def texts(*cells: str) -> Any:
    """Return cells as an array of texts."""
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def score(name: str, true: Any, said: Any, kind: Any = "text") -> float:
    """Score texts by a metric's name."""
    return get_metric(name, kind=kind).score(texts(*true), texts(*said))


# every metric: the truth is best, a shuffle worse


def make_cells(name: str, n: int, rng: np.random.Generator) -> list[str]:
    """Return true cells that differ from row to row, in the metric's form."""
    if name in ("map_of_iou", "dice_masks", "iou_masks", "dice_global", "fbeta_masks@0.5"):
        return ["" if row % 7 == 6 else f"{1 + 40 * row} {5 + row % 9}" for row in range(n)]
    if name.startswith("map_boxes"):
        corners = rng.integers(0, 500, (n, 2))
        return [f"{row % 3} 1 {x} {y} {x + 30} {y + 40}" for row, (x, y) in enumerate(corners)]
    if name == "boxes_f1":
        corners = rng.integers(0, 500, (n, 2))
        return [f"U+30{row % 90:02d} {x} {y} 20 30" for row, (x, y) in enumerate(corners)]
    if name == "map_of_iou_3d":
        corners = rng.integers(0, 500, (n, 2))
        return [f"{x} {y} 0.5 1.8 4.5 1.6 {row / n} car" for row, (x, y) in enumerate(corners)]
    return [" ".join(rng.permutation(WORDS)[: 3 + row % 4]) for row in range(n)]


TEXT_NAMES = sorted(name for name, metric in FRAME_METRICS.items() if metric.needs == "text")


@settings(derandomize=True, max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize(
    "name", [*TEXT_NAMES, "accuracy", "map@5", "map_boxes@0.5", "fbeta_masks@0.5"]
)
def test_the_true_texts_are_the_optimum_and_a_shuffle_is_worse(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = get_metric(name, kind="text")
    true = texts(*make_cells(name, 40, rng))
    said = texts(*(metric.write_truth(cell) for cell in true)) if metric.write_truth else true
    assert metric.score(true, said) == pytest.approx(metric.best, abs=1e-9)
    sign = 1 if metric.direction == "max" else -1
    shuffled = said[np.roll(np.arange(40), 13)]
    assert sign * metric.score(true, said) > sign * metric.score(true, shuffled)
    if metric.row_loss is not None:
        losses = metric.row_loss(true, shuffled)
        assert losses.shape == (40,)
        expected = float(losses.mean()) if sign < 0 else 1 - float(losses.mean())
        assert metric.score(true, shuffled) == pytest.approx(expected)


# texts


def test_levenshtein_counts_characters_and_edit_distance_words() -> None:
    assert score("levenshtein", ["kitten", "flaw"], ["sitting", "lawn"]) == (3 + 2) / 2
    assert score("normalized_levenshtein", ["kitten", "ab"], ["sitting", "ab"]) == 3 / 7 / 2
    # 1 2 3 -> 1 3: one deleted; 4 5 -> 4 6 5: one inserted; over five true words
    assert score("edit_distance", ["1 2 3", "4 5"], ["1 3", "4 6 5"]) == 2 / 5
    assert score("character_error_rate", ["abcd", "ab"], ["abxd", ""]) == 3 / 6


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.text("abc ", max_size=8), st.text("abc ", max_size=8))
def test_levenshtein_is_that_of_the_textbook(one: str, two: str) -> None:
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        above, row = row, [i]
        for j, b in enumerate(two, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    assert score("levenshtein", [one], [two]) == row[-1]


def test_words_are_compared_as_sets_or_in_their_places() -> None:
    assert score("word_jaccard", ["A b c", ""], ["b c d", ""]) == (2 / 4 + 1) / 2
    assert score("word_accuracy", ["a b c", "x"], ["a c b", "x"]) == (1 / 3 + 1) / 2
    assert score("accuracy", ["a b", "x", ""], ["a b", "X", ""]) == pytest.approx(2 / 3)


# lists


def test_label_sets_have_three_f1_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    true = [" ".join(rng.choice(WORDS, rng.integers(1, 4), replace=False)) for _ in range(50)]
    said = [" ".join(rng.choice(WORDS, rng.integers(0, 4), replace=False)) for _ in range(50)]
    coder = MultiLabelBinarizer(classes=WORDS)
    y, p = (coder.fit_transform([cell.split() for cell in cells]) for cells in (true, said))
    for name, average in (("micro", "micro"), ("macro", "macro"), ("samples", "samples")):
        expected = sk.f1_score(y, p, average=average, zero_division=0)
        assert score(f"tags_f1_{name}", true, said) == pytest.approx(expected)


def test_commas_separate_where_the_truth_has_them() -> None:
    assert score("tags_f1_micro", ["a b,c", "d"], ["c,a b", "d"]) == 1.0
    assert score("tags_f1_micro", ["a,b", "a"], ["a", "a"]) == 2 * 2 / (3 + 2)


def test_average_precision_at_k_of_several_true_labels() -> None:
    # a (1st) and c (3rd) of two true ones: (1/1 + 2/3) / 2; then nothing of one
    assert score("map@3", ["a c", "z"], ["a b c", "x y z2"]) == pytest.approx((5 / 3 / 2) / 2)
    assert score("map@1", ["a c"], ["a a a"]) == 1.0


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.permutations(list("abcdefg")))
def test_kendall_tau_is_that_of_scipy_for_one_row(order: list[str]) -> None:
    ranks = [order.index(word) for word in "abcdefg"]
    expected = stats.kendalltau(range(7), ranks).statistic
    assert score("kendall_tau", ["a b c d e f g"], [" ".join(order)]) == pytest.approx(expected)


def test_kendall_tau_pools_the_rows_and_counts_what_is_missing() -> None:
    # one swap of 3 + 1 pairs
    assert score("kendall_tau", ["a b c", "x y"], ["a b c", "y x"]) == pytest.approx(1 - 4 / 8)
    # without c two of three pairs are missing, and what is not asked for changes nothing
    assert score("kendall_tau", ["a b c"], ["a q b"]) == pytest.approx(1 - 4 * 2 / 6)
    assert score("kendall_tau", ["a b"], [""]) == -1.0


# masks


def mask_cells(text: str) -> set[int]:
    """Return the cells of run lengths, one by one."""
    numbers = [int(word) for word in text.split()]
    return {
        cell
        for start, length in zip(numbers[::2], numbers[1::2], strict=True)
        for cell in range(start, start + length)
    }


runs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=6).map(
    lambda pairs: " ".join(f"{start} {length}" for start, length in pairs)
)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(runs, runs)
def test_masks_overlap_as_their_cells_do(one: str, two: str) -> None:
    a, b = mask_cells(one), mask_cells(two)
    assert measure_overlap(one, two) == (len(a & b), len(a), len(b))


def test_masks_are_averaged_over_rows_or_pooled() -> None:
    true, said = ["1 10", "", "5 4"], ["6 10", "", "1 2"]  # 5 of 15 cells; empty; nothing
    assert score("iou_masks", true, said) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert score("dice_masks", true, said) == pytest.approx((0.5 + 1 + 0) / 3)
    assert score("dice_global", true, said) == pytest.approx(2 * 5 / (14 + 12))
    # precision .5 and recall .5, precision 1 and recall .8
    assert score("fbeta_masks@0.5", ["1 10", "1 10"], ["6 10", "1 8"]) == pytest.approx(
        (0.5 + sk.fbeta_score([1] * 10, [1] * 8 + [0] * 2, beta=0.5)) / 2
    )
    # 8 of 10 cells: above .5 .55 .6 .65 .7 .75, not above .8
    assert score("map_of_iou", ["1 10"], ["1 8"]) == pytest.approx(0.6)
    assert score("map_of_iou", ["1 10", ""], ["", "1 1"]) == 0.0


@pytest.mark.parametrize("text", ["1 2 3", "1 x", "-3 4", "1.5 2"])
def test_what_is_no_mask_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="mask"):
        read_runs(text)


# boxes


def test_boxes_are_found_by_overlap_class_and_confidence() -> None:
    true = ["a 1 0 0 10 10 b 1 50 50 60 60"]
    assert score("map_boxes", true, true) == 1.0
    assert score("map_boxes", true, ["b 1 0 0 10 10 a 1 50 50 60 60"]) == 0.0
    # a is found second: precision 1/2 at recall 1; b is not found
    said = ["a 0.9 80 80 90 90 a 0.5 0 0 10 10"]
    assert score("map_boxes", true, said) == pytest.approx((0.5 + 0) / 2)
    # overlap 10 x 6 of 10 x 10 (0.6): more than .4 and .5, not more than .7
    part = ["a 1 0 0 10 6 b 1 50 50 60 60"]
    assert [score(f"map_boxes@{t}", true, part) for t in (0.4, 0.5, 0.7)] == [1.0, 1.0, 0.5]
    # the same box twice is one hit and one false alarm after it: nothing is lost
    assert score("map_boxes", true, [true[0] + " a 0.1 0 0 10 10"]) == 1.0


def test_points_are_counted_over_all_rows() -> None:
    true = ["U+1 0 0 10 10 U+2 20 20 10 10", ""]
    assert boxes_as_points(true[0]) == "U+1 5 5 U+2 25 25"
    # one hit, one with the wrong label, one too many in an empty row: 2 / (2 + 3)
    said = ["U+1 9 9 U+1 25 25", "U+2 1 1"]
    assert score("boxes_f1", true, said) == pytest.approx(2 * 1 / (2 + 3))
    assert score("boxes_f1", true, ["U+1 5 5 U+1 6 6", ""]) == pytest.approx(2 * 1 / (2 + 2))


def test_boxes_in_space_overlap_by_volume() -> None:
    one = SolidBox((0, 0, 0), (2, 4, 2), 0.0, "car")
    assert solid_overlap(one, one) == pytest.approx(1.0)
    aside = SolidBox((2, 0, 0), (2, 4, 2), 0.0, "car")  # length lies along x: half remains
    assert solid_overlap(one, aside) == pytest.approx(8 / (16 + 16 - 8))
    above = SolidBox((0, 0, 1), (2, 4, 2), 0.0, "car")
    assert solid_overlap(one, above) == pytest.approx(8 / 24)
    turned = SolidBox((0, 0, 0), (2, 4, 2), np.pi / 2, "car")  # a cross: 2 x 2 x 2 in common
    assert solid_overlap(one, turned) == pytest.approx(8 / 24)
    # a square turned by an eighth: the common octagon of two unit squares
    square = SolidBox((0, 0, 0), (1, 1, 1), 0.0, "car")
    octagon = 2 * (np.sqrt(2) - 1)
    eighth = SolidBox((0, 0, 0), (1, 1, 1), np.pi / 4, "car")
    assert solid_overlap(square, eighth) == pytest.approx(octagon / (2 - octagon))
    assert solid_overlap(one, SolidBox((0, 0, 9), (2, 4, 2), 0, "car")) == 0


def test_precision_in_space_is_averaged_over_thresholds() -> None:
    true = ["0 0 0 2 4 2 0 car"]
    assert score("map_of_iou_3d", true, ["0.9 0 0 0 2 4 2 0 car"]) == 1.0
    # three quarters of the length: .75 is above .5 … .7 of the ten thresholds
    assert score("map_of_iou_3d", true, ["0.9 -0.5 0 0 2 3 2 0 car"]) == pytest.approx(0.5)
    # a false alarm halves the precision, another class finds nothing
    twice = "0.9 0 0 0 2 4 2 0 car 0.1 50 0 0 2 4 2 0 car"
    assert score("map_of_iou_3d", true, [twice]) == pytest.approx(0.5)
    assert score("map_of_iou_3d", true, ["0.9 0 0 0 2 4 2 0 bus"]) == 0.0


# tables


def bind(name: str, answers: pd.DataFrame, targets: list[str], **more: Any) -> Metric:
    """Return a metric over tables, bound to answers."""
    predictions = more.pop("predictions", targets)
    columns = FrameColumns("id", targets, predictions, **more)
    return bind_answers(get_metric(name), answers.assign(id=range(len(answers))), columns)


def test_only_rows_with_a_value_count() -> None:
    answers = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0], "u_out": [0, 1, 0, 1]})
    metric = bind("mae_where_u_out_is_0", answers, ["y"])
    rows, p = np.arange(4), np.array([2.0, 99.0, 6.0, 99.0])
    assert metric.score(rows, p) == 2.0
    assert metric.row_loss is not None and metric.row_loss(rows, p).mean() == 2.0
    assert metric.score(rows[:2], p[:2]) == 1.0
    assert metric.direction == "min"
    with pytest.raises(ValueError, match="no scored row has u_out"):
        metric.score(rows[[1, 3]], p[[1, 3]])


def test_groups_are_averaged_whatever_their_size() -> None:
    answers = pd.DataFrame({"y": [0.0, 0, 0, 0], "kind": ["a", "a", "a", "b"]})
    rows, p = np.arange(4), np.array([1.0, 1.0, 1.0, 4.0])
    assert bind("mae_per_kind", answers, ["y"]).score(rows, p) == 2.5
    expected = (np.log(1.0) + np.log(4.0)) / 2
    assert bind("log_mae_per_kind", answers, ["y"]).score(rows, p) == pytest.approx(expected)


def test_weights_multiply_the_log_loss() -> None:
    answers = pd.DataFrame({"y": [1.0, 0.0, 1.0], "weight": [7.0, 1.0, 0.0]})
    p = np.array([0.8, 0.4, 0.0001])
    expected = -(7 * np.log(0.8) + np.log(0.6)) / 8
    metric = bind("weighted_log_loss", answers, ["y"])
    assert metric.score(np.arange(3), p) == pytest.approx(expected)
    plain = bind("weighted_log_loss", answers[["y"]], ["y"])
    assert plain.score(np.arange(3), p) == pytest.approx(sk.log_loss(answers["y"], p))


def test_angles_between_directions() -> None:
    answers = pd.DataFrame({"azimuth": [0.0, 0.0, 1.0], "zenith": [np.pi / 2, 0.0, 1.0]})
    metric = bind("mean_angular_error", answers, ["azimuth", "zenith"])
    # a right angle; a pole, where the azimuth says nothing; the same direction
    p = np.array([[np.pi / 2, np.pi / 2], [3.0, 0.0], [1.0, 1.0]])
    assert metric.score(np.arange(3), p) == pytest.approx(np.pi / 2 / 3, abs=1e-7)


def test_distances_have_percentiles_for_every_trip() -> None:
    degree = 6_371_000 * np.pi / 180  # metres of one degree of latitude
    answers = pd.DataFrame({"lat": [0.0] * 4, "lon": [0.0] * 4, "trip": ["a", "a", "b", "b"]})
    p = np.array([[1.0, 0], [1.0, 0], [0, 3.0], [0, 3.0]])
    grouped = bind("distance_percentiles", answers, ["lat", "lon"], group="trip")
    assert grouped.score(np.arange(4), p) == pytest.approx(2 * degree)
    errors = np.array([0.0, 1.0, 2.0, 3.0])
    together = bind("distance_percentiles", answers, ["lat", "lon"])
    expected = degree * (np.percentile(errors, 50) + np.percentile(errors, 95)) / 2
    points = np.column_stack([errors, np.zeros(4)])
    assert together.score(np.arange(4), points) == pytest.approx(expected)


def test_a_biased_classifier_loses_in_the_groups() -> None:
    rng = np.random.default_rng(1)
    n = 400
    y, group = rng.integers(0, 2, n), rng.integers(0, 2, n).astype(float)
    answers = pd.DataFrame({"target": y.astype(float), "grp": group, "severe": 0.1})
    answers.loc[:20, "grp"] = np.nan
    fair = 0.5 * y + rng.uniform(0, 0.6, n)
    biased = fair + 0.4 * group
    metric = bind("bias_auc", answers, ["target"])
    assert metric.score(np.arange(n), fair) > metric.score(np.arange(n), biased)
    # by hand: one group, so that power means are the values themselves
    inside = answers["grp"].fillna(0).to_numpy() >= 0.5
    parts = [
        sk.roc_auc_score(y, biased),
        sk.roc_auc_score(y[inside], biased[inside]),
        *(
            sk.roc_auc_score(y[mask], biased[mask])
            for mask in ((inside & (y == 0)) | (~inside & (y == 1)),
                         (inside & (y == 1)) | (~inside & (y == 0)))
        ),
    ]  # fmt: skip
    assert metric.score(np.arange(n), biased) == pytest.approx(np.mean(parts))


def test_the_laplace_likelihood_counts_spreads_from_70_on() -> None:
    answers = pd.DataFrame({"FVC": [2000.0, 3000.0]})
    metric = bind(
        "laplace_log_likelihood",
        answers,
        ["FVC", ""],
        predictions=["FVC", "Confidence"],
    )
    p = np.array([[2100.0, 100.0], [3000.0, 1.0]])
    expected = [
        -np.sqrt(2) * 100 / 100 - np.log(np.sqrt(2) * 100),
        -np.log(np.sqrt(2) * 70),
    ]
    assert metric.score(np.arange(2), p) == pytest.approx(np.mean(expected))
    assert metric.best == pytest.approx(expected[1])


def test_label_ranking_and_shares_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    y = (rng.uniform(size=(30, 5)) < 0.3).astype(float)
    y[0] = 0.0
    p = rng.uniform(size=(30, 5))
    expected = sk.label_ranking_average_precision_score(y, p, sample_weight=y.sum(axis=1))
    assert get_metric("lwlrap").score(y, p) == pytest.approx(expected)
    labels = rng.integers(0, 3, 30)
    shares = rng.dirichlet(np.ones(3), 30)
    one_hot = np.eye(3)[labels]
    log_loss = get_metric("log_loss", kind="regression")
    assert log_loss.score(one_hot, 5 * shares) == pytest.approx(sk.log_loss(labels, shares))
    votes = np.array([[3.0, 1.0], [0.0, 4.0]])
    halves = np.full((2, 2), 0.5)
    expected_kl = (0.75 * np.log(1.5) + 0.25 * np.log(0.5) + np.log(2)) / 2
    assert get_metric("kl_divergence").score(votes, halves) == pytest.approx(expected_kl)


# words of descriptions


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Scored by Kendall's tau over all notebooks.", "kendall_tau"),
        ("Scored by the mean Levenshtein distance.", "levenshtein"),
        ("Evaluated on the normalized Levenshtein distance.", "normalized_levenshtein"),
        ("Scored by the mean word-level Jaccard score.", "word_jaccard"),
        ("Scored by the mean F1 of tags.", "tags_f1_micro"),
        ("Scored by label-weighted label-ranking average precision.", "lwlrap"),
        ("Scored by the macro F1 score.", "f1_macro"),
        ("Scored by the mean average precision at 5.", "map@5"),
        ("Scored by the mean angle between true and predicted direction.", "mean_angular_error"),
        ("Scored by a mixture of AUCs, overall and of groups that the rows name.", "bias_auc"),
        ("Scored by an F1 of matched characters.", "boxes_f1"),
        ("Scored by the edit distance over the number of gestures.", "edit_distance"),
        (
            "Scored by the mean precision over thresholds of the intersection over union.",
            "map_of_iou",
        ),
        ("Scored by mean precision over thresholds of the volume overlap.", "map_of_iou_3d"),
        ("Scored by the mean average precision of boxes at an overlap of 0.4.", "map_boxes"),
        (
            "Scored by the Kullback-Leibler divergence from the experts' votes.",
            "kl_divergence",
        ),
        ("Scored by a weighted log loss over studies and bones.", "weighted_log_loss"),
        (
            "Scored by the mean of the 50th and 95th percentile of distance errors.",
            "distance_percentiles",
        ),
        ("Evaluated on a modified Laplace log likelihood.", "laplace_log_likelihood"),
        ("Evaluated by the global Dice coefficient.", "dice_global"),
        ("Scored by the Dice coefficient of masks, the F0.5 score.", "fbeta_masks@0.5"),
        ("The score is the mean Average Precision (mAP) at IoU > 0.5.", "map_boxes"),
    ],
)
def test_a_description_names_the_metric_with_the_sentence(text: str, name: str) -> None:
    found = read_metric_words("A task.\n" + text)
    assert found is not None
    assert (found.name, found.foreign, found.sentence) == (name, "", text)


@pytest.mark.parametrize(
    "text",
    [
        "Scored by the mean BLEU score.",
        "Evaluated with the Hausdorff distance.",
        "Scored by the weighted AUC.",
        "The metric is NDCG.",
        "Scored by the COCO mean average precision.",
    ],
)
def test_what_is_not_built_in_is_no_neighbour(text: str) -> None:
    found = read_metric_words(text)
    assert found is not None and found.name == "" and found.foreign


def test_a_name_without_a_base_is_unknown() -> None:
    for name in ("levenstein", "auc_where_u_is_0", "nonsense_per_store"):
        with pytest.raises(TaskError, match="unknown metric"):
            get_metric(name)
    assert get_metric("RMSE_per_Store").columns == ("Store",)
    assert get_metric("rmse_where_a_is_b_is_1").columns == ("a_is_b",)
