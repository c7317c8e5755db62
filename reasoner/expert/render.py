"""Spec -> script: plain, self-contained scikit-learn / LightGBM code that a person would keep.

Only what the spec asks for appears in the script. It follows docs/script-contract.md.
"""

from __future__ import annotations

from pprint import pformat

from reasoner.expert import estimators
from reasoner.expert.spec import Facts, Spec, canonical, dump


def render(spec: Spec, facts: Facts, why: str = "") -> str:
    """The whole script."""
    spec = canonical(spec, facts)
    blocks = [
        dump(spec),
        f'"""{describe(spec, facts)}{chr(10) * 2 + clean(why) if why else ""}\n"""\n',
        imports(spec, facts),
        load(spec, facts),
        features(spec, facts),
        estimators.models(spec, facts),
        fitting(spec, facts),
        cross_validation(spec, facts),
        after(spec, facts),
        output(spec, facts),
    ]
    return "\n".join(block for block in blocks if block) + "\n"


def clean(text: str) -> str:
    """Text for a docstring: a hostile name cannot end it."""
    return text.replace("\\", "/").replace('"""', "'''")[:600]


NAMES = {
    "hgb": "gradient boosting",
    "lgbm": "LightGBM",
    "extra": "extra trees",
    "linear": "a linear model",
    "svm": "a kernel machine",
    "knn": "nearest neighbours",
}


def family_in(summary: str) -> str | None:
    """The family of the script that `describe` put into this line; None for other words."""
    return next((family for family, name in NAMES.items() if f" by {name}" in summary), None)


def describe(spec: Spec, facts: Facts) -> str:
    """One line: what this script is."""
    parts = [NAMES[spec.family] + (f" blended with {NAMES[spec.second]}" if spec.second else "")]
    words = {
        "slow": "slower learning", "date_parts": "date parts", "detrend": "trend and season first", "recent": "recent rows", "ratios": "ratios of columns",
        "missing": "missingness indicators", "group_diff": "differences within the group", "group_normalise": "predictions normalised in the group",
        "chars": "character n-grams", "text_stats": "text lengths", "shift": "shifted images", "quantile": "quantile scaling", "thresholds": "tuned class weights",
        "balanced": "balanced classes", "expectation": "rounded expectation", "soften": "softened probabilities", "select": "weak columns left out",
    }  # fmt: skip
    parts += [text for key, text in words.items() if getattr(spec, key)]
    parts += [f"capacity {spec.size:+d}"] if spec.size else []
    parts += [f"{spec.seeds} seeds averaged"] if spec.seeds > 1 else []
    parts += [f"{spec.categories} encoding"] if spec.categories != "native" else []
    parts += [f"{spec.target} of the target"] if spec.target else []
    parts += [f"{spec.loss} loss"] if spec.loss else []
    parts += [f"without {', '.join(clean(name) for name in spec.drop[:3])}"] if spec.drop else []
    return "Predict " + clean(", ".join(facts.target)[:60]) + " by " + ", ".join(parts) + "."


def imports(spec: Spec, facts: Facts) -> str:
    lines = ["import json", "import os", "", "import numpy as np", "import pandas as pd"]
    return "\n".join(
        lines
        + sorted(estimators.imports(spec, facts))
        + [f"from sklearn.metrics import {name}" for name in train_metric(facts)[:1]]
    )


def load(spec: Spec, facts: Facts) -> str:
    reader, suffix = ("read_parquet", "parquet") if facts.parquet else ("read_csv", "csv")
    seed = '\nSEED = int(os.environ.get("GOME_SEED", 0))' if stochastic(spec) else ""
    target = facts.target[0] if len(facts.target) == 1 else list(facts.target)
    return f"""
ID, TARGET = {facts.id!r}, {target!r}
N_JOBS = int(os.environ.get("OMP_NUM_THREADS", 1)){seed}

train = pd.{reader}("input/train.{suffix}")
test = pd.{reader}("input/test.{suffix}")
folds = pd.read_csv("input/folds.csv").set_index(ID)["fold"]
fold = train[ID].map(folds).to_numpy()
OUTPUT = list(pd.read_csv("input/sample_submission.csv", nrows=0).columns)"""


