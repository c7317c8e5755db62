"""Logistic regression of the row's own columns."""

import os

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("GOME_SEED", "0"))
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
fold = train["id"].map(pd.read_csv("input/folds.csv").set_index("id")["fold"])


def features(rows):
    return pd.concat(
        [
            rows[["ttme", "invc", "invt", "gc", "hinc", "psize"]],
            pd.get_dummies(rows["mode"], dtype=float),
        ],
        axis=1,
    )


def predict(fit, rows):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, random_state=SEED))
    return model.fit(features(fit), fit["choice"]).predict_proba(features(rows))[:, 1]


oof = pd.DataFrame({"id": train["id"], "choice": 0.0})
for k in sorted(set(fold) - {-1}):
    oof.loc[fold == k, "choice"] = predict(train[fold != k], train[fold == k])
oof[fold >= 0].to_csv("oof.csv", index=False)
pd.DataFrame({"id": test["id"], "choice": predict(train, test)}).to_csv(
    "submission.csv", index=False
)
