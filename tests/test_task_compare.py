"""Paired comparison and segments on plain arrays: the fast paths say what the definitions say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from task.data.segments import MIN_ROWS, find_worst_segments, partition_columns
from task.grade.compare import draw_row_counts, weighted_auc


@pytest.mark.parametrize("levels", [1000, 7])
def test_weighted_auc_is_scikit_learns_with_weights_ties_counted_half(levels: int) -> None:
    rng = np.random.default_rng(0)
    y, p = (rng.random(300) < 0.3).astype(float), np.round(rng.random(300) * levels) / levels
    weights = draw_row_counts(rng, 300, 20, None)
    expected = [roc_auc_score(y, p, sample_weight=weight) for weight in weights]
    assert weighted_auc(y, p, weights) == pytest.approx(expected, abs=1e-12)


def test_a_replicate_draws_as_many_rows_as_there_are_and_whole_groups() -> None:
    rng, clusters = np.random.default_rng(0), np.repeat(np.arange(40), 5)
    rows = draw_row_counts(rng, 200, 4000, None)
    assert rows.shape == (4000, 200) and (rows.sum(axis=1) == 200).all()
    assert rows.var() == pytest.approx(1 - 1 / 200, rel=0.02)  # of a multinomial's counts
    groups = draw_row_counts(rng, 200, 50, clusters)
    assert (groups.sum(axis=1) == 200).all() and all(
        (groups[:, clusters == k].std(axis=1) == 0).all() for k in range(40)
    )


def test_segments_name_the_values_quartiles_and_gaps_where_the_loss_is_high() -> None:
    n, rng = 400, np.random.default_rng(0)
    number = rng.normal(size=n)
    number[:40] = np.nan
    frame = pd.DataFrame(
        {
            "number": number,
            "city": np.where(np.arange(n) % 4 == 0, "far", "near"),
            "rare": ["odd"] * (MIN_ROWS - 1) + ["even"] * (n - MIN_ROWS + 1),
            "same": 1.0,
            "id": [f"row{i}" for i in range(n)],
        }
    )
    upper = np.nanquantile(number, 0.75)
    losses = (
        1
        + 4.0 * (frame["city"] == "far").to_numpy()
        + 6.0 * np.isnan(number)
        + 3.0 * (number > upper)
    )
    worst = find_worst_segments(partition_columns(frame), losses)
    found = {(item["column"], item["value"]): item for item in worst}
    assert set(found) == {
        ("city", "far"),
        ("number", "missing"),
        ("number", f"{upper:.4g}..{np.nanmax(number):.4g}"),
    }
    assert found["city", "far"]["n"] == 100
    assert found["city", "far"]["ratio"] == pytest.approx(
        losses[frame["city"] == "far"].mean() / losses.mean(), abs=1e-3
    )
    assert find_worst_segments(partition_columns(frame), np.zeros(n)) == []