def stochastic(spec: Spec) -> bool:
    """Whether another seed gives other predictions; where none does, the script has no use for one."""
    return spec.seeds > 1 or bool({"lgbm", "extra", "svm"} & {spec.family, spec.second})


def features(spec: Spec, facts: Facts) -> str:
    """The table of features, made for train and test together so that categories agree; the target is never used here."""
    unused = sorted(
        {facts.id, *facts.target, *facts.ignored, *spec.drop, *facts.dates, *facts.text}
    )
    categorical = [name for name in facts.categorical if name not in spec.drop]
    lines = [
        "",
        "",
        f"UNUSED = {wrapped(unused)}",
        f"CATEGORICAL = {wrapped(categorical)}",
        "both = pd.concat([train, test], ignore_index=True)",
        "",
        "",
        "def features(data):",
        '    """Features of every row of train and test."""',
        "    numeric = [c for c in test.columns if c not in UNUSED and c not in CATEGORICAL and pd.api.types.is_numeric_dtype(data[c])]",
        '    X = data[numeric].astype("float64")',
    ]
    lines += date_lines(spec, facts)
    lines += (
        [
            "    X = X.assign(**{f'{c}_missing': data[c].isna().astype(float) for c in test.columns if data[c].isna().any() and c not in UNUSED})"
        ]
        if spec.missing
        else []
    )
    lines += ratio_lines(spec, facts) if spec.ratios else []
    lines += group_lines(facts) if spec.group_diff and facts.group else []
    for name in spec.category_diff:
        lines += [
            f"    X = X.join((X[numeric] - X[numeric].groupby(data[{name!r}].astype(str)).transform('mean')).add_suffix({'_vs_' + name!r}))"
        ]
    lines += text_stat_lines(facts) if spec.text_stats else []
    lines += category_lines(spec, categorical)
    lines += [
        f"    X[{name!r}] = data[{name!r}].fillna('').astype(str)"
        for name in facts.text
        if name not in spec.drop
    ]
    lines += [
        "    weak = X.select_dtypes('number').nunique().loc[lambda n: n <= 1].index",
        "    return X.drop(columns=weak)",
    ]
    lines += [
        "",
        "",
        "X_all = features(both)",
        "X, X_test = X_all.iloc[: len(train)], X_all.iloc[len(train) :].reset_index(drop=True)",
    ]
    if spec.select:
        lines += select_lines(facts)
    return "\n".join(lines)


def wrapped(names: list[str]) -> str:
    return pformat(names, width=110, compact=True) if len(str(names)) > 100 else repr(names)


def date_lines(spec: Spec, facts: Facts) -> list[str]:
    lines = []
    for name in facts.dates:
        if name in spec.drop:
            continue
        lines += [
            f"    when = pd.to_datetime(data[{name!r}].astype(str), errors='coerce', format='mixed')"
        ]
        lines += [
            f"    X[{name + '_days'!r}] = (when - pd.Timestamp('2000-01-01')).dt.total_seconds() / 86400"
        ]
        if spec.date_parts:
            parts = {
                "year": "when.dt.year",
                "month": "when.dt.month",
                "dayofyear": "when.dt.dayofyear",
                "weekday": "when.dt.weekday",
                "hour": "when.dt.hour",
            }
            lines += [
                f"    X[{f'{name}_{part}'!r}] = {code}.astype(float)"
                for part, code in parts.items()
            ]
    return lines


def ratio_lines(spec: Spec, facts: Facts) -> list[str]:
    names = [name for name in facts.top_numeric if name not in spec.drop]
    return [
        f"    strong = {names!r}",
        "    for i, a in enumerate(strong):",
        "        for b in strong[i + 1 :]:",
        "            X[f'{a}_over_{b}'] = X[a] / X[b].abs().clip(lower=1e-6)",
        "            X[f'{a}_times_{b}'] = X[a] * X[b]",
        "            X[f'{a}_minus_{b}'] = X[a] - X[b]",
    ]


