"""What one fit of the cross-validation lacks is known before a script is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from trust_kit import ready, write_frames

from task.data.hazards import find_hazards


def test_a_number_that_only_test_has_is_empty_in_every_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"id": range(60), "x": rng.normal(size=60), "label": [0, 1] * 30})
    test = pd.DataFrame({"id": range(60, 80), "x": rng.normal(size=20), "flag": 1.5})
    prepared = ready(write_frames(tmp_path / "task", train, test, metric="auc"))
    public = [pd.read_csv(Path(prepared.public) / f"{name}.csv") for name in ("train", "test")]
    assert find_hazards(public[0], public[1], prepared)["empty"] == ["flag"]
