"""The study of blends: the choice of the best single solution is nested as a blend is."""

from __future__ import annotations

import numpy as np
from test_task_blend_weights import CORRELATION, correlation, make_blending

from evals.studies.ensemble_pool import choose_nested


def test_the_best_single_member_pays_for_being_chosen_as_a_blend_does() -> None:
    """Of eight members of noise the best looks better than chance; chosen without the rows not."""
    nested, flattered = [], []
    for seed in range(16):
        blending = make_blending(CORRELATION, seed, 120)
        nested.append(correlation(blending.y, choose_nested(blending)[:, 0]))
        scores = [correlation(blending.y, part[:, 0]) for part in blending.parts.values()]
        flattered.append(max(scores))
    assert np.mean(flattered) > 0.08 and np.mean(nested) < 0.04