def group_lines(facts: Facts) -> list[str]:
    return [
        f"    grouped = X[numeric].groupby(data[{facts.group!r}])",
        "    X = X.join((X[numeric] - grouped.transform('mean')).add_suffix('_vs_group')).join(",
        "        grouped.rank(pct=True).add_suffix('_rank_in_group')",
        "    ).join((X[numeric] - grouped.transform('min')).add_suffix('_vs_least'))",
    ]


def text_stat_lines(facts: Facts) -> list[str]:
    lines = []
    for name in facts.text:
        lines += [
            f"    X[{name + '_chars'!r}] = data[{name!r}].fillna('').astype(str).str.len().astype(float)"
        ]
        lines += [
            f"    X[{name + '_words'!r}] = data[{name!r}].fillna('').astype(str).str.count(' ').astype(float) + 1"
        ]
    return lines


def category_lines(spec: Spec, names: list[str]) -> list[str]:
    if not names:
        return []
    if spec.categories == "frequency":
        return [
            "    for c in CATEGORICAL:",
            "        X[c + '_share'] = data[c].astype(str).map(data[c].astype(str).value_counts(normalize=True))",
        ]
    return [
        "    for c in CATEGORICAL:  # rare levels together, so that every model can hold them",
        "        common = data[c].astype(str).value_counts().index[:200]",
        "        X[c] = data[c].astype(str).where(data[c].astype(str).isin(common), 'other').astype('category')",
    ]


def select_lines(facts: Facts) -> list[str]:
    aim = f"train[{facts.target[0]!r}]"
    code = f"pd.factorize({aim}, sort=True)[0]" if facts.classification else aim
    return [
        f"strength = X.select_dtypes('number').corrwith(pd.Series({code}, index=X.index), method='spearman').abs().fillna(0)",
        "weak = strength.sort_values().index[: len(strength) // 3]",
        "X, X_test = X.drop(columns=weak), X_test.drop(columns=weak)",
    ]


def fitting(spec: Spec, facts: Facts) -> str:
    """y, and fit_predict: one fit of every model and seed, averaged."""
    several = len(facts.target) > 1
    if facts.classification:
        target = [
            f"CLASSES = sorted(train[TARGET].unique(){', key=str' if not numeric_labels(facts) else ''})",
            "y = train[TARGET].map({label: index for index, label in enumerate(CLASSES)}).to_numpy()",
        ]
    else:
        forward = {
            "log": "np.log1p(train[TARGET].to_numpy(dtype=float).clip(min=0))",
            "sqrt": "np.sqrt(train[TARGET].to_numpy(dtype=float).clip(min=0))",
        }
        target = [f"y = {forward.get(spec.target or '', 'train[TARGET].to_numpy(dtype=float)')}"]
    body = [
        "",
        "",
        *target,
        "",
        "",
        "def fit_predict(X_fit, y_fit, *others):",
        '    """Fits every model and seed on (X_fit, y_fit); the mean prediction for each of `others`."""',
    ]
    body += augment_lines() if spec.shift and facts.grid else []
    body += (
        ["    trend = Trend().fit(X_fit, y_fit)", "    y_fit = y_fit - trend.predict(X_fit)"]
        if spec.detrend
        else []
    )
    body += (
        [
            "    keep = np.arange(len(X_fit)) >= len(X_fit) // 2  # the recent half",
            "    X_fit, y_fit = X_fit[keep], y_fit[keep]",
        ]
        if spec.recent
        else []
    )
    seeds = (
        f"range(1000 * SEED, 1000 * SEED + {spec.seeds})"
        if stochastic(spec)
        else f"range({spec.seeds})"
    )
    body += [
        "    sums = [0.0] * len(others)",
        f"    for seed in {seeds}:",
        "        for make in MODELS:",
    ]
    fit = (
        "make(seed).fit(X_fit, y_fit)"
        if not several
        else "MultiOutputRegressor(make(seed)).fit(X_fit, y_fit)"
    )
    body += [
        f"            model = {fit}",
        "            sums = [total + predict(model, X_other) for total, X_other in zip(sums, others)]",
    ]
    body += [f"    means = [total / ({spec.seeds} * len(MODELS)) for total in sums]"]
    body += (
        ["    return [mean + trend.predict(X_other) for mean, X_other in zip(means, others)]"]
        if spec.detrend
        else ["    return means"]
    )
    shape = "model.predict_proba(X_other)" if facts.classification else "model.predict(X_other)"
    helper = ["", "", "def predict(model, X_other):", f"    return {shape}"]
    return "\n".join(helper + body)


