"""The part of a script that fits its models: fit_predict and the loop over the folds."""

from __future__ import annotations

from typing import NamedTuple

from reasoner.expert.spec import ScriptSpec, TaskFacts, is_stochastic, needs_model_per_target

MIN_KEPT_ROWS = 50
FORWARD = {
    None: "train[TARGET].to_numpy(dtype=float)",
    "log": "np.log1p(train[TARGET].to_numpy(dtype=float).clip(min=0))",
    "sqrt": "np.sqrt(train[TARGET].to_numpy(dtype=float).clip(min=0))",
}
PROBABILITY_SCORERS = {
    "auc": "roc_auc_score",
    "log_loss": "log_loss",
    "average_precision": "average_precision_score",
    "brier": "brier_score_loss",
}


class TrainMetric(NamedTuple):
    """A score of the training part that tells overfitting from underfitting."""

    function: str  # of sklearn.metrics
    expression: str


def fitting_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code of y and of fit_predict, which fits every model and seed and averages them."""
    lines = [
        "",
        "",
        "def predict(model, X_other):",
        *_predict_lines(facts),
        "",
        "",
        *_target_lines(spec, facts),
        "",
        "",
        "def fit_predict(X_fit, y_fit, *others):",
        '    """Fits every model and seed on (X_fit, y_fit); '
        'the mean prediction for each of `others`."""',
        *_training_row_lines(spec, facts),
        *_model_loop_lines(spec, facts),
    ]
    return "\n".join(lines)


def _predict_lines(facts: TaskFacts) -> list[str]:
    if not facts.is_classification:
        return ["    return model.predict(X_other)"]
    if not facts.scarce:
        return ["    return model.predict_proba(X_other)"]
    return [
        "    p = np.zeros((len(X_other), len(CLASSES)))  # a class that a fit lacks stays zero",
        "    p[:, model.classes_] = model.predict_proba(X_other)",
        "    return p",
    ]


def _target_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    if not facts.is_classification:
        return [f"y = {FORWARD.get(spec.target, FORWARD[None])}"]
    order = "" if has_numeric_labels(facts) else ", key=str"
    return [
        f"CLASSES = sorted(train[TARGET].unique(){order})",
        "y = train[TARGET].map({label: index for index, label in enumerate(CLASSES)}).to_numpy()",
    ]


def has_numeric_labels(facts: TaskFacts) -> bool:
    """Whether every class is a number."""
    try:
        [float(label) for label in facts.labels]
    except ValueError:
        return False
    return True


def _training_row_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Lines that change the rows or the target before the fit."""
    lines = []
    if spec.shift and facts.grid:
        lines += ["    X_fit, y_fit = shifted(X_fit, y_fit)"]
    if spec.detrend:
        lines += [
            "    trend = Trend().fit(X_fit, y_fit)",
            "    y_fit = y_fit - trend.predict(X_fit)",
        ]
    if spec.recent:
        lines += [
            "    keep = np.arange(len(X_fit)) >= len(X_fit) // 2  # the recent half",
            "    X_fit, y_fit = X_fit[keep], y_fit[keep]",
        ]
    if spec.rows:
        lines += _fewer_row_lines(spec, facts)
    if facts.empty:
        lines += [
            "    X_fit = X_fit.assign(**{c: 0.0 for c in X_fit if X_fit[c].isna().all()})",
        ]
    return lines


def _fewer_row_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Lines that fit on a part of the rows; a class with few rows keeps them all."""
    share = f"1 / {2**spec.rows}"
    lines = [f"    keep = np.random.default_rng(0).random(len(X_fit)) < {share}  # to save time"]
    if facts.is_classification:
        lines.append(f"    keep |= np.bincount(y_fit)[y_fit] < {MIN_KEPT_ROWS}")
    else:
        lines.append(f"    keep[:{MIN_KEPT_ROWS}] = True")
    return [*lines, "    X_fit, y_fit = X_fit[keep], y_fit[keep]"]


def _model_loop_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    seeds = f"range({spec.seeds})"
    if is_stochastic(spec):
        seeds = f"range(1000 * SEED, 1000 * SEED + {spec.seeds})"
    is_split = needs_model_per_target(spec, facts)
    model = "MultiOutputRegressor(make(seed))" if is_split else "make(seed)"
    result = "means"
    if spec.detrend:
        result = "[mean + trend.predict(X_other) for mean, X_other in zip(means, others)]"
    return [
        "    sums = [0.0] * len(others)",
        f"    for seed in {seeds}:",
        "        for make in MODELS:",
        f"            model = {model}.fit(X_fit, y_fit)"
        if not (facts.is_classification and facts.scarce)
        else "            model = make(seed) if len(set(y_fit)) > 1 else DummyClassifier()\n"
        "            model = model.fit(X_fit, y_fit)",
        "            sums = [total + predict(model, X_other) "
        "for total, X_other in zip(sums, others)]",
        f"    means = [total / ({spec.seeds} * len(MODELS)) for total in sums]",
        f"    return {result}",
    ]


def cross_validation_code(facts: TaskFacts) -> str:
    """Code that predicts every validation fold, then fits on all rows for the test table."""
    shape = "(len(train), len(CLASSES))" if facts.is_classification else "y.shape"
    rule = "fold < k" if facts.split == "time" else "fold != k"
    metric = train_metric(facts)
    lines = [
        "",
        "",
        f"oof = np.full({shape}, np.nan)",
        "train_scores = []",
        "for k in sorted(set(fold[fold >= 0])):",
        '    print(f"fold {k + 1}/{fold.max() + 1}", flush=True)',
        f"    fit, held = np.flatnonzero({rule}), np.flatnonzero(fold == k)",
        "    oof[held], on_fit = fit_predict(X.iloc[fit], y[fit], X.iloc[held], X.iloc[fit])",
        *([f"    train_scores.append({metric.expression})"] if metric else []),
        "(test_pred,) = fit_predict(X, y, X_test)",
        "validated = fold >= 0",
    ]
    return "\n".join(lines)


def train_metric(facts: TaskFacts) -> TrainMetric | None:
    """The score of the training part, or None if there is no simple one."""
    if len(facts.target) > 1 or (facts.kind == "binary" and facts.scarce):
        return None
    if facts.kind == "binary" and facts.metric in PROBABILITY_SCORERS:
        name = PROBABILITY_SCORERS[facts.metric]
        return TrainMetric(name, f"float({name}(y[fit], on_fit[:, 1]))")
    if facts.kind == "multiclass" and facts.metric == "log_loss":
        expression = "float(log_loss(y[fit], on_fit, labels=range(len(CLASSES))))"
        return TrainMetric("log_loss", expression)
    if facts.is_classification:
        expression = "float(accuracy_score(y[fit], on_fit.argmax(axis=1)))"
        return TrainMetric("accuracy_score", expression)
    if facts.metric in ("rmse", "rmsle", "mae"):
        return TrainMetric("r2_score", "float(r2_score(y[fit], on_fit))")
    return None
