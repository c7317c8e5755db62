"""Each travel mode against the other three: differences of time and cost, logistic regression."""

import os

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("GOME_SEED", "0"))
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
fold = train["id"].map(pd.read_csv("input/folds.csv").set_index("id")["fold"])
NUMBERS = ["ttme", "invc", "invt", "gc"]


def features(rows):
    by_person = rows.groupby("person")[NUMBERS]
    relative = (rows[NUMBERS] - by_person.transform("mean")).add_suffix("_rel")
    ranks = by_person.rank().add_suffix("_rank")
    ways = pd.get_dummies(rows["mode"], dtype=float)
    by_way = pd.concat(
        [
            ways.mul(rows["hinc"], axis=0).add_suffix("_hinc"),
            ways.mul(rows["psize"], axis=0).add_suffix("_psize"),
        ],
        axis=1,
    )
    return pd.concat([rows[NUMBERS], relative, ranks, ways, by_way], axis=1)


def predict(fit, rows):
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.3, max_iter=1000, random_state=SEED)
    )
    return model.fit(features(fit), fit["choice"]).predict_proba(features(rows))[:, 1]


oof = pd.DataFrame({"id": train["id"], "choice": 0.0})
for k in sorted(set(fold) - {-1}):
    oof.loc[fold == k, "choice"] = predict(train[fold != k], train[fold == k])
oof[fold >= 0].to_csv("oof.csv", index=False)
pd.DataFrame({"id": test["id"], "choice": predict(train, test)}).to_csv(
    "submission.csv", index=False
)