def numeric_labels(facts: Facts) -> bool:
    try:
        [float(label) for label in facts.labels]
    except ValueError:
        return False
    return True


def augment_lines() -> list[str]:
    return [
        "    X_fit, y_fit = shifted(X_fit, y_fit)",
    ]


def cross_validation(spec: Spec, facts: Facts) -> str:
    shape = "(len(train), len(CLASSES))" if facts.classification else "y.shape"
    rule = "fold < k if k > 0 else fold == -1" if facts.split == "time" else "fold != k"
    names = train_metric(facts)
    lines = [
        "",
        "",
        f"oof = np.full({shape}, np.nan)",
        "train_scores = []",
        "for k in sorted(set(fold[fold >= 0])):",
        '    print(f"fold {k + 1}/{fold.max() + 1}", flush=True)',
        f"    fit, held = np.flatnonzero({'fold < k' if facts.split == 'time' else rule}), np.flatnonzero(fold == k)",
        "    oof[held], on_fit = fit_predict(X.iloc[fit], y[fit], X.iloc[held], X.iloc[fit])",
    ]
    lines += [f"    train_scores.append({names[1]})"] if names else []
    return "\n".join(lines + ["(test_pred,) = fit_predict(X, y, X_test)", "validated = fold >= 0"])


def train_metric(facts: Facts) -> tuple[str, ...]:
    """(function, expression) of the score on the training part, where it is simple; it tells over- from underfitting."""
    if len(facts.target) > 1:
        return ()
    if facts.kind == "binary" and facts.metric in PROBABILITY_NAMES:
        return PROBABILITY_NAMES[
            facts.metric
        ], f"float({PROBABILITY_NAMES[facts.metric]}(y[fit], on_fit[:, 1]))"
    if facts.kind == "multiclass" and facts.metric == "log_loss":
        return "log_loss", "float(log_loss(y[fit], on_fit, labels=range(len(CLASSES))))"
    if facts.classification:
        return "accuracy_score", "float(accuracy_score(y[fit], on_fit.argmax(axis=1)))"
    if facts.metric in ("rmse", "rmsle", "mae"):
        return "r2_score", "float(r2_score(y[fit], on_fit))"
    return ()


PROBABILITY_NAMES = {
    "auc": "roc_auc_score",
    "log_loss": "log_loss",
    "average_precision": "average_precision_score",
    "brier": "brier_score_loss",
}


def after(spec: Spec, facts: Facts) -> str:
    """What is done to the predictions after the models."""
    lines: list[str] = []
    if not facts.classification:
        inverse = {"log": "np.expm1({0})", "sqrt": "np.square(np.clip({0}, 0, None))"}.get(
            spec.target or ""
        )
        lines += (
            [f"oof, test_pred = {inverse.format('oof')}, {inverse.format('test_pred')}"]
            if inverse
            else []
        )
        if facts.metric.startswith("rmsle") or spec.target:
            lines += ["oof, test_pred = np.clip(oof, 0, None), np.clip(test_pred, 0, None)"]
        return "\n".join(["", *lines]) if lines else ""
    if spec.soften:
        lines += [
            "prior = np.bincount(y) / len(y)",
            "oof, test_pred = 0.97 * oof + 0.03 * prior, 0.97 * test_pred + 0.03 * prior",
        ]
    if spec.group_normalise and facts.group and facts.kind == "binary":
        lines += [NORMALISE.format(group=facts.group)]
    if spec.thresholds:
        lines += [THRESHOLDS.format(score=threshold_score(facts))]
    if spec.expectation:
        lines += ["values = np.array(CLASSES, dtype=float)", *EXPECTATION]
    return "\n".join(["", *lines]) if lines else ""


