"""Scripts of the scripted endpoint: the same models in the same order, in each agent's contract."""

from __future__ import annotations

MODELS = [
    "make_pipeline(SimpleImputer(), StandardScaler(), {linear})",
    "{tree}(n_estimators=30, max_depth=3, random_state=0, n_jobs=1)",
    "make_pipeline(SimpleImputer(), {knn}(30))",
    "{tree}(n_estimators=120, min_samples_leaf=3, random_state=0, n_jobs=1)",
    "{boost}(max_iter=60, learning_rate=0.1, random_state=0)",
    "{boost}(max_iter=150, learning_rate=0.05, max_leaf_nodes=15, random_state=0)",
]
NAMES = {
    True: {
        "linear": "LogisticRegression(max_iter=500)",
        "tree": "RandomForestClassifier",
        "knn": "KNeighborsClassifier",
        "boost": "HistGradientBoostingClassifier",
    },
    False: {
        "linear": "Ridge()",
        "tree": "RandomForestRegressor",
        "knn": "KNeighborsRegressor",
        "boost": "HistGradientBoostingRegressor",
    },
}

HEAD = """import numpy as np
import pandas as pd
from sklearn.ensemble import {forests}
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.neighbors import {neighbours}
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TARGET = {target!r}
train, test = pd.read_csv("input/train.csv"), pd.read_csv("input/test.csv")
both = pd.concat([train.drop(columns=TARGET), test])
coded = both.drop(columns="id").apply(
    lambda c: c if pd.api.types.is_numeric_dtype(c) else pd.factorize(c)[0]
)
X = coded.astype(float).fillna(-1).to_numpy()
X, X_test, y = X[: len(train)], X[len(train) :], train[TARGET].to_numpy()


def fit_predict(rows, others):
    model = {model}.fit(X[rows], y[rows])
    return model.predict_proba(others)[:, 1] if {classify} else np.maximum(0, model.predict(others))

"""
GOME = """
fold = train["id"].map(pd.read_csv("input/folds.csv").set_index("id")["fold"]).to_numpy()
oof = np.zeros(len(y))
for k in sorted(set(fold[fold >= 0])):
    oof[fold == k] = fit_predict(np.flatnonzero(fold != k), X[fold == k])
name = pd.read_csv("input/sample_submission.csv", nrows=0).columns[1]
pd.DataFrame({"id": train["id"], name: oof})[fold >= 0].to_csv("oof.csv", index=False)
final = fit_predict(np.arange(len(y)), X_test)
pd.DataFrame({"id": test["id"], name: final}).to_csv("submission.csv", index=False)
"""
AIDE = """
oof = np.zeros(len(y))
for fit, held in KFold(5, shuffle=True, random_state=0).split(X):
    oof[held] = fit_predict(fit, X[held])
if {classify}:
    print("SCORE:", roc_auc_score(y, oof))
else:
    print("SCORE:", mean_squared_error(np.log1p(y), np.log1p(oof)) ** 0.5)
final = fit_predict(np.arange(len(y)), X_test)
rows = pd.DataFrame({{"id": test["id"], TARGET: final}})
rows.to_csv("working/submission.csv", index=False)
"""
FAULTS = {
    "crash": "raise ValueError('a bug')\n",
    "dies": "import os\nos._exit(7)\n",
    "forks": """import subprocess, sys
code = 'import time; time.sleep(300)  # left-over-child'
subprocess.Popen([sys.executable, '-c', code], start_new_session=True)
""",
}


def nth_script(agent: str, number: int, target: str, classify: bool) -> str:
    """Return the number-th script, or the last one, in the contract of `gome` or `aide`."""
    names = NAMES[classify]
    head = HEAD.format(
        forests=f"{names['tree']}, {names['boost']}",
        neighbours=names["knn"],
        target=target,
        model=MODELS[min(number, len(MODELS) - 1)].format(**names),
        classify=classify,
    )
    return head + (GOME if agent == "gome" else AIDE.format(classify=classify))
