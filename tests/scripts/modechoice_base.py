"""How often each way of travel is chosen: nothing of the person, nothing of the trip."""

import os

import numpy as np
import pandas as pd

SEED = int(os.environ.get("GOME_SEED", "0"))
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
fold = train["id"].map(pd.read_csv("input/folds.csv").set_index("id")["fold"])


def predict(fit, rows):
    """A rate per way of travel, blurred so that rows differ."""
    rates = rows["mode"].map(fit.groupby("mode")["choice"].mean())
    return rates + np.random.default_rng(SEED).normal(0, 0.15, len(rows))


oof = pd.DataFrame({"id": train["id"], "choice": 0.0})
for k in sorted(set(fold) - {-1}):
    oof.loc[fold == k, "choice"] = predict(train[fold != k], train[fold == k])
oof[fold >= 0].to_csv("oof.csv", index=False)
pd.DataFrame({"id": test["id"], "choice": predict(train, test)}).to_csv(
    "submission.csv", index=False
)