def threshold_score(facts: Facts) -> str:
    return {
        "accuracy": "accuracy_score(y_true, y_said)",
        "balanced_accuracy": "balanced_accuracy_score(y_true, y_said)",
        "mcc": "matthews_corrcoef(y_true, y_said)",
        "f1": "f1_score(y_true, y_said)",
        "qwk": "cohen_kappa_score(y_true, y_said, weights='quadratic')",
    }.get(
        facts.metric,
        f"f1_score(y_true, y_said, average='{facts.metric[3:] if facts.metric.startswith('f1_') else 'macro'}')",
    )


NORMALISE = '''

def normalised(p, groups):
    """Probabilities of the positive class that sum to one within a group: exactly one row of it is positive."""
    positive = pd.Series(p[:, 1]).groupby(groups.to_numpy()).transform(lambda group: group / max(group.sum(), 1e-9)).to_numpy()
    return np.column_stack([1 - positive, positive])


oof = normalised(oof, train[{group!r}])
test_pred = normalised(test_pred, test[{group!r}])'''

THRESHOLDS = '''

def score(y_true, y_said):
    return {score}


def best_weights(p, y_true):
    """Weights of the classes that maximise the metric, by coordinate search."""
    weights = np.ones(p.shape[1])
    for _ in range(2):
        for c in range(p.shape[1]):
            tried = [(score(y_true, (p * np.where(np.arange(p.shape[1]) == c, w, weights)).argmax(axis=1)), w) for w in np.geomspace(0.25, 4, 15) * weights[c]]
            weights[c] = max(tried)[1]
    return weights


weighted = oof.copy()
for k in sorted(set(fold[validated])):  # the weights of a fold come from the other folds
    others = validated & (fold != k)
    weighted[fold == k] = oof[fold == k] * best_weights(oof[others], y[others])
test_pred = test_pred * best_weights(oof[validated], y[validated])
oof = weighted'''

EXPECTATION = [
    "oof_said = np.abs((oof @ values)[:, None] - values).argmin(axis=1)",
    "test_said = np.abs((test_pred @ values)[:, None] - values).argmin(axis=1)",
    "oof, test_pred = np.eye(len(values))[oof_said], np.eye(len(values))[test_said]",
    "oof[~validated] = np.nan",
]


def output(spec: Spec, facts: Facts) -> str:
    if not facts.classification:
        columns = "p.reshape(len(ids), -1)"
    elif not facts.probabilities:
        columns = "np.array(CLASSES)[p.argmax(axis=1)].reshape(-1, 1)"
    elif facts.kind == "binary" and len(facts.columns) == 2:
        columns = "p[:, 1:]"
    else:
        columns = "p[:, ORDER]"
    lines = ["", ""]
    if columns == "p[:, ORDER]":
        lines += [
            "names = [str(label) for label in CLASSES]  # a column of the sample is a class by its name, by its ending, or by its place"
        ]
        lines += [
            "ORDER = [next((i for i, n in enumerate(names) if n == c), None) for c in OUTPUT[1:]]"
        ]
        lines += ["if None in ORDER:"]
        lines += [
            "    ORDER = [next((i for i in sorted(range(len(names)), key=lambda i: -len(names[i])) if c.endswith(names[i])), None) for c in OUTPUT[1:]]"
        ]
        lines += [
            "if None in ORDER or len(set(ORDER)) < len(ORDER):",
            "    ORDER = list(range(len(names)))",
            "",
        ]
    lines += [
        "",
        "def write(name, ids, p):",
        f"    frame = pd.DataFrame({columns}, columns=OUTPUT[1:])",
        "    frame.insert(0, ID, ids.to_numpy())",
        "    frame.to_csv(name, index=False)",
        "",
        "",
        'write("oof.csv", train[ID][validated], oof[validated])',
        'write("submission.csv", test[ID], test_pred)',
        "evidence = {",
        f'    "train": {{"folds": train_scores, "metric": {(train_metric(facts) or ("none",))[0]!r}}},',
        '    "fit": {"n_features": X.shape[1], "n_rows": len(X)},',
        "}",
        'with open("evidence.json", "w") as file:',
        "    json.dump(evidence, file)",
    ]
    return "\n".join(lines)
